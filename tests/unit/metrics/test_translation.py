"""BLEU and chrF equal sacrebleu's, whatever the texts."""

import importlib.metadata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU, CHRF

from lexloom.evaluate.figures import figure, paired
from lexloom.metrics import bleu, chrf

VERSION = importlib.metadata.version("sacrebleu")
HOSTILE = [
    "",
    " ",
    "a",
    "The cat sat on the mat.",
    "the cat sat on a mat",
    "我喜欢吃苹果。",
    "我喜欢苹果！",
    "２０２４年 costs ３．５％",
    "😀 smile 😀😀 ok",
    "e\u0301te\u0301 &quot;x&quot; <skipped> -\nline\ntwo",
    "\u2028 \u200b \ufeff",
    "3.5, 1,000 and 2024-05-06 don't",
]
CASES = [
    (bleu("de"), BLEU()),
    (bleu("en", lower_case=True), BLEU(lowercase=True)),
    (bleu("zh"), BLEU(tokenize="zh")),
    (chrf(), CHRF()),
]
EVERY = pytest.mark.parametrize(("metric", "scorer"), CASES, ids=["13a", "13a lower-cased", "zh", "chrF2"])


def value(metric, predictions, references):
    return metric.value(metric.rows(predictions, references))


@EVERY
def test_hostile_texts_are_scored_as_by_sacrebleu(metric, scorer):
    for turn in range(len(HOSTILE)):
        references = HOSTILE[turn:] + HOSTILE[:turn]
        expected = scorer.corpus_score(HOSTILE, [references])
        assert 100 * value(metric, HOSTILE, references) == pytest.approx(expected.score, abs=1e-12)
        assert metric.detail(references) == str(scorer.get_signature())


@EVERY
@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(*[st.sampled_from(HOSTILE)] * 3), min_size=1, max_size=12))
def test_two_references_are_as_good_as_one(metric, scorer, rows):
    predictions, first, second = (list(column) for column in zip(*rows, strict=True))
    expected = scorer.corpus_score(predictions, [first, second])
    pairs = list(zip(first, second, strict=True))
    assert 100 * value(metric, predictions, pairs) == pytest.approx(expected.score, abs=1e-12)
    assert metric.detail(pairs) == str(scorer.get_signature())


@EVERY
def test_examples_may_have_different_numbers_of_references(metric, scorer):
    references = [["the cat sat on the mat", "a cat sat on the mat"], "我喜欢苹果"]
    expected = scorer.corpus_score(HOSTILE[3:6:2], [[references[0][0], references[1]], [references[0][1], None]])
    assert 100 * value(metric, HOSTILE[3:6:2], references) == pytest.approx(expected.score, abs=1e-12)
    assert metric.detail(references) == str(scorer.get_signature())
    assert "nrefs:var" in metric.detail(references)


@EVERY
def test_a_single_example_and_a_very_long_one_are_scored_as_by_sacrebleu(metric, scorer):
    long = "猫坐 on the 垫子. " * 7_500
    for prediction, reference in [("the cat is here now", "the cat is not here now"), (long, long[5_000:] + "x")]:
        expected = scorer.corpus_score([prediction], [[reference]])
        assert 100 * value(metric, [prediction], [reference]) == pytest.approx(expected.score, abs=1e-12)
    assert len(long) > 100_000


def test_bleu_worked_out_by_hand():
    # 4 of 5 words, 3 of 4 pairs, 2 of 3 triples, 1 of 2 runs of four; 5 words for 6
    expected = np.exp(1 - 6 / 5) * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** (1 / 4)
    assert value(bleu(), ["a b c d x"], ["a b c d e f"]) == pytest.approx(expected)


def test_the_signature_says_how_the_figure_was_computed():
    assert bleu("de").detail(["x"]) == f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:{VERSION}"
    assert bleu("zh", lower_case=True).detail([("x", "y")]).startswith("nrefs:2|case:lc|eff:no|tok:zh|")
    assert chrf().detail(["x"]) == f"nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:{VERSION}"


@EVERY
def test_multi30k_is_scored_as_by_sacrebleu_with_an_interval_and_a_paired_test(metric, scorer, shared_data):
    references = shared_data("mt-multi30k-ende/test_2016_flickr.de").read_text(encoding="utf-8").splitlines()
    assert len(references) == 1_000
    good, poor = (spoiled(references, share) for share in (0.95, 0.85))
    expected = scorer.corpus_score(good, [references]).score / 100
    found = figure(metric, good, references)
    assert found.value == pytest.approx(expected, abs=1e-14)
    assert found.low < expected < found.high
    apart = paired(metric, good, poor, references)
    assert apart.value == pytest.approx(scorer.corpus_score(poor, [references]).score / 100 - expected, abs=1e-14)
    assert apart.real
    assert apart.value < 0


def spoiled(texts, share):
    rng = np.random.default_rng(0)
    return [" ".join(word for word in text.split() if rng.random() < share) for text in texts]
