"""Slices and mistakes show where a model fails."""

import numpy as np
import pytest

from lexloom.evaluate.slices import Mistake, by_label, by_length, by_script, by_unknown, mistakes, sliced
from lexloom.metrics import accuracy


def test_a_slice_has_the_figure_of_its_examples():
    references = ["a"] * 40 + ["b"] * 60
    predictions = ["a"] * 10 + ["b"] * 90
    first, second = sliced(accuracy(), predictions, references, by_label(references))
    assert (first.name, first.examples, first.figure.value) == ("a", 40, 0.25)
    assert (second.name, second.examples, second.figure.value) == ("b", 60, 1.0)
    assert first.figure.low < 0.25 < first.figure.high


def test_lengths_fall_into_three_parts_of_about_equal_size():
    lengths = np.random.default_rng(0).integers(1, 200, 301).tolist()
    parts = by_length(lengths, "tokens")
    assert sorted(number for part in parts.values() for number in part) == list(range(301))
    assert all(95 <= len(part) <= 106 for part in parts.values())
    assert list(by_length([5, 1, 2, 9, 6, 7], "words")) == ["1 to 2 words", "5 to 6 words", "7 to 9 words"]


@pytest.mark.parametrize(
    ("lengths", "names"),
    [
        ([], []),
        ([7], ["7 words"]),
        ([7] * 9, ["7 words"]),
        ([1, 2], ["1 words", "2 words"]),
        ([1] * 8 + [8], ["1 to 8 words"]),
        ([1] + [8] * 8, ["1 words", "8 words"]),
    ],
)
def test_lengths_that_hardly_vary_give_fewer_parts(lengths, names):
    parts = by_length(lengths, "words")
    assert list(parts) == names
    assert sorted(number for part in parts.values() for number in part) == list(range(len(lengths)))


def test_an_example_with_several_labels_is_in_several_parts():
    assert by_label([("b", "a"), (), ("a",)]) == {"a": [0, 2], "b": [0]}
    assert by_label([]) == {}


def test_scripts_are_told_apart():
    texts = ["今天天气好", "fine weather", "用Python写的", "12:30", "我在Google总部的食堂里吃了一顿非常好吃的免费午餐"]
    assert by_script(texts) == {"Han": [0, 4], "Latin": [1], "Han and Latin": [2], "other scripts": [3]}


def test_unknown_tokens_make_parts():
    assert by_unknown([0.0, 0.05, 0.2, 0.0]) == {
        "none unknown": [0, 3],
        "up to 5% unknown": [1],
        "more than 5% unknown": [2],
    }


def test_mistakes_come_with_the_surest_first():
    found = mistakes(["a", "b", "a"], ["b", "b", "c"], confidences=[0.6, 0.9, 0.8])
    assert found == [Mistake(2, "a", "c", 0.8), Mistake(0, "a", "b", 0.6)]
    assert [each.example for each in mistakes(["a", "b", "a"], ["b", "b", "c"])] == [0, 2]
    assert [each.example for each in mistakes(["x", "y"], ["X", "Z"], right=[True, False])] == [1]
