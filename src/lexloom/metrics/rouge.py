"""ROUGE-1, ROUGE-2 and ROUGE-L: what a summary shares with its reference. Source: Lin 2004.

Predictions are texts; a reference is a text, or several of which the nearest counts. The figure is the mean F1. English
is equal to google's rouge_score without its stemmer: lower-cased runs of a–z and 0–9. Chinese has no such standard; the
unit stands in the metric's name.
"""

import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal

from lexloom.metrics.contract import Metric, Rows, mean_rows, ratio_of_sums
from lexloom.metrics.texts import wanted
from lexloom.text.segmentation import characters, words

Kind = Literal["1", "2", "L"]
Unit = Literal["words", "characters", "jieba words"]

REMEMBERED_UNITS = 1 << 12
"""Columns of bits kept at once: 50 MB for a text of 100,000 units."""


def rouge(kind: Kind, unit: Unit = "words") -> Metric:
    """ROUGE-1 (units), ROUGE-2 (pairs of neighbours) or ROUGE-L (the longest common subsequence), as F1.

    The units: "words" for English; "characters" for Chinese, words in other letters whole; or "jieba words".
    """
    cut, common = CUTTERS[unit], COMMON[kind]

    def score(prediction: str, reference: Any) -> float:
        found = cut(prediction)
        return max(common(found, cut(text)) for text in wanted(reference))

    def rows(predictions: Sequence[str], references: Sequence[Any]) -> Rows:
        return mean_rows([score(*pair) for pair in zip(predictions, references, strict=True)])

    name = f"ROUGE-{kind}" if unit == "words" else f"ROUGE-{kind} ({unit})"
    return Metric(name, rows, ratio_of_sums, detail=lambda references: DETAILS[unit])


def longest_common(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    """The length of the longest common subsequence.

    The bits of one integer are a column of the usual table (Hyyrö 2004): 100,000 units take a second, not hours.
    """
    places: dict[Hashable, list[int]] = {}
    for place, unit in enumerate(first):
        places.setdefault(unit, []).append(place)

    @lru_cache(REMEMBERED_UNITS)
    def bits(unit: Hashable) -> int:
        return sum(1 << place for place in places.get(unit, ()))

    full = (1 << len(first)) - 1
    column = full
    for unit in second:
        met = column & bits(unit)
        column = (column + met | column - met) & full
    return len(first) - column.bit_count()


def _english(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _characters(text: str) -> list[str]:
    return _said(characters(text.lower()))


def _jieba_words(text: str) -> list[str]:
    return _said(words(text.lower()))


def _said(units: Sequence[str]) -> list[str]:
    """Without punctuation, which English leaves out as well."""
    return [unit for unit in units if any(map(str.isalnum, unit))]


def _unigrams(found: Sequence[Hashable], sought: Sequence[Hashable]) -> float:
    return _f1((Counter(found) & Counter(sought)).total(), len(found), len(sought))


def _bigrams(found: Sequence[str], sought: Sequence[str]) -> float:
    return _unigrams(list(pairwise(found)), list(pairwise(sought)))


def _subsequence(found: Sequence[str], sought: Sequence[str]) -> float:
    return _f1(longest_common(sought, found), len(found), len(sought))


def _f1(common: int, found: int, sought: int) -> float:
    """By precision and recall, so that the last digit is rouge_score's."""
    precision, recall = common / max(found, 1), common / max(sought, 1)
    return 2 * precision * recall / (precision + recall) if common else 0.0


_WORD = re.compile("[a-z0-9]+")
CUTTERS: dict[Unit, Callable[[str], list[str]]] = {
    "words": _english,
    "characters": _characters,
    "jieba words": _jieba_words,
}
COMMON: dict[Kind, Callable[[Sequence[str], Sequence[str]], float]] = {
    "1": _unigrams,
    "2": _bigrams,
    "L": _subsequence,
}
DETAILS: dict[Unit, str] = {
    "words": "F1; English words, lower-cased, without stemming",
    "characters": "F1; Chinese characters and other words, lower-cased, without punctuation",
    "jieba words": "F1; words by jieba's dictionary, lower-cased, without punctuation",
}
