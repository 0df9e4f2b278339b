"""How sure a number is: the percentile bootstrap, for one model and for the difference between two.

What is resampled are units of text (documents, or blocks of long ones), never tokens, because tokens of one document
are not independent. Source: Efron and Tibshirani 1993, chapters 8, 13 and 16; Koehn 2004 for the paired form.
Axes: U units of text, R resamples.
"""

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from lexloom.base.rng import generator

Floats = npt.NDArray[np.float64]

RESAMPLES = 2_000
LEVEL = 0.95
DRAWS_AT_ONCE = 1 << 22  # 32 MB of indices


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; both ends are None where there is too little text to resample."""

    value: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.4g} (too little text for an interval)"
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


def resampled_ratios(above_U: Floats, below_U: Floats, *, seed: int, resamples: int = RESAMPLES) -> Floats:
    """sum(above) / sum(below) over `resamples` draws of U units with replacement, (R,).

    The same seed and U draw the same units, which is what makes two calls paired. NaN where all that was drawn sums to
    nothing below.
    """
    units = above_U.size
    rng = generator("bootstrap", seed, units)
    ratios_R = np.full(resamples, np.nan)
    step = max(1, DRAWS_AT_ONCE // units)
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        drawn_RU = rng.integers(0, units, size=(count, units))
        below_R = below_U[drawn_RU].sum(axis=1)
        np.divide(above_U[drawn_RU].sum(axis=1), below_R, out=ratios_R[start : start + count], where=below_R > 0)
    return ratios_R


def ratio(above_U: Floats, below_U: Floats, *, seed: int = 0) -> Estimate:
    """sum(above) / sum(below) with its interval; needs one unit or more and a positive sum below."""
    assert above_U.size == below_U.size > 0, "there is nothing to estimate from"
    value = float(above_U.sum() / below_U.sum())
    ratios_R = resampled_ratios(above_U, below_U, seed=seed)
    if above_U.size == 1 or np.isnan(ratios_R).any():
        return Estimate(value, None, None)
    return Estimate(value, *_interval(ratios_R))


def difference(first_U: Floats, second_U: Floats, below_U: Floats, *, seed: int = 0) -> Difference | None:
    """Whether two models differ: sum(second − first) / sum(below), resampling the same units for both.

    None where there is too little text to resample.
    """
    assert first_U.size == second_U.size == below_U.size > 0, "a paired test needs the same units of text twice"
    apart_U = second_U - first_U
    apart_R = resampled_ratios(apart_U, below_U, seed=seed)
    if below_U.size == 1 or np.isnan(apart_R).any():
        return None
    low, high = _interval(apart_R)
    rarer = min(np.count_nonzero(apart_R <= 0), np.count_nonzero(apart_R >= 0))
    p = min(1.0, 2 * (int(rarer) + 1) / (apart_R.size + 1))
    return Difference(float(apart_U.sum() / below_U.sum()), low, high, p)


def _interval(values_R: Floats) -> tuple[float, float]:
    low, high = np.quantile(values_R, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
