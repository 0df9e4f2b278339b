"""People use the studio, in real Chromium: every panel, in both languages."""

import re

import pytest

from lexloom.serve.studio.page import page_texts
from lexloom.serve.studio.settings import StudioSettings
from tests.studio import HOSTILE, SPEAKERS, studio_server, write_run
from tests.visiting import LOCALES, PANELS, Visit

pytestmark = pytest.mark.slow

KEY = "a-key-of-sixteen-characters"


@pytest.mark.parametrize("language", LOCALES)
def test_every_panel_does_its_work(browser, address, language):
    with Visit(browser, address, language) as visit:
        assert visit.page.evaluate("document.documentElement.lang") == {"en": "en", "zh": "zh-Hans"}[language]
        for name in PANELS:
            panel = visit.use(name)
            assert panel.get_by_role("heading", level=1).text_content() == visit.texts[f"{name}.title"]
            assert panel.locator(".answer, .talk .assistant").first.text_content().strip(), name
        panel = visit.use("runs")
        assert panel.locator("svg.curve").get_attribute("aria-label")
        assert panel.locator("tbody tr").first.text_content()
        panel = visit.use("compare")
        assert panel.locator("tbody tr").count() == 2
        assert panel.locator("tbody tr.best").text_content().startswith(HOSTILE)
        assert panel.get_by_role("img").evaluate("picture => picture.complete && picture.naturalWidth > 0")
        assert visit.use("vote").get_by_text(visit.texts["vote.prompts"], exact=True).is_visible()


def test_what_the_server_has_is_saved_as_a_file(browser, address):
    with Visit(browser, address) as visit:
        for name, key, file in (("runs", "runs.report", "learning.html"), ("compare", "compare.page", "compare.html")):
            panel = visit.use(name)
            with visit.page.expect_download() as download:
                visit.button(panel, key).click()
            assert download.value.suggested_filename == file
            assert download.value.path().read_text(encoding="utf-8").startswith("<p>")


def test_each_panel_shows_what_the_server_said(browser, address):
    with Visit(browser, address) as visit:
        panel = visit.open("classify")
        visit.button(panel, "example").click()
        visit.run(panel, "classify")
        assert panel.locator(".bars tbody tr").count() == 2
        assert panel.locator(".bars .chosen").count() == 1
        panel = visit.open("fill")
        visit.button(panel, "example").click()
        visit.run(panel, "fill")
        assert panel.locator(".bars tbody tr").count() == 5
        panel = visit.open("explain")
        panel.get_by_label(visit.texts["model"]).select_option("classify")
        visit.button(panel, "example").click()
        visit.run(panel, "explain")
        assert panel.locator(".heat").count() == 2
        assert panel.locator(".heat .marked span").count() > 8
        assert panel.locator("svg.map rect").count() > 8
        panel = visit.open("tag")
        panel.get_by_label(visit.texts["text"]).fill("王小明住在北京, Anna in Paris")
        visit.run(panel, "tag")
        assert panel.locator(".marked").text_content().startswith("王小明") or panel.locator("mark").count()


def test_models_write_side_by_side_and_can_be_stopped(browser, address):
    with Visit(browser, address) as visit:
        panel = visit.open("write")
        for name in SPEAKERS:
            panel.get_by_label(name, exact=True).check()
        panel.get_by_label(visit.texts["write.prompt"]).fill("What is the sky?")
        visit.run(panel, "write")
        articles = panel.locator("article")
        assert articles.count() == 2
        one, two = (articles.nth(at).locator(".written").text_content() for at in (0, 1))
        assert one.startswith("What is the sky?")
        assert one != two
        panel.get_by_label(visit.texts["write.prompt"]).fill("word " * 40)
        panel.get_by_text(visit.texts["settings"]).click()
        panel.get_by_label(visit.texts["settings.max_tokens"]).fill("250")
        visit.button(panel, "write.do").click()
        visit.button(panel, "stop").click()
        panel.get_by_text(visit.texts["stopped"]).wait_for()


def test_languages_change_in_place(browser, address):
    with Visit(browser, address) as visit:
        panel = visit.open("classify")
        visit.button(panel, "example").click()
        visit.run(panel, "classify")
        written = panel.locator("textarea").first.input_value()
        visit.page.get_by_role("button", name="中文").click()
        chinese = {key: words["zh"] for key, words in page_texts().items()}
        assert panel.get_by_role("heading", level=1).text_content() == chinese["classify.title"]
        assert panel.locator("textarea").first.input_value() == written
        assert panel.locator(".bars tbody tr").count() == 2
        told = panel.locator(".status").text_content()
        assert told.startswith(chinese["classify.done"].split("{")[0])
        seen = visit.page.locator("body").inner_text()
        untranslated = [
            words["en"]
            for key, words in page_texts().items()
            if re.search(r"\w{4} \w{3}", words["en"]) and words["en"] in seen
        ]
        assert not untranslated
        visit.page.reload()
        visit.page.wait_for_selector("nav a")
        assert visit.page.evaluate("document.documentElement.lang") == "zh-Hans"


def test_hostile_texts_stay_texts_in_every_panel(browser, address):
    with Visit(browser, address) as visit:
        for name in PANELS:
            panel = visit.open(name)
            visit.button(panel, "example").click()
            for box in panel.locator("textarea:visible").all():
                box.fill(f"{box.input_value()} {HOSTILE}")
            visit.press(panel, name)
        shown = visit.page.evaluate("document.body.textContent")
        assert shown.count("<img src=x") >= 3
        panel = visit.open("runs")
        panel.locator(".sample").first.wait_for()
        assert HOSTILE in panel.locator(".sample").first.text_content()
        assert visit.page.evaluate("window.hacked") is None
        assert visit.page.locator("img, iframe, object, main script").count() == 0


def test_no_string_can_become_markup(browser, address):
    with Visit(browser, address) as visit:
        refused = visit.page.evaluate(
            "() => { try { document.body.innerHTML = '<p>'; return false } catch (error) { return error.name } }"
        )
        assert refused == "TypeError"
        visit.complaints.clear()  # the browser tells of what it refused


def test_the_key_is_asked_for_and_kept_by_the_tab_alone(browser, place):
    with studio_server(StudioSettings(runs=place / "runs"), keys=(KEY,)) as url:
        visit = Visit(browser, url)
        with visit:
            dialog = visit.page.get_by_role("dialog")
            field = dialog.get_by_label(visit.texts["key.label"])
            field.fill("a-wrong-key-of-sixteen")
            field.press("Enter")
            dialog.get_by_text(visit.texts["key.wrong"]).wait_for()
            assert field.input_value() == ""
            field.fill(KEY)
            field.press("Enter")
            visit.page.wait_for_selector("nav a")
            assert KEY not in visit.page.evaluate("JSON.stringify(localStorage) + document.cookie + location.href")
            assert KEY in visit.page.evaluate("JSON.stringify(sessionStorage)")
            assert not any(KEY in asked for asked in visit.asked)
            panel = visit.open("classify")
            visit.button(panel, "example").click()
            visit.run(panel, "classify")
            visit.complaints = [told for told in visit.complaints if "401" not in told]


def test_a_curve_grows_while_its_run_learns(browser, tmp_path):
    folder = write_run(tmp_path / "runs" / "live")
    with studio_server(StudioSettings(runs=tmp_path / "runs")) as url, Visit(browser, url) as visit:
        panel = visit.open("runs")
        panel.get_by_text("40 / 80").wait_for()
        before = panel.locator("path.every").get_attribute("d")
        with open(folder / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write('ep"}\n{"kind": "step", "step": 55, "loss": 1.5, "tokens": 600, "seconds": 0.1}\n')
        panel.get_by_text("55 / 80").wait_for()
        panel.locator(f'path.every:not([d="{before}"])').wait_for()
        with visit.page.expect_download() as download:
            visit.button(panel, "runs.report").click()
        assert download.value.suggested_filename == "live.html"


def test_what_got_no_reply_can_be_sent_again(browser, address):
    with Visit(browser, address) as visit:
        panel = visit.open("chat")
        panel.get_by_text(visit.texts["settings"], exact=True).click()
        most = panel.get_by_label(visit.texts["settings.max_tokens"])
        most.fill("1000000")
        visit.button(panel, "example").click()
        visit.press(panel, "chat")
        assert "1,000,000" in panel.locator(".error").text_content().replace("1000000", "1,000,000")
        assert panel.locator(".talk li").count() == 0
        assert panel.get_by_label(visit.texts["chat.message"]).input_value() == visit.texts["chat.example"]
        most.fill("20")
        visit.run(panel, "chat")
        assert panel.locator(".talk li").count() == 2
        visit.complaints = [told for told in visit.complaints if "400" not in told]
