"""Figures from what a model thinks of answers that people gave, instead of from answers of its own.

Axes: N examples.
"""

from collections.abc import Callable, Sequence
from math import log
from typing import Any, NamedTuple

import numpy as np

from lexloom.metrics.contract import Metric, Rows, mean_rows, ratio_of_sums


class Likelihood(NamedTuple):
    """How probable a model finds the answers of an example: −log p in nats, over so many tokens and bytes of text."""

    nats: float
    tokens: int
    utf8_bytes: int


class Preferring(NamedTuple):
    """The log-probabilities of two answers in nats, and the margin of the first one's reward over the second's."""

    chosen: float
    rejected: float
    margin: float


def bits_per_byte() -> Metric:
    """Bits that the answers cost, by their bytes in UTF-8, so that models with other tokenizers can be compared."""

    def rows(predictions: Sequence[Likelihood], references: Sequence[Any]) -> Rows:
        return _pairs([(one.nats / log(2), one.utf8_bytes) for one in predictions])

    return Metric("bits per byte of answers", rows, ratio_of_sums, percent=False, lower_is_better=True)


def nats_per_token() -> Metric:
    """The mean of −log p(token) over the tokens of the answers."""

    def rows(predictions: Sequence[Likelihood], references: Sequence[Any]) -> Rows:
        return _pairs([(one.nats, one.tokens) for one in predictions])

    return Metric("nats per token", rows, ratio_of_sums, percent=False, lower_is_better=True)


def preference_accuracy() -> Metric:
    """The share of pairs whose chosen answer has the higher reward; equal rewards count half."""
    return _mean("preference accuracy", lambda one: 0.5 * (1 + np.sign(one.margin)), percent=True)


def reward_margin() -> Metric:
    """The mean reward of the chosen answer less that of the rejected one."""
    return _mean("reward margin", lambda one: one.margin)


def chosen_log_probability() -> Metric:
    """The mean log-probability of the chosen answers, in nats."""
    return _mean("chosen log-probability", lambda one: one.chosen)


def rejected_log_probability() -> Metric:
    """The mean log-probability of the rejected answers, in nats; that it falls is what is learned."""
    return _mean("rejected log-probability", lambda one: one.rejected)


def _mean(name: str, value: Callable[[Preferring], float], *, percent: bool = False) -> Metric:
    def rows(predictions: Sequence[Preferring], references: Sequence[Any]) -> Rows:
        return mean_rows([float(value(one)) for one in predictions])

    return Metric(name, rows, ratio_of_sums, percent=percent)


def _pairs(values: Sequence[tuple[float, float]]) -> Rows:
    return np.array(values, np.float64).reshape(len(values), 2)
