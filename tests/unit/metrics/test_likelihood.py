"""Figures of likelihood are ratios of sums, so that long answers count for more than short ones."""

from math import log

import pytest

from lexloom.evaluate.figures import paired
from lexloom.metrics.likelihood import (
    Likelihood,
    Preferring,
    bits_per_byte,
    chosen_log_probability,
    nats_per_token,
    preference_accuracy,
    rejected_log_probability,
    reward_margin,
)

ANSWERS = [Likelihood(2.0, 2, 4), Likelihood(6.0, 10, 12)]
PAIRS = [Preferring(-1.0, -3.0, 0.2), Preferring(-5.0, -4.0, -0.1), Preferring(-2.0, -2.0, 0.0)]


def value(metric, predictions):
    return metric.value(metric.rows(predictions, [None] * len(predictions)))


def test_bits_by_bytes_and_nats_by_tokens():
    assert value(bits_per_byte(), ANSWERS) == pytest.approx(8 / log(2) / 16)
    assert value(nats_per_token(), ANSWERS) == pytest.approx(8 / 12)
    assert bits_per_byte().lower_is_better
    assert nats_per_token().lower_is_better


def test_preferences():
    assert value(preference_accuracy(), PAIRS) == pytest.approx((1 + 0 + 0.5) / 3)
    assert value(reward_margin(), PAIRS) == pytest.approx(0.1 / 3)
    assert value(chosen_log_probability(), PAIRS) == pytest.approx(-8 / 3)
    assert value(rejected_log_probability(), PAIRS) == pytest.approx(-3)


@pytest.mark.parametrize("metric", [bits_per_byte(), nats_per_token(), preference_accuracy()], ids=lambda one: one.name)
def test_nothing_is_nought(metric):
    assert value(metric, []) == 0


def test_a_model_that_finds_every_answer_likelier_is_told_apart():
    before = [Likelihood(10.0 + number % 3, 5, 20) for number in range(30)]
    after = [one._replace(nats=one.nats - 1.0 - 0.1 * (number % 2)) for number, one in enumerate(before)]
    found = paired(bits_per_byte(), before, after, [None] * 30)
    assert found is not None
    assert found.real
    assert found.value == pytest.approx(-1.05 / log(2) / 20)
