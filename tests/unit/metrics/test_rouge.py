"""ROUGE equals google's rouge_score for English; for Chinese it is worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from lexloom.metrics import rouge
from lexloom.metrics.rouge import longest_common

KINDS = ("1", "2", "L")
SCORER = RougeScorer([f"rouge{kind}" for kind in KINDS], use_stemmer=False)
TEXTS = st.lists(
    st.sampled_from(["the", "The", "cat's", "U.S.", "—", "", "３", "x2", "\n", "don't", "é", "中文", "😀", "cats"])
).map(" ".join)


def value(metric, predictions, references):
    return metric.value(metric.rows(predictions, references))


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.lists(TEXTS, min_size=1, max_size=3))
def test_each_text_is_scored_as_by_rouge_score(prediction, golds):
    expected = SCORER.score_multi(golds, prediction)
    for kind in KINDS:
        assert value(rouge(kind), [prediction], [golds]) == expected[f"rouge{kind}"].fmeasure


def test_the_figure_is_the_mean_of_f1_over_texts():
    predictions, references = ["a b c", "x y", ""], ["a c b", "x y", "z"]
    assert value(rouge("1"), predictions, references) == pytest.approx((1 + 1 + 0) / 3)
    assert value(rouge("2"), predictions, references) == pytest.approx((0 + 1 + 0) / 3)
    assert value(rouge("L"), predictions, references) == pytest.approx((2 / 3 + 1 + 0) / 3)


@pytest.mark.parametrize(
    ("unit", "kind", "prediction", "reference", "expected"),
    [
        ("characters", "1", "我爱北京。", "我爱上海", 2 * 2 / 8),
        ("characters", "2", "我爱北京", "我爱，上海", 2 * 1 / 6),  # punctuation parts nothing
        ("characters", "L", "北京我爱", "我爱北京", 2 * 2 / 8),
        ("characters", "1", "BERT模型", "bert 模型", 1.0),  # a word in other letters is one unit
        ("characters", "1", "２０２４年", "2024年", 2 * 1 / 4),  # full-width digits are other signs
        ("jieba words", "1", "我爱北京", "我爱上海", 2 * 2 / 6),
        ("jieba words", "2", "我爱北京天安门", "我爱北京", 2 * 2 / 5),
        ("characters", "L", "", "", 0.0),
        ("characters", "1", "😀", "😀", 0.0),  # nothing is said, as in English
        ("jieba words", "L", "", "北京", 0.0),
    ],
)
def test_chinese_figures_worked_out_by_hand(unit, kind, prediction, reference, expected):
    assert value(rouge(kind, unit), [prediction], [reference]) == pytest.approx(expected)


def test_the_name_states_the_unit():
    assert [rouge("L", unit).name for unit in ("words", "characters", "jieba words")] == [
        "ROUGE-L",
        "ROUGE-L (characters)",
        "ROUGE-L (jieba words)",
    ]
    assert "without stemming" in rouge("1").detail(["x"])


@given(st.lists(st.integers(0, 5), max_size=80), st.lists(st.integers(0, 5), max_size=80))
def test_the_longest_common_subsequence_is_that_of_the_usual_table(first, second):
    table = np.zeros((len(first) + 1, len(second) + 1), int)
    for row, one in enumerate(first):
        for column, other in enumerate(second):
            left, above = table[row + 1, column], table[row, column + 1]
            table[row + 1, column + 1] = table[row, column] + 1 if one == other else max(left, above)
    assert longest_common(first, second) == table[-1, -1]


def test_texts_of_a_hundred_thousand_characters_are_scored():
    long = "春夏秋冬东西南北" * 12_500
    assert value(rouge("L", "characters"), [long], [long[:-4] + "xxxx"]) == pytest.approx(2 * 99_996 / 199_997)
