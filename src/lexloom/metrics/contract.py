"""What a metric is: a function of predictions and references, in two steps so that examples can be resampled.

Axes: N examples, K numbers that one example contributes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """`value(rows(predictions, references))` is the figure; `value(rows[drawn])` is that of a resample.

    Accuracy's rows are (right or not, 1) and its value the ratio of their sums; F1's rows are counts; Spearman's rows
    are the pairs themselves.
    """

    name: str
    """As the field calls it: `accuracy`, `macro F1`, `entity F1 (strict)`, `exact match`."""
    rows: Callable[[Sequence[Any], Sequence[Any]], Rows]
    """(predictions, references), N of each → (N, K)."""
    value: Callable[[Rows], float]
    """(N, K) → the figure. Where a denominator is 0 the figure is 0, as scikit-learn has it."""
    percent: bool = True
    """Whether people state it times 100."""
    additive: bool = True
    """Whether the figure depends on the sum of the rows alone: `value(rows) == value(rows.sum(0, keepdims=True))`.

    Then a resample costs a product of counts and rows instead of a copy of the rows.
    """
    lower_is_better: bool = False
    """True for errors; every other figure is better the higher it is."""
    detail: Callable[[Sequence[Any]], str] = field(default=lambda references: "")
    """references → what must be known to compare the figure with others': tokenisation, case, version."""


def ratio_of_sums(rows_NK: Rows) -> float:
    """The first column's sum over the second's; 0 where that is 0."""
    above, below = rows_NK.sum(axis=0)
    return float(above / below) if below > 0 else 0.0


def mean_rows(values: Sequence[float]) -> Rows:
    """Rows whose `ratio_of_sums` is the mean of one value per example: (value, 1)."""
    return np.array([(value, 1.0) for value in values], np.float64).reshape(len(values), 2)
