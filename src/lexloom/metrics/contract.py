"""What a metric is: a function of predictions and references, in two steps so that examples can be resampled.

Axes: N examples, K numbers that one example contributes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """`value(rows(predictions, references))` is the figure; `value(rows[drawn])` is that of a resample.

    Accuracy's rows are 0 or 1 and its value the mean; F1's rows are counts and its value a ratio of their sums;
    Spearman's rows are the pairs themselves.
    """

    name: str
    """As the field calls it: `accuracy`, `macro F1`, `entity F1 (strict)`, `exact match`."""
    rows: Callable[[Sequence[Any], Sequence[Any]], Rows]
    """(predictions, references), N of each → (N, K)."""
    value: Callable[[Rows], float]
    """(N, K) → the figure; higher is better. Where a denominator is 0 the figure is 0, as scikit-learn has it."""
    percent: bool = True
    """Whether people state it times 100."""
