"""Metrics for several labels per example, or none; predictions and references are collections of labels.

Equal to scikit-learn's on the indicator matrix of the labels, with `zero_division=0`.
"""

from collections.abc import Sequence
from typing import Any

from lexloom.metrics.contract import Metric, Rows, mean_rows, ratio_of_sums
from lexloom.metrics.counts import Average, counted, f1_of, precision_of, recall_of


def subset_accuracy() -> Metric:
    """The share of examples with exactly the right labels."""

    def rows(predictions: Sequence[Any], references: Sequence[Any]) -> Rows:
        pairs = zip(predictions, references, strict=True)
        return mean_rows([set(prediction) == set(reference) for prediction, reference in pairs])

    return Metric("subset accuracy", rows, ratio_of_sums)


def multilabel_precision(average: Average, labels: Sequence[str] | None = None) -> Metric:
    """Of the labels given, the share that is right."""
    return counted(f"{average} precision", precision_of, average, things=tuple, classes=labels)


def multilabel_recall(average: Average, labels: Sequence[str] | None = None) -> Metric:
    """Of the true labels, the share that is given."""
    return counted(f"{average} recall", recall_of, average, things=tuple, classes=labels)


def multilabel_f1(average: Average, labels: Sequence[str] | None = None) -> Metric:
    """The harmonic mean of precision and recall; `labels` limits the labels that count."""
    return counted(f"{average} F1", f1_of, average, things=tuple, classes=labels)
