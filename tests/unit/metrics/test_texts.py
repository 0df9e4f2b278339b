"""Exact texts, distinct-n and repetition, worked out by hand."""

import numpy as np
import pytest

from lexloom.evaluate.figures import figure, paired
from lexloom.metrics import distinct, exact_text, repetition


def value(metric, predictions, references=None):
    return metric.value(metric.rows(predictions, references or [""] * len(predictions)))


def test_a_text_is_exact_but_for_white_space_at_its_ends():
    assert value(exact_text(), ["a b\n", "A b", "", "好"], ["a b", "a b", "", ["坏", " 好"]]) == 3 / 4


@pytest.mark.parametrize(
    ("order", "texts", "expected"),
    [
        (1, ["I don't know", "I do know!"], 7 / 9),  # I and know are said twice
        (1, ["好 好 好"], 1 / 3),
        (2, ["a b a b"], 2 / 4),  # by the words, as Li et al. have it, not by the pairs
        (2, ["a b", "a b", "c"], 1 / 5),
        (2, ["我爱北京", "我爱上海"], 3 / 6),
        (3, ["a b", ""], 0.0),
        (1, ["", ""], 0.0),
        (1, ["😀 😀", "３ 3"], 3 / 4),
    ],
)
def test_distinct_runs_are_counted_over_all_texts(order, texts, expected):
    assert value(distinct(order), texts) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("order", "texts", "expected"),
    [
        (1, ["a b a b"], 1 / 2),
        (2, ["a b a b"], 1 / 3),
        (4, ["a b a b"], 0.0),
        (2, ["a b a b", "a b"], 1 / 6),  # the mean over texts; nobody repeats others
        (4, ["", "x"], 0.0),
        (2, ["北京上海北京上海"], 1 / 3),
    ],
)
def test_repetition_is_counted_within_each_text(order, texts, expected):
    assert value(repetition(order), texts) == pytest.approx(expected)


def test_texts_of_a_hundred_thousand_characters_are_judged():
    long = "so it goes " * 10_000
    assert value(repetition(4), [long]) == pytest.approx(1 - 3 / 29_997)
    assert value(distinct(2), [long]) == pytest.approx(3 / 30_000)


def test_the_interval_of_distinct_n_covers_what_other_samples_of_the_same_size_give():
    rng = np.random.default_rng(0)
    weights = 1 / np.arange(1, 2_001)

    def sample():
        sizes = rng.integers(3, 20, 200)
        return [" ".join(map(str, rng.choice(2_000, size, p=weights / weights.sum()))) for size in sizes]

    expected = np.mean([value(distinct(2), sample()) for _ in range(30)])
    found = [figure(distinct(2), texts, texts) for texts in (sample() for _ in range(20))]
    assert sum(one.low < expected < one.high for one in found) >= 17


def test_more_varied_texts_are_told_apart():
    rng = np.random.default_rng(0)
    poor, rich = ([" ".join(map(str, rng.integers(0, size, 12))) for _ in range(100)] for size in (60, 600))
    assert paired(distinct(1), poor, rich, [""] * 100).real
    assert paired(distinct(1), poor, rich, [""] * 100).value > 0
