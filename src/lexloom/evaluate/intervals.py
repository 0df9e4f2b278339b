"""How sure a number is: the percentile bootstrap, for one model and for the difference between two.

What is resampled are units of text (documents, or blocks of long ones), never tokens, because tokens of one document
are not independent. Source: Efron and Tibshirani 1993, chapters 8, 13 and 16; Koehn 2004 for the paired form.
Axes: U units of text, R resamples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from lexloom.base.rng import generator

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

RESAMPLES = 2_000
LEVEL = 0.95
DRAWS_AT_ONCE = 1 << 22  # 32 MB of indices


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Both ends are None where resampling can't tell: there is too little text, or every resample gives the same number.
    """

    value: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.4g} (no interval: too little text, or all of it alike)"
        return f"{self.value:.4g} ({self.low:.4g} to {self.high:.4g})"


@dataclass(frozen=True)
class Difference:
    """The second number minus the first, on the same text."""

    value: float
    low: float
    high: float
    p: float
    """Two-sided: how often chance alone would show a difference as large; at least 2 / (resamples + 1)."""

    @property
    def real(self) -> bool:
        """Whether the interval leaves zero out."""
        return not self.low <= 0 <= self.high

    def to_json(self) -> dict[str, float | bool]:
        """The fields and the verdict."""
        return {**asdict(self), "real": self.real}


def draws(units: int, *, seed: int, resamples: int = RESAMPLES) -> Iterator[Indices]:
    """Units drawn with replacement, (resamples at once, U) until there are `resamples` of them.

    The same seed and U draw the same units, which is what makes two calls paired.
    """
    rng = generator("bootstrap", seed, units)
    step = max(1, DRAWS_AT_ONCE // units)
    for start in range(0, resamples, step):
        yield rng.integers(0, units, size=(min(step, resamples - start), units))


def resampled_ratios(above_U: Floats, below_U: Floats, *, seed: int, resamples: int = RESAMPLES) -> Floats:
    """sum(above) / sum(below) over `resamples` draws of U units with replacement, (R,).

    NaN where all that was drawn sums to nothing below.
    """
    return np.concatenate(
        [
            _quotients(above_U[drawn_RU].sum(axis=1), below_U[drawn_RU].sum(axis=1))
            for drawn_RU in draws(above_U.size, seed=seed, resamples=resamples)
        ]
    )


def ratio(above_U: Floats, below_U: Floats, *, seed: int = 0) -> Estimate:
    """sum(above) / sum(below) with its interval; needs one unit or more and a positive sum below."""
    assert above_U.size == below_U.size > 0, "there is nothing to estimate from"
    return estimate(float(above_U.sum() / below_U.sum()), resampled_ratios(above_U, below_U, seed=seed))


def difference(first_U: Floats, second_U: Floats, below_U: Floats, *, seed: int = 0) -> Difference | None:
    """Whether two models differ: sum(second − first) / sum(below), resampling the same units for both.

    None where there is too little text to resample.
    """
    assert first_U.size == second_U.size == below_U.size > 0, "a paired test needs the same units of text twice"
    if below_U.size == 1:
        return None
    apart_U = second_U - first_U
    return apart(float(apart_U.sum() / below_U.sum()), resampled_ratios(apart_U, below_U, seed=seed))


def estimate(value: float, values_R: Floats) -> Estimate:
    """The number with the interval that its resamples `values_R` span; NaN among them means too little text."""
    if np.isnan(values_R).any() or (values_R == values_R[0]).all():
        return Estimate(value, None, None)
    return Estimate(value, *_interval(values_R))


def apart(value: float, apart_R: Floats) -> Difference | None:
    """The difference with its interval and test from resampled differences; None if NaN is among them."""
    if np.isnan(apart_R).any():
        return None
    low, high = _interval(apart_R)
    rarer = min(np.count_nonzero(apart_R <= 0), np.count_nonzero(apart_R >= 0))
    p = min(1.0, 2 * (int(rarer) + 1) / (apart_R.size + 1))
    return Difference(value, low, high, p)


def holm(ps: Sequence[float]) -> list[float]:
    """The p of several tests, corrected so that the chance of any false alarm stays below the level that each is held
    against. Source: Holm 1979, A simple sequentially rejective multiple test procedure."""
    corrected = [0.0] * len(ps)
    least = 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda place: ps[place])):
        least = max(least, min(1.0, ps[place] * (len(ps) - rank)))
        corrected[place] = least
    return corrected


def _quotients(above_R: Floats, below_R: Floats) -> Floats:
    return np.divide(above_R, below_R, out=np.full_like(above_R, np.nan), where=below_R > 0)


def _interval(values_R: Floats) -> tuple[float, float]:
    low, high = np.quantile(values_R, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
