"""Metrics for texts that a model writes: equal to a reference, and, of dialogue, how varied and how repetitive.

Predictions are texts; a reference is a text, or several that are as good.
Axes: N texts.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from lexloom.metrics.contract import Metric, Rows, mean_rows, ratio_of_sums
from lexloom.text.segmentation import words

Ngram = tuple[str, ...]


def wanted(reference: str | Sequence[str]) -> Sequence[str]:
    """The texts that are right, one or more."""
    texts = [reference] if isinstance(reference, str) else reference
    assert texts, "a reference needs a text, an empty one if nothing is to be said"
    return texts


def exact_text() -> Metric:
    """The share of texts equal to a reference, but for white space at the ends."""

    def rows(predictions: Sequence[str], references: Sequence[Any]) -> Rows:
        pairs = zip(predictions, references, strict=True)
        return mean_rows([prediction.strip() in {text.strip() for text in wanted(gold)} for prediction, gold in pairs])

    return Metric("exact text", rows, ratio_of_sums)


def distinct(order: int) -> Metric:
    """The distinct runs of `order` words in all texts together, by the number of words (Li et al. 2016).

    References are not looked at. An n-gram that several texts hold counts for each of them by its share, so that
    the rows sum to the figure; a resample is an approximation, since counting anew would find too few: some texts
    are drawn twice.
    """

    def rows(predictions: Sequence[str], references: Sequence[Any]) -> Rows:
        cut = [words(prediction) for prediction in predictions]
        held = [set(_ngrams(text, order)) for text in cut]
        holders = Counter(ngram for ngrams in held for ngram in ngrams)
        shares_N = [sum(1 / holders[ngram] for ngram in ngrams) for ngrams in held]
        return np.array([shares_N, [len(text) for text in cut]], np.float64).T

    return Metric(f"distinct-{order}", rows, ratio_of_sums, detail=_cut)


def repetition(order: int) -> Metric:
    """The share of a text's runs of `order` words that it has already said; the mean over texts.

    References are not looked at; a text of fewer words repeats nothing. As seq-rep-n in Welleck et al. 2020.
    """

    def rows(predictions: Sequence[str], references: Sequence[Any]) -> Rows:
        return mean_rows([_repeated(_ngrams(words(prediction), order)) for prediction in predictions])

    return Metric(f"repetition-{order}", rows, ratio_of_sums, lower_is_better=True, detail=_cut)


def _cut(references: Sequence[Any]) -> str:
    return "words of Chinese by jieba's dictionary; punctuation counts, and case"


def _ngrams(words: Sequence[str], order: int) -> list[Ngram]:
    return list(zip(*(words[start:] for start in range(order)), strict=False))


def _repeated(ngrams: Sequence[Ngram]) -> float:
    return 1 - len(set(ngrams)) / len(ngrams) if ngrams else 0.0
