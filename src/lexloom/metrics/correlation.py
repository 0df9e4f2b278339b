"""Metrics for numbers: Pearson's and Spearman's correlation, mean squared and mean absolute error.

Equal to scipy's and scikit-learn's, but where one side is constant the correlation is 0, not undefined.
Axes: N examples, D distinct values.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from lexloom.base.errors import DataError
from lexloom.metrics.contract import Metric, Rows, mean_rows, ratio_of_sums

Numbers = Sequence[float]
CONSTANT = 1e-12  # a variance below this share of the mean square is rounding


def pearson() -> Metric:
    """How near predictions and references lie to one straight line."""
    return Metric("Pearson", _moments, _pearson)


def spearman() -> Metric:
    """Pearson's correlation of the ranks; equal numbers share the mean of their ranks."""
    return Metric("Spearman", _places, _spearman, additive=False)


def mean_squared_error() -> Metric:
    """The mean of the squared differences."""
    return _error("mean squared error", np.square)


def mean_absolute_error() -> Metric:
    """The mean of the absolute differences."""
    return _error("mean absolute error", np.abs)


def _error(name: str, size: Callable[[Rows], Rows]) -> Metric:
    def rows(predictions: Numbers, references: Numbers) -> Rows:
        x_N, y_N = _pairs(predictions, references)
        return mean_rows(list(size(x_N - y_N)))

    return Metric(name, rows, ratio_of_sums, percent=False, lower_is_better=True)


def _pairs(predictions: Numbers, references: Numbers) -> tuple[Rows, Rows]:
    assert len(predictions) == len(references), "every prediction needs its reference"
    x_N, y_N = np.asarray(predictions, np.float64), np.asarray(references, np.float64)
    for name, numbers_N in (("prediction", x_N), ("reference", y_N)):
        if not np.isfinite(numbers_N).all():
            number = int(np.argmin(np.isfinite(numbers_N)))
            raise DataError(f"a {name} is not a finite number", where=f"example {number + 1}")
    return x_N, y_N


def _moments(predictions: Numbers, references: Numbers) -> Rows:
    """(1, x, y, x², y², x·y), centred and scaled, which alters no correlation and saves its digits."""
    x_N, y_N = (_standard(numbers) for numbers in _pairs(predictions, references))
    return np.stack([np.ones_like(x_N), x_N, y_N, x_N**2, y_N**2, x_N * y_N], axis=1)


def _standard(numbers_N: Rows) -> Rows:
    if numbers_N.size == 0 or numbers_N.min() == numbers_N.max():
        return np.zeros_like(numbers_N)
    scaled_N = numbers_N / np.abs(numbers_N).max()  # first, or squares of large numbers overflow
    return np.asarray((scaled_N - scaled_N.mean()) / scaled_N.std(), np.float64)


def _pearson(rows: Rows) -> float:
    count, x, y, xx, yy, xy = (float(total) for total in rows.sum(axis=0))
    if count == 0:
        return 0.0
    x_variance, y_variance = xx - x * x / count, yy - y * y / count
    if x_variance <= CONSTANT * xx or y_variance <= CONSTANT * yy:
        return 0.0
    return max(-1.0, min(1.0, (xy - x * y / count) / math.sqrt(x_variance * y_variance)))


def _places(predictions: Numbers, references: Numbers) -> Rows:
    """Each number's place among the distinct numbers of its side: ranks of a resample then need no sorting."""
    sides = [np.unique(numbers, return_inverse=True)[1] for numbers in _pairs(predictions, references)]
    return np.stack(sides, axis=1).astype(np.float64)


def _spearman(rows: Rows) -> float:
    middle = (len(rows) + 1) / 2  # the mean of all ranks, however many are shared
    x_N, y_N = (_mean_ranks(places_N) - middle for places_N in rows.astype(np.int64).T)
    spread = float(x_N @ x_N) * float(y_N @ y_N)
    return float(x_N @ y_N) / math.sqrt(spread) if spread > 0 else 0.0


def _mean_ranks(places_N: NDArray[np.int64]) -> Rows:
    counts_D = np.bincount(places_N)
    ranks_D = np.cumsum(counts_D) - (counts_D - 1) / 2
    return np.asarray(ranks_D[places_N], np.float64)
