"""The page of attention to a source: whole, loads nothing, texts stay texts, each word has what it looked at."""

import numpy as np

from lexloom.explain.translation import SourceMaps, Translation
from lexloom.report.attention import MOST_TOKENS
from lexloom.report.translation import render_translations
from tests.unit.report.test_page import HOSTILE, Page


def translation(source=("we", "吃", "</s>"), target=("wir", "essen", "</s>"), layers=2, heads=3):
    scores = np.random.default_rng(0).random((layers, heads, len(target), len(source))).astype(np.float32)
    scores[..., 0, 0] += 9
    maps = SourceMaps(
        source,
        target,
        tuple(word == "</s>" for word in source),
        tuple(word == "</s>" for word in target),
        scores / scores.sum(axis=-1, keepdims=True),
    )
    return Translation(" ".join(source), {"text": " ".join(target)}, maps)


def test_page_is_whole_loads_nothing_and_shows_every_head():
    page = Page(html := render_translations([translation(), translation()], model="m", task="text2text"))
    assert page.fetched == []
    assert "script" not in page.tags
    assert "://" not in html
    assert html.count('class="t" lang="en"') == html.count('class="t" lang="zh-Hans"') > 10
    assert html.count('type="radio" name="s0"') == 1 + 2 * 3
    assert "2 layers × 3 heads" in page.text


def test_each_word_written_stands_with_the_word_it_looked_at_most():
    found = translation()
    html = render_translations([found], model="m", task="text2text")
    share = found.maps.mean_TS[0, 0]
    assert f'scope="row">wir</th><td>we</td><td class="n">{share:.0%}</td>' in html
    assert "<small>we</small><span>wir</span>" in html
    assert '<th scope="row">&lt;/s&gt;</th>' not in html
    assert f'title="we {share:.0%}, ' in html


def test_chinese_stands_upright_above_its_column():
    html = render_translations([translation()], model="m", task="text2text")
    assert '<li class="upright">吃</li>' in html
    assert "<li>we</li>" in html


def test_hostile_words_are_shown_as_text():
    page = Page(render_translations([translation((HOSTILE,), (HOSTILE,))], model=HOSTILE, task=HOSTILE))
    assert not {"script", "img"} & set(page.tags)
    assert page.text.count(HOSTILE) >= 5


def test_of_a_long_text_the_heads_are_shown_as_their_mean():
    html = render_translations([translation(("a",) * (MOST_TOKENS + 1))], model="m", task="text2text")
    assert html.count('type="radio" name="s0"') == 1 + 2
    assert "as their mean" in html


def test_a_text_of_nothing_has_a_page():
    assert Page(render_translations([translation(target=("</s>",))], model="m", task="text2text")).fetched == []
