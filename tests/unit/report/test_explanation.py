"""The page of explanations: whole, loads nothing, texts stay texts, every number stands in it."""

from dataclasses import replace

import numpy as np
import pytest

from lexloom.explain.attention import AttentionMaps
from lexloom.explain.explanation import explain
from lexloom.report.attention import MOST_TOKENS, picture
from lexloom.report.explanation import render_explanations, signed
from tests.understanding import labelled, model_for, setting_of
from tests.unit.report.test_page import HOSTILE, Page

TEXT = "这部电影真好看, a lovely film"


@pytest.fixture(scope="module")
def found():
    setting = setting_of("classify")
    return explain(model_for("classify", setting), "classify", labelled(TEXT, target=None), setting)


def test_page_is_whole_loads_nothing_and_tells_every_word_with_its_number(found):
    page = Page(html := render_explanations([found, found], model="m", task="classify"))
    assert page.fetched == []
    assert "script" not in page.tags
    assert "://" not in html
    assert html.count('class="t" lang="en"') == html.count('class="t" lang="zh-Hans"') > 10
    for explained in found.explained:
        for word, value in zip(explained.words, explained.attribution.values, strict=True):
            assert f'scope="row">{TEXT[word.start : word.end]}</th><td class="n">{signed(value)}</td>' in html


def test_the_text_can_be_read_as_it_was_written(found):
    page = Page(render_explanations([found], model="m", task="classify"))
    assert TEXT in page.text


def test_hostile_text_is_shown_as_text():
    setting = setting_of("classify")
    found = explain(model_for("classify", setting), "classify", labelled(HOSTILE, target=None), setting)
    page = Page(render_explanations([found], model=HOSTILE, task=HOSTILE))
    assert not {"script", "img"} & set(page.tags)
    assert page.text.count(HOSTILE) >= 3


def test_the_weightiest_word_has_the_deepest_colour_and_sides_follow_signs(found):
    html = render_explanations([found], model="m", task="classify")
    values = found.explained[0].attribution.values
    word = found.explained[0].words[int(np.argmax(np.abs(values)))]
    side = "for" if max(values, key=abs) > 0 else "against"
    assert f'<span class="{side}" style="--share: 1.000"' in html
    assert f">{TEXT[word.start : word.end]}</span>" in html


def test_what_was_cut_is_marked_as_unread():
    setting = setting_of("classify", max_tokens=14)
    example = labelled("a lovely film " * 5 + "beyond", target=None)
    found = explain(model_for("classify", setting), "classify", example, setting, methods=["occlusion"])
    assert '<span class="unread">' in render_explanations([found], model="m", task="classify")


def test_pictures_are_tiny_and_darker_for_more():
    shares = np.eye(40, dtype=np.float32)
    assert len(picture(shares)) < 1000
    assert picture(shares).startswith("url(data:image/png;base64,")
    assert picture(shares) != picture(shares / 2)


def test_signed_numbers_have_a_true_minus():
    assert (signed(0.1236), signed(-1.3), signed(-0.0001)) == ("+0.124", "−1.300", "+0.000")


def test_of_a_long_text_the_heads_are_shown_as_their_mean(found):
    (maps,) = found.attention
    times = MOST_TOKENS // len(maps.tokens) + 1
    long = AttentionMaps(maps.tokens * times, maps.special * times, np.tile(maps.weights_NHLL, (1, 1, times, times)))
    pages = [
        render_explanations([replace(found, attention=(one,))], model="m", task="classify") for one in (maps, long)
    ]
    layers, heads = maps.weights_NHLL.shape[:2]
    assert [page.count('type="radio" name="a0-0"') for page in pages] == [1 + layers * heads, 1 + layers]
    assert "as their mean" in pages[1]
