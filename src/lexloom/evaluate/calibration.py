"""Whether a model's probabilities can be taken at their word: of what it is 80 % sure of, is 80 % right?

Axes: N examples, C labels, B bins of equal width over the confidence (the probability of the most probable label).
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lexloom.base.rng import generator
from lexloom.evaluate.intervals import LEVEL, Estimate, ratio

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

BINS = 15  # as in Guo et al. 2017
SIMULATIONS = 200  # enough for the 95th percentile of a chance figure, to two digits
LEAST_PROBABILITY = 1e-12  # what a probability of 0 counts as, where its logarithm is taken
TEMPERATURES = (0.05, 20.0)  # what a temperature is looked for between


@dataclass(frozen=True)
class Bin:
    """The examples whose confidence lies above `low` and up to `high`."""

    low: float
    high: float
    examples: int
    confidence: float | None
    """Their mean confidence; None if there are no examples."""
    accuracy: float | None
    """The share of them that is right; None if there are no examples."""


@dataclass(frozen=True)
class Calibration:
    """How far confidence and accuracy are apart."""

    examples: int
    expected_error: float
    """Expected calibration error: |accuracy − confidence| of each example's bin, averaged (Naeini et al. 2015)."""
    chance_error: float
    """What the expected error of a perfectly calibrated model with these confidences stays below, 95 times in 100."""
    brier: Estimate
    """The mean squared distance between probabilities and truth, summed over labels: 0 to 2 (Brier 1950)."""
    temperature: float
    """What logits must be divided by to fit best on these very examples: above 1 where the model is too sure."""
    mended_error: float
    """The expected error at that temperature, on these very examples."""
    bins: tuple[Bin, ...]

    @property
    def calibrated(self) -> bool:
        """Whether the error is no larger than chance makes it."""
        return self.expected_error <= self.chance_error

    def to_json(self) -> dict[str, Any]:
        """The fields and the verdict."""
        return {**asdict(self), "calibrated": self.calibrated}


def calibration(probabilities_NC: Floats, targets_N: Numbers, *, bins: int = BINS, seed: int = 0) -> Calibration:
    """Compare probabilities (each row sums to 1) with the numbers of the true labels; one example or more."""
    probabilities_NC = np.asarray(probabilities_NC, np.float64)
    targets_N = np.asarray(targets_N, np.int64)
    assert probabilities_NC.shape[0] == targets_N.size > 0, "there is nothing to calibrate"
    confidence_N = probabilities_NC.max(axis=1)
    right_N = (probabilities_NC.argmax(axis=1) == targets_N).astype(np.float64)
    temperature = best_temperature(probabilities_NC, targets_N)
    return Calibration(
        examples=targets_N.size,
        expected_error=expected_error(confidence_N, right_N, bins=bins),
        chance_error=_chance_error(confidence_N, bins, seed),
        brier=_brier(probabilities_NC, targets_N, seed),
        temperature=temperature,
        mended_error=expected_error(tempered(probabilities_NC, temperature).max(axis=1), right_N, bins=bins),
        bins=reliability(confidence_N, right_N, bins=bins),
    )


def reliability(confidence_N: Floats, right_N: Floats, *, bins: int = BINS) -> tuple[Bin, ...]:
    """What a reliability diagram shows."""
    bin_N = _bin_of(confidence_N, bins)
    count_B, confidence_B, right_B = (
        np.bincount(bin_N, weights, bins) for weights in (np.ones_like(confidence_N), confidence_N, right_N)
    )
    return tuple(
        Bin(
            number / bins,
            (number + 1) / bins,
            int(count),
            float(confidence / count) if count else None,
            float(right / count) if count else None,
        )
        for number, (count, confidence, right) in enumerate(zip(count_B, confidence_B, right_B, strict=True))
    )


def expected_error(confidence_N: Floats, right_N: Floats, *, bins: int = BINS) -> float:
    """The expected calibration error, between 0 and 1."""
    return _expected_error(_bin_of(confidence_N, bins), confidence_N, right_N, bins)


def best_temperature(probabilities_NC: Floats, targets_N: Numbers) -> float:
    """The temperature of the least log loss (Guo et al. 2017).

    The loss is convex in 1 / temperature, so halving the interval finds where its slope is 0.
    """
    logits_NC = np.log(np.maximum(probabilities_NC, LEAST_PROBABILITY))
    wanted = logits_NC[np.arange(targets_N.size), targets_N].sum()
    cold, hot = (math.log(temperature) for temperature in TEMPERATURES)
    while hot - cold > 1e-6:
        middle = (cold + hot) / 2
        too_sure = (tempered(probabilities_NC, math.exp(middle)) * logits_NC).sum() > wanted
        cold, hot = (middle, hot) if too_sure else (cold, middle)
    return math.exp((cold + hot) / 2)


def tempered(probabilities_NC: Floats, temperature: float) -> Floats:
    """The probabilities that the same logits give when they are divided by the temperature."""
    logits_NC = np.log(np.maximum(probabilities_NC, LEAST_PROBABILITY)) / temperature
    powers_NC = np.exp(logits_NC - logits_NC.max(axis=1, keepdims=True))
    return np.asarray(powers_NC / powers_NC.sum(axis=1, keepdims=True), np.float64)


def _bin_of(confidence_N: Floats, bins: int) -> Numbers:
    return np.clip(np.ceil(confidence_N * bins).astype(np.int64) - 1, 0, bins - 1)


def _expected_error(bin_N: Numbers, confidence_N: Floats, right_N: Floats, bins: int) -> float:
    return float(np.abs(np.bincount(bin_N, right_N - confidence_N, bins)).sum() / confidence_N.size)


def _chance_error(confidence_N: Floats, bins: int, seed: int) -> float:
    """Labels drawn from the confidences themselves show what error is left by chance (Bröcker and Smith 2007)."""
    rng, bin_N = generator("calibration", seed), _bin_of(confidence_N, bins)
    errors = [
        _expected_error(bin_N, confidence_N, (rng.random(confidence_N.size) < confidence_N).astype(np.float64), bins)
        for _ in range(SIMULATIONS)
    ]
    return float(np.quantile(errors, LEVEL))


def _brier(probabilities_NC: Floats, targets_N: Numbers, seed: int) -> Estimate:
    truth_NC = np.zeros_like(probabilities_NC)
    truth_NC[np.arange(targets_N.size), targets_N] = 1
    return ratio(((probabilities_NC - truth_NC) ** 2).sum(axis=1), np.ones(targets_N.size), seed=seed)
