"""People use the studio, in real Chromium."""

import json
import re
import shutil
import sqlite3
from urllib.parse import urlsplit

import pytest

from lexloom.serve.studio.page import page_texts
from lexloom.serve.studio.settings import StudioSettings
from tests.studio import SPEAKERS, studio_server, write_run

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, see the group dev")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt install chromium)"),
]

LOCALES = {"en": "en-GB", "zh": "zh-CN"}
PANELS = ("write", "chat", "rewrite", "fill", "classify", "tag", "relations", "answer", "similarity", "explain")
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>&lt;b&gt;'
KEY = "a-key-of-sixteen-characters"
PHONE = {"width": 360, "height": 740}
VOTES = 20
WAIT_MS = 10_000


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studio")
    write_run(folder / "runs" / "learning", text=HOSTILE)
    return folder


@pytest.fixture(scope="module")
def address(place):
    with studio_server(StudioSettings(runs=place / "runs", votes=place / "votes.sqlite")) as url:
        yield url


class Visit:
    """One tab, and all that it asked for and complained about."""

    def __init__(self, browser, address, language="en", **options):
        self.texts = {key: words[language] for key, words in page_texts().items()}
        self.context = browser.new_context(locale=LOCALES[language], **options)
        self.page = self.context.new_page()
        self.asked, self.complaints = [], []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda told: self.complaints.append(told.text) if told.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.set_default_timeout(WAIT_MS)
        self.address = address
        self.page.goto(address)

    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        self.context.close()
        if kind is None:
            assert not self.complaints
            hosts = {urlsplit(url).netloc for url in self.asked if not url.startswith(("data:", "blob:"))}
            assert hosts == {urlsplit(self.address).netloc}, "a request left for another place"

    def open(self, panel):
        self.page.locator(f'nav a[href="#{panel}"]').click()
        return self.page.locator(f"#panel-{panel}")

    def button(self, panel, key):
        return panel.get_by_role("button", name=self.texts[key], exact=True)

    def run(self, panel, name):
        """Press what the panel is for, and wait until it is done."""
        keys = {"chat": "chat.send"}
        self.button(panel, keys.get(name, f"{name}.do")).click()
        start = panel.locator("button.first")
        self.page.wait_for_function("button => !button.hasAttribute('aria-disabled')", arg=start.element_handle())
        assert not panel.locator(".error").first.text_content()


@pytest.mark.parametrize("language", LOCALES)
def test_every_panel_does_its_work(browser, address, language):
    with Visit(browser, address, language) as visit:
        visit.page.wait_for_selector("nav a")
        assert visit.page.evaluate("document.documentElement.lang") == {"en": "en", "zh": "zh-Hans"}[language]
        for name in PANELS:
            panel = visit.open(name)
            assert panel.get_by_role("heading", level=1).text_content() == visit.texts[f"{name}.title"]
            visit.button(panel, "example").click()
            visit.run(panel, name)
            assert panel.locator(".answer, .talk .assistant").first.text_content().strip(), name
        panel = visit.open("runs")
        assert panel.locator("svg.curve").get_attribute("aria-label")
        assert panel.locator("tbody tr").first.text_content()
        panel = visit.open("vote")
        assert visit.button(panel, "vote.begin").is_visible()


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
            button = visit.button(panel, "chat.send" if name == "chat" else f"{name}.do")
            button.click()
            visit.page.wait_for_function("b => !b.hasAttribute('aria-disabled')", arg=button.element_handle())
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


def test_twenty_blind_votes_by_keyboard(browser, address, place):
    with Visit(browser, address) as visit:
        panel = visit.open("vote")
        panel.get_by_label(visit.texts["vote.prompts"]).fill(
            "\n".join(f"What is sky {number}?" for number in range(VOTES))
        )
        answers = []
        visit.page.on("response", lambda response: answers.append(response) if "/votes/pair" in response.url else None)
        visit.button(panel, "vote.begin").click()
        ready = panel.get_by_text(visit.texts["vote.ready"])
        ready.wait_for()
        assert not panel.locator(".results").is_visible()
        assert not any(name in panel.locator(".duel").inner_text() for name in SPEAKERS)
        for number in range(VOTES):
            place_told = visit.texts["vote.place"].format(at=number + 1, all=VOTES)
            panel.get_by_text(place_told, exact=True).wait_for()
            ready.wait_for()
            if number == 3:
                visit.page.keyboard.press("u")
                panel.get_by_text(visit.texts["vote.place"].format(at=3, all=VOTES), exact=True).wait_for()
                visit.page.keyboard.press("=")
                panel.get_by_text(place_told, exact=True).wait_for()
                ready.wait_for()
            # Votes for what reads like the prompt, whatever side it is on
            left = panel.locator("article").nth(0).locator(".written").text_content()
            first = "What is sky" in left
            visit.page.keyboard.press("ArrowLeft" if first else "ArrowRight")
        panel.get_by_text(visit.texts["vote.over"].format(count=VOTES)).wait_for()
        assert len(answers) == VOTES
        assert not any(name in json.dumps(each.json()) for each in answers for name in SPEAKERS)
        visit.button(panel, "vote.result").click()
        panel.locator(".preference").wait_for()
        assert panel.locator(".preference .figure").text_content() == "97.5 %"
        assert SPEAKERS[0] in panel.locator(".preference h3").text_content()
        with visit.page.expect_download() as download:
            visit.button(panel, "vote.export").click()
        lines = download.value.path().read_text(encoding="utf-8").splitlines()
        assert len(lines) == VOTES
    with sqlite3.connect(place / "votes.sqlite") as connection:
        kept = connection.execute("SELECT left_model, choice FROM votes ORDER BY rowid").fetchall()
    connection.close()
    assert len(kept) == VOTES
    assert [choice for _, choice in kept].count("tie") == 1
    assert {model for model, _ in kept} == set(SPEAKERS), "both models were on the left at times"


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


def test_everything_can_be_reached_and_used_by_keyboard(browser, address):
    with Visit(browser, address) as visit:
        visit.page.wait_for_selector("nav a")
        press, active = visit.page.keyboard.press, "document.activeElement"
        press("Tab")
        assert visit.page.evaluate(f"{active}.className") == "skip"
        press("Enter")
        assert visit.page.evaluate(f"{active}.id") == "main"
        press("Tab")
        assert visit.page.evaluate(f"{active}.tagName") == "TEXTAREA"
        visit.page.locator('nav a[href="#rewrite"]').focus()
        press("Enter")
        visit.page.wait_for_function(f"{active}.id === 'rewrite-title'")
        panel = visit.page.locator("#panel-rewrite")
        panel.locator("textarea").fill("这部电影真好看")
        press("Control+Enter")
        takers = panel.locator(".taker")
        takers.first.wait_for()
        assert panel.locator('.taker[tabindex="0"]').count() == 1
        takers.first.focus()
        press("ArrowRight")
        if takers.count() > 1:
            assert takers.nth(1).get_attribute("aria-pressed") == "true"
        outline = visit.page.evaluate(f"getComputedStyle({active}).outlineStyle")
        assert outline == "solid", "where one is must be seen"


def test_a_screen_reader_finds_its_way(browser, address):
    with Visit(browser, address) as visit:
        visit.page.wait_for_selector("nav a")
        for role in ("banner", "navigation", "main", "contentinfo"):
            assert visit.page.get_by_role(role).count() == 1, role
        for name in (*PANELS, "runs", "vote"):
            panel = visit.open(name)
            assert panel.get_by_role("heading", level=1).count() == 1
            nameless = panel.locator("textarea, input, select, button").evaluate_all(
                "all => all.filter(e => e.offsetParent)"
                ".filter(e => !(e.labels?.length || e.ariaLabel || e.textContent.trim())).length"
            )
            assert nameless == 0, name
            assert panel.get_by_role("status").count() + panel.get_by_role("alert").count() > 0, name
        assert visit.page.locator('nav [aria-current="page"]').count() == 1
        ids = visit.page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
        assert len(ids) == len(set(ids))


@pytest.mark.parametrize("language", LOCALES)
def test_it_fits_a_phone(browser, address, language):
    with Visit(browser, address, language, viewport=PHONE, has_touch=True, color_scheme="dark") as visit:
        visit.page.wait_for_selector("nav a")
        for name in PANELS:
            panel = visit.open(name)
            visit.button(panel, "example").click()
            visit.run(panel, name)
            wide = visit.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= PHONE["width"], f"{name} is {wide} pixels wide"
            small = panel.locator("button").evaluate_all(
                "all => all.filter(e => e.offsetParent && e.offsetHeight < 24).map(e => e.textContent)"
            )
            assert not small, "WCAG 2.2, 2.5.8: a finger needs 24 pixels"
        for name in ("runs", "vote"):
            visit.open(name)
            assert visit.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_a_curve_grows_while_its_run_learns(browser, tmp_path):
    folder = write_run(tmp_path / "runs" / "live")
    with studio_server(StudioSettings(runs=tmp_path / "runs")) as url, Visit(browser, url) as visit:
        panel = visit.open("runs")
        panel.get_by_text("40 / 80").wait_for()
        before = panel.locator("path.every").get_attribute("d")
        with open(folder / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write('ep"}\n{"kind": "step", "step": 55, "loss": 1.5, "tokens": 600, "seconds": 0.1}\n')
        panel.get_by_text("55 / 80").wait_for()
        sync_api.expect(panel.locator("path.every")).not_to_have_attribute("d", before)
        with visit.page.expect_download() as download:
            visit.button(panel, "runs.report").click()
        assert download.value.suggested_filename == "live.html"
