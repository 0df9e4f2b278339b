import base64
import hashlib
import json
import re

import pytest

from lexloom.serve.studio.page import LANGUAGES, PAGE, SCRIPTS, page_texts, studio_page
from tests.contrast import SCHEMES, SIGN_AT_LEAST, TEXT_AT_LEAST, Palette, contrast, mixed

STYLE = PAGE.joinpath("style.css").read_text(encoding="utf-8")
HTML = PAGE.joinpath("index.html").read_text(encoding="utf-8")
SCRIPT = {name: PAGE.joinpath(f"script/{name}.js").read_text(encoding="utf-8") for name in SCRIPTS}
KEY = r"[a-z]+(?:[.-][a-z_-]+)*"


def test_every_text_is_there_in_both_languages():
    for key, words in page_texts().items():
        assert tuple(words) == LANGUAGES, key
        assert all(text.strip() for text in words.values()), key
        english, chinese = (sorted(re.findall(r"\{(\w+)\}", words[language])) for language in LANGUAGES)
        assert english == chinese, f"{key} is filled with other values in Chinese"


def test_chinese_texts_are_chinese():
    same = {"settings.top_p"}
    english_only = [
        key for key, words in page_texts().items() if not re.search(r"[\u4e00-\u9fff]", words["zh"]) and key not in same
    ]
    assert english_only == ["comma"]


def test_every_text_that_is_named_exists_and_every_text_is_used():
    source = HTML + "".join(SCRIPT.values())
    named = set(re.findall(rf'"({KEY})"', source)) | set(
        re.findall(rf'data-t(?:-label|-placeholder)?="({KEY})"', source)
    )
    panels = re.findall(r'\bid: "(\w+)",\n  (?:routes|group)', source)
    named |= {f"{panel}.{part}" for panel in panels for part in ("name", "title", "lede")}
    stems = set(re.findall(r"`([a-z]+(?:\.[a-z]+)*)\.\$\{", source))
    keys = set(page_texts())
    unused = {key for key in keys - named if key.rsplit(".", 1)[0] not in stems}
    assert not unused
    assert {f"{stem}.title" for stem in panels} <= keys
    said = set(re.findall(rf'\bt: "({KEY})"', source)) | set(re.findall(rf'\bsay\(\w+, "({KEY})"', source))
    assert said <= keys


def test_all_scripts_are_in_the_page():
    there = sorted(path.name.removesuffix(".js") for path in PAGE.joinpath("script").iterdir())
    assert there == sorted(SCRIPTS)


def test_the_policy_lets_only_this_script_and_this_style_run():
    page = studio_page()
    html = page.html.decode()
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    (script,) = re.findall(r'<script type="module">(.*?)</script>', html, re.DOTALL)
    for kind, content in (("style", style), ("script", script)):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}';" in page.policy
    assert "unsafe" not in page.policy
    assert page.policy.startswith("default-src 'none';")
    assert "connect-src 'self'" in page.policy
    assert not re.search(r'\s(on\w+|style)="', html), "the policy forbids scripts and styles in attributes"


def test_the_page_names_no_other_place():
    html = studio_page().html.decode()
    places = set(re.findall(r"https?://[^\s\"'<>)]+", html))
    assert places == {"http://www.w3.org/2000/svg"}, "a namespace is no address"
    assert not re.search(r"@import|url\(", STYLE)


def test_texts_can_not_end_their_element():
    html = studio_page().html.decode()
    (texts,) = re.findall(r'<script type="application/json" id="texts">(.*?)</script>', html, re.DOTALL)
    assert "<" not in texts
    assert json.loads(texts) == page_texts()


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_make_no_markup_of_text_and_keep_nothing_but_key_and_language(name):
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser|srcdoc|\.cookie"
    )
    assert not re.search(forbidden, SCRIPT[name])
    if name != "key":
        assert "sessionStorage" not in SCRIPT[name]
    if name != "texts":
        assert "localStorage" not in SCRIPT[name]


# ---- contrast ----

PALETTE = Palette(STYLE)
TEXT = (("ink", "paper"), ("muted", "paper"), ("accent", "paper"), ("on-accent", "accent"), ("ink", "wash"))
SIGNS = (("edge", "paper"), ("line", "paper"), ("for", "paper"), ("against", "paper"), ("accent", "paper"))


def test_contrast_is_measured_as_the_standard_does():
    assert contrast((0, 0, 0), (1, 1, 1)) == pytest.approx(21)
    assert contrast((0x77 / 255,) * 3, (1, 1, 1)) == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_words_and_signs_stand_out(scheme):
    named = PALETTE.colours(scheme)
    for front, back in TEXT:
        assert contrast(named[front], named[back]) >= TEXT_AT_LEAST, f"{front} on {back}"
    for front, back in SIGNS:
        assert contrast(named[front], named[back]) >= SIGN_AT_LEAST, f"{front} on {back}"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_words_stay_readable_on_the_deepest_colour(scheme):
    named, share = PALETTE.colours(scheme), PALETTE.shares(scheme)
    for name, deepest in (("for", "deepest"), ("against", "deepest"), ("tint", "shaded")):
        deep = mixed(named[name], named["paper"], share[deepest])
        assert contrast(named["ink"], deep) >= TEXT_AT_LEAST, name
    entity = mixed(named["tint"], named["paper"], 0.13)
    assert contrast(named["accent"], entity) >= TEXT_AT_LEAST, "the type of an entity"


def test_nothing_is_coloured_deeper_than_was_judged():
    assert STYLE.count("calc(var(--deepest) * var(--share))") == 2
    assert STYLE.count("calc(var(--shaded) * var(--share, 0))") == 1
    assert STYLE.count("var(--tint) 13%") == 1
