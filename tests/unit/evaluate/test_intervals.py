"""Intervals hold what they promise."""

import numpy as np
import pytest

from lexloom.evaluate.intervals import LEVEL, difference, ratio, resampled_ratios


def test_resampling_equals_a_plain_loop():
    rng = np.random.default_rng(0)
    above, below = rng.random(7), rng.random(7) + 1
    from lexloom.base.rng import generator

    draws = generator("bootstrap", 3, 7)
    expected = []
    for _ in range(50):
        units = draws.integers(0, 7, size=7)
        expected.append(sum(above[u] for u in units) / sum(below[u] for u in units))
    assert resampled_ratios(above, below, seed=3, resamples=50) == pytest.approx(expected)


def test_chunked_resampling_equals_one_chunk(monkeypatch):
    rng = np.random.default_rng(0)
    above, below = rng.random(40), rng.random(40) + 1
    whole = resampled_ratios(above, below, seed=1, resamples=101)
    monkeypatch.setattr("lexloom.evaluate.intervals.DRAWS_AT_ONCE", 97)
    assert np.array_equal(resampled_ratios(above, below, seed=1, resamples=101), whole)


def test_interval_holds_the_truth_about_as_often_as_its_level_says():
    rng = np.random.default_rng(5)
    held = 0
    for trial in range(200):
        estimate = ratio(rng.normal(3.0, 1.0, size=60), np.ones(60), seed=trial)
        held += estimate.low <= 3.0 <= estimate.high
    assert LEVEL - 0.06 <= held / 200 <= LEVEL + 0.04


def test_paired_test_sees_a_difference_that_separate_intervals_hide():
    rng = np.random.default_rng(1)
    first = rng.normal(100, 30, size=200)
    second = first + rng.normal(0.5, 1.0, size=200)
    below = np.ones(200)
    found = difference(first, second, below)
    assert found.real
    assert found.p < 0.01
    assert found.value == pytest.approx((second - first).mean())
    assert ratio(first, below).high > ratio(second, below).low


def test_equal_models_do_not_differ():
    values = np.random.default_rng(0).random(50)
    found = difference(values, values.copy(), np.ones(50))
    assert (found.value, found.low, found.high, found.p, found.real) == (0, 0, 0, 1, False)


def test_a_false_alarm_is_as_rare_as_it_should_be():
    rng = np.random.default_rng(2)
    alarms = sum(difference(rng.random(80), rng.random(80), np.ones(80), seed=n).real for n in range(200))
    assert alarms <= 20


def test_one_unit_has_no_interval():
    estimate = ratio(np.array([2.0]), np.array([4.0]))
    assert (estimate.value, estimate.low, estimate.high) == (0.5, None, None)
    assert difference(np.array([2.0]), np.array([3.0]), np.array([4.0])) is None


def test_same_seed_same_interval():
    values = np.random.default_rng(0).random(30)
    assert ratio(values, np.ones(30), seed=4) == ratio(values, np.ones(30), seed=4)
    assert ratio(values, np.ones(30), seed=4) != ratio(values, np.ones(30), seed=5)
