"""Any metric gets an interval that holds, and a paired test."""

import numpy as np
import pytest

from lexloom.evaluate.figures import figure, figures, paired
from lexloom.evaluate.intervals import LEVEL, draws
from lexloom.metrics import accuracy, f1, matthews, pearson, spearman


def simulated(rng, examples, right):
    """References of two labels, and predictions that are right with the probability `right`."""
    references = rng.integers(0, 2, examples)
    wrong = rng.random(examples) >= right
    return [str(label) for label in references ^ wrong], [str(label) for label in references]


def test_interval_is_that_of_a_plain_loop():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 25))
    predictions, references = simulated(rng, 25, 0.7)
    for metric, found, wanted in ((f1("macro"), predictions, references), (spearman(), x, y), (pearson(), x, y)):
        values = []
        for drawn_RU in draws(25, seed=3):
            for drawn in drawn_RU:
                values.append(metric.value(metric.rows([found[i] for i in drawn], [wanted[i] for i in drawn])))
        estimate = figure(metric, found, wanted, seed=3)
        assert (estimate.low, estimate.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))
        assert estimate.value == metric.value(metric.rows(found, wanted))


def test_interval_holds_the_truth_about_as_often_as_its_level_says():
    rng = np.random.default_rng(1)
    trials, held = 120, {"accuracy": 0, "F1 (1)": 0}
    truth = {"accuracy": 0.8, "F1 (1)": 0.8}
    metrics = [accuracy(), f1("binary", positive="1")]
    for trial in range(trials):
        for name, estimate in figures(metrics, *simulated(rng, 150, 0.8), seed=trial).items():
            held[name] += estimate.low <= truth[name] <= estimate.high
    for name, count in held.items():
        assert LEVEL - 0.06 <= count / trials <= LEVEL + 0.04, name


def test_interval_of_a_correlation_holds():
    rng, held = np.random.default_rng(2), 0
    for trial in range(100):
        x = rng.normal(size=200)
        y = 0.6 * x + 0.8 * rng.normal(size=200)  # true correlation: 0.6
        estimate = figure(pearson(), x, y, seed=trial)
        held += estimate.low <= 0.6 <= estimate.high
    assert held >= 87


def test_figures_over_the_same_draws_equal_single_ones():
    data = simulated(np.random.default_rng(0), 80, 0.7)
    together = figures([accuracy(), f1("macro")], *data)
    assert together == {"accuracy": figure(accuracy(), *data), "macro F1": figure(f1("macro"), *data)}


def test_questions_about_one_passage_are_drawn_together():
    """Ten copies of each example say no more than one; without groups the interval pretends they do."""
    predictions, references = simulated(np.random.default_rng(0), 60, 0.7)
    copies = ([label for label in side for _ in range(10)] for side in (predictions, references))
    found, wanted = copies
    groups = [number // 10 for number in range(600)]
    for metric in (accuracy(), spearman()):
        if metric.name == "Spearman":
            predictions, references, found, wanted = (
                [float(label) for label in side] for side in (predictions, references, found, wanted)
            )
        alone = figure(metric, predictions, references)
        grouped = figure(metric, found, wanted, groups=groups)
        pretended = figure(metric, found, wanted)
        assert (grouped.value, grouped.low, grouped.high) == pytest.approx((alone.value, alone.low, alone.high))
        assert pretended.high - pretended.low < 0.5 * (alone.high - alone.low)


def test_equal_models_do_not_differ():
    predictions, references = simulated(np.random.default_rng(0), 100, 0.7)
    found = paired(f1("macro"), predictions, list(predictions), references)
    assert (found.value, found.p, found.real) == (0.0, 1.0, False)


def test_models_equally_good_are_rarely_told_apart():
    rng, alarms = np.random.default_rng(4), 0
    for trial in range(120):
        references = rng.integers(0, 2, 120)
        first, second = ((references ^ (rng.random(120) >= 0.75)).astype(str).tolist() for _ in range(2))
        alarms += paired(accuracy(), first, second, references.astype(str).tolist(), seed=trial).real
    assert alarms <= 13  # 5 % of 120 is 6


def test_a_small_difference_on_the_same_examples_is_seen():
    rng = np.random.default_rng(5)
    first, references = simulated(rng, 1_000, 0.7)
    mended = rng.random(1_000) < 0.05
    second = [wanted if mend else found for found, wanted, mend in zip(first, references, mended, strict=True)]
    found = paired(accuracy(), first, second, references)
    assert found.real
    assert found.p < 0.01
    assert found.value > 0
    assert paired(accuracy(), second, first, references).value == -found.value
    assert figure(accuracy(), first, references).high > figure(accuracy(), second, references).low


@pytest.mark.parametrize("metric", [accuracy(), f1("macro"), matthews()])
def test_too_little_has_a_figure_and_no_interval(metric):
    assert figure(metric, [], []) == figure(metric, ["a"], ["b"])
    estimate = figure(metric, ["a"], ["a"])
    assert (estimate.low, estimate.high) == (None, None)
    assert paired(metric, ["a"], ["b"], ["a"]) is None
    assert paired(metric, [], [], []) is None


def test_one_group_has_no_interval():
    predictions, references = simulated(np.random.default_rng(0), 30, 0.7)
    assert figure(accuracy(), predictions, references, groups=["passage"] * 30).low is None


def test_examples_that_are_all_alike_do_not_pretend_to_be_certain():
    assert figure(accuracy(), ["a"] * 50, ["a"] * 50).low is None


def test_same_seed_same_interval():
    data = np.random.default_rng(0).random((2, 50))
    assert figure(pearson(), *data, seed=4) == figure(pearson(), *data, seed=4)
    assert figure(pearson(), *data, seed=4) != figure(pearson(), *data, seed=5)


def test_unequal_numbers_of_predictions_are_refused():
    with pytest.raises(AssertionError, match="its reference"):
        figure(accuracy(), ["a"], [])
