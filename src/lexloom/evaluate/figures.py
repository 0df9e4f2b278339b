"""Any metric with its interval, and whether two models differ by it.

What is resampled are examples, or groups of examples that depend on one another (questions about one passage); see
`intervals` for the method.
Axes: N examples, U units that are drawn (examples or groups), Q kinds of units, K numbers per row, R resamples.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lexloom.evaluate.intervals import Difference, Estimate, apart, draws, estimate
from lexloom.metrics.contract import Metric, Rows

Floats = NDArray[np.float64]
Units = NDArray[np.int64]
Groups = Sequence[Hashable] | None
"""For each example the group that it belongs to; examples of one group are drawn together."""


def figure(
    metric: Metric, predictions: Sequence[Any], references: Sequence[Any], *, seed: int = 0, groups: Groups = None
) -> Estimate:
    """The metric over all examples, with its interval; no interval for a single example (or group), or none."""
    return figures([metric], predictions, references, seed=seed, groups=groups)[metric.name]


def figures(
    metrics: Iterable[Metric],
    predictions: Sequence[Any],
    references: Sequence[Any],
    *,
    seed: int = 0,
    groups: Groups = None,
) -> dict[str, Estimate]:
    """Several metrics by their names, over the same resamples."""
    assert len(predictions) == len(references), "every prediction needs its reference"
    metrics = list(metrics)
    rows = [metric.rows(predictions, references) for metric in metrics]
    values = [metric.value(rows_NK) for metric, rows_NK in zip(metrics, rows, strict=True)]
    unit_N = _units(len(references), groups)
    if _count(unit_N) <= 1:
        return {metric.name: Estimate(value, None, None) for metric, value in zip(metrics, values, strict=True)}
    resampled = _resampled(list(zip(metrics, rows, strict=True)), unit_N, seed)
    return {
        metric.name: estimate(value, values_R)
        for metric, value, values_R in zip(metrics, values, resampled, strict=True)
    }


def paired(
    metric: Metric,
    first: Sequence[Any],
    second: Sequence[Any],
    references: Sequence[Any],
    *,
    seed: int = 0,
    groups: Groups = None,
) -> Difference | None:
    """The second model's figure minus the first's on the same examples, with a paired test.

    Both are resampled together, so that examples which are hard for both don't blur the difference. None where there
    are fewer than two examples (or groups).
    """
    assert len(first) == len(second) == len(references), "a paired test needs the same examples twice"
    unit_N = _units(len(references), groups)
    if _count(unit_N) <= 1:
        return None
    rows = [metric.rows(predictions, references) for predictions in (first, second)]
    first_R, second_R = _resampled([(metric, rows_NK) for rows_NK in rows], unit_N, seed)
    return apart(metric.value(rows[1]) - metric.value(rows[0]), second_R - first_R)


def _units(examples: int, groups: Groups) -> Units:
    """For each example the number of the unit that it is drawn with, (N)."""
    if groups is None:
        return np.arange(examples)
    assert len(groups) == examples, "every example needs its group"
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(group, len(numbers)) for group in groups], np.int64)


def _count(unit_N: Units) -> int:
    return int(unit_N.max(initial=-1)) + 1


def _resampled(judged: Sequence[tuple[Metric, Rows]], unit_N: Units, seed: int) -> list[Floats]:
    """For each metric and its rows (N, K) the figures of the resamples, (R); all see the same draws."""
    units = _count(unit_N)
    kinds = [_kinds(_unit_sums(rows_NK, unit_N)) if metric.additive else None for metric, rows_NK in judged]
    whole = not all(metric.additive for metric, _ in judged)
    values: list[list[float]] = [[] for _ in judged]
    for drawn_RU in draws(units, seed=seed):
        times_RU = _times(drawn_RU, units) if whole else None
        for found, kind, (metric, rows_NK) in zip(values, kinds, judged, strict=True):
            if kind is not None:
                sums_RK = _times(kind.of_U[drawn_RU], len(kind.sums_QK)).astype(np.float64) @ kind.sums_QK
                found.extend(metric.value(sums_K[None]) for sums_K in sums_RK)
            elif times_RU is not None:
                found.extend(metric.value(np.repeat(rows_NK, times_U[unit_N], axis=0)) for times_U in times_RU)
    return [np.array(found) for found in values]


@dataclass(frozen=True)
class _Kinds:
    """Units that contribute the same are of one kind, of which there are few where examples are right or wrong."""

    of_U: Units  # noqa: N815
    sums_QK: Rows  # noqa: N815


def _kinds(sums_UK: Rows) -> _Kinds:
    numbers: dict[bytes, int] = {}
    of_U = np.array([numbers.setdefault(sums_K.tobytes(), len(numbers)) for sums_K in sums_UK], np.int64)
    _, firsts_Q = np.unique(of_U, return_index=True)
    return _Kinds(of_U, sums_UK[firsts_Q])


def _times(drawn_RU: Units, kinds: int) -> Units:
    """How often each of 0 … kinds − 1 was drawn in each resample, (R, kinds)."""
    offset_R1 = np.arange(len(drawn_RU))[:, None] * kinds
    return np.bincount((drawn_RU + offset_R1).ravel(), minlength=len(drawn_RU) * kinds).reshape(-1, kinds)


def _unit_sums(rows_NK: Rows, unit_N: Units) -> Rows:
    sums_UK = np.zeros((_count(unit_N), rows_NK.shape[1]))
    np.add.at(sums_UK, unit_N, rows_NK)
    return sums_UK
