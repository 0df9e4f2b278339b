"""Metrics for one label per example: accuracy, precision, recall, F1, Matthews; and the right one among the first k.

Predictions and references are labels. Equal to scikit-learn's with `zero_division=0`.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

from lexloom.metrics.contract import Metric, Rows, mean_rows, ratio_of_sums
from lexloom.metrics.counts import Average, Score, count_rows, counted, f1_of, precision_of, recall_of, totals

LabelAverage = Average | Literal["binary"]
Labels = Sequence[str] | None


def accuracy() -> Metric:
    """The share of examples whose label is right."""
    return Metric("accuracy", _right_rows, ratio_of_sums)


def top_accuracy(first: int) -> Metric:
    """The share of examples whose reference is among the first candidates; predictions are ranked lists."""
    assert first >= 1, "at least one candidate must count"

    def rows(predictions: Sequence[Any], references: Sequence[Any]) -> Rows:
        return mean_rows(
            [reference in ranked[:first] for ranked, reference in zip(predictions, references, strict=True)]
        )

    return Metric(f"top-{first} accuracy", rows, ratio_of_sums)


def precision(average: LabelAverage, labels: Labels = None, *, positive: str | None = None) -> Metric:
    """Of the predictions of a label, the share that is right. Arguments as in `f1`."""
    return _labels_counted("precision", precision_of, average, labels, positive)


def recall(average: LabelAverage, labels: Labels = None, *, positive: str | None = None) -> Metric:
    """Of the examples with a label, the share that is found. Arguments as in `f1`."""
    return _labels_counted("recall", recall_of, average, labels, positive)


def f1(average: LabelAverage, labels: Labels = None, *, positive: str | None = None) -> Metric:
    """The harmonic mean of precision and recall.

    `labels` limits the labels that count (all that occur if not given); "binary" counts the label `positive` alone.
    """
    return _labels_counted("F1", f1_of, average, labels, positive)


def matthews() -> Metric:
    """Matthews' correlation between predicted and true labels, for two labels or more (Gorodkin 2004)."""

    def rows(predictions: Sequence[Any], references: Sequence[Any]) -> Rows:
        return count_rows([{label} for label in predictions], [{label} for label in references])

    return Metric("Matthews", rows, _matthews)


def _labels_counted(name: str, score: Score, average: LabelAverage, labels: Labels, positive: str | None) -> Metric:
    if average == "binary":
        assert positive is not None, "a binary average needs to know the positive label"
        return counted(f"{name} ({positive})", score, "micro", things=_alone, classes=(positive,))
    return counted(f"{average} {name}", score, average, things=_alone, classes=labels)


def _alone(label: Any) -> tuple[Any]:
    return (label,)


def _right_rows(predictions: Sequence[Any], references: Sequence[Any]) -> Rows:
    return mean_rows([prediction == reference for prediction, reference in zip(predictions, references, strict=True)])


def _matthews(rows: Rows) -> float:
    hits_C, predicted_C, wanted_C = totals(rows)
    examples = wanted_C.sum()
    spread = (examples**2 - predicted_C @ predicted_C) * (examples**2 - wanted_C @ wanted_C)
    return float((hits_C.sum() * examples - predicted_C @ wanted_C) / math.sqrt(spread)) if spread > 0 else 0.0
