"""Probabilities are compared with what comes true."""

import json

import numpy as np
import pytest

from lexloom.evaluate.calibration import best_temperature, calibration, expected_error, reliability, tempered


def simulated(rng, examples=4_000, labels=3, sureness=1.0):
    """Targets drawn from softmax(logits), and the probabilities of a model that multiplies the logits."""
    logits = 2 * rng.normal(size=(examples, labels))
    true = tempered(np.exp(logits) / np.exp(logits).sum(1, keepdims=True), 1.0)
    targets = (true.cumsum(1) > rng.random((examples, 1))).argmax(1)
    return tempered(true, 1 / sureness), targets


def test_a_calibrated_model_is_found_calibrated():
    found = [calibration(*simulated(np.random.default_rng(seed))) for seed in range(10)]
    assert sum(each.calibrated for each in found) >= 8
    assert all(0.9 < each.temperature < 1.1 for each in found)


@pytest.mark.parametrize("sureness", [0.4, 2.5])
def test_the_temperature_that_mends_a_model_is_found(sureness):
    found = calibration(*simulated(np.random.default_rng(0), sureness=sureness))
    assert found.temperature == pytest.approx(sureness, rel=0.1)
    assert not found.calibrated
    assert found.mended_error < found.expected_error / 3


def test_the_temperature_is_where_the_log_loss_is_least():
    probabilities, targets = simulated(np.random.default_rng(1), examples=200, sureness=3)

    def loss(temperature):
        return -np.log(tempered(probabilities, temperature)[np.arange(200), targets]).mean()

    best = best_temperature(probabilities, targets)
    assert all(loss(best) <= loss(best * factor) for factor in (0.9, 0.99, 1.01, 1.1))


def test_bins_and_errors_worked_out_by_hand():
    confidence, right = np.array([0.55, 0.6, 0.9, 0.95, 1.0]), np.array([1.0, 0, 1, 1, 0])
    low, high = reliability(confidence, right, bins=10)[5], reliability(confidence, right, bins=10)[9]
    assert (low.examples, low.confidence, low.accuracy) == (2, pytest.approx(0.575), 0.5)
    assert (high.examples, high.confidence, high.accuracy) == (2, pytest.approx(0.975), 0.5)
    assert reliability(confidence, right, bins=10)[0].accuracy is None
    assert expected_error(confidence, right, bins=10) == pytest.approx((2 * 0.075 + 1 * 0.1 + 2 * 0.475) / 5)


def test_brier_worked_out_by_hand():
    found = calibration(np.array([[0.8, 0.2], [0.4, 0.6]]), np.array([0, 0]))
    assert found.brier.value == pytest.approx((0.08 + 0.72) / 2)
    assert found.brier.low < found.brier.value < found.brier.high


def test_a_model_that_is_always_right_and_always_sure_has_figures():
    found = calibration(np.eye(2)[[0, 1, 0]], np.array([0, 1, 0]))
    assert (found.expected_error, found.brier.value, found.calibrated) == (0, 0, True)
    wrong = calibration(np.eye(2)[[0, 1, 0]], np.array([1, 0, 1]))
    assert (wrong.expected_error, wrong.brier.value, wrong.calibrated) == (1, 2, False)


def test_results_are_plain_values():
    stored = json.loads(json.dumps(calibration(*simulated(np.random.default_rng(0), 50)).to_json(), allow_nan=False))
    assert stored["bins"][0].keys() == {"low", "high", "examples", "confidence", "accuracy"}
    assert sum(each["examples"] for each in stored["bins"]) == stored["examples"] == 50
