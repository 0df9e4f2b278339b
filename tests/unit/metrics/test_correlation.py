"""Correlations and errors equal scipy's and scikit-learn's."""

import numpy as np
import pytest
import scipy.stats
from sklearn import metrics as sk

from lexloom.base.errors import DataError
from lexloom.metrics import mean_absolute_error, mean_squared_error, pearson, spearman


def value(metric, predictions, references):
    return metric.value(metric.rows(predictions, references))


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_correlations_equal_scipys(scale, offset):
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    y = np.round(x + rng.normal(size=300), 1)  # ties
    assert value(pearson(), x * scale + offset * scale, y) == pytest.approx(scipy.stats.pearsonr(x, y)[0], abs=1e-9)
    assert value(spearman(), x * scale, y) == pytest.approx(scipy.stats.spearmanr(x, y)[0], abs=1e-12)


def test_ties_share_the_mean_of_their_ranks():
    x, y = [1, 2, 2, 3, 3, 3], [4, 4, 1, 9, 2, 2]
    assert value(spearman(), x, y) == pytest.approx(scipy.stats.spearmanr(x, y)[0])


def test_a_constant_side_has_no_correlation():
    for metric in (pearson(), spearman()):
        assert value(metric, [0.1] * 7, range(7)) == 0.0
        assert value(metric, range(7), [0.1] * 7) == 0.0


def test_a_resample_of_one_point_has_no_correlation():
    rng = np.random.default_rng(0)
    for metric in (pearson(), spearman()):
        rows = metric.rows(rng.random(50), rng.random(50))
        assert all(metric.value(rows[[i] * 9]) == 0.0 for i in range(50))


def test_huge_numbers_do_not_overflow():
    assert value(pearson(), [1e300, 2e300, 4e300], [1.0, 2.0, 4.0]) == pytest.approx(1.0)


def test_errors_equal_scikit_learns():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 40))
    assert value(mean_squared_error(), x, y) == pytest.approx(sk.mean_squared_error(y, x))
    assert value(mean_absolute_error(), x, y) == pytest.approx(sk.mean_absolute_error(y, x))
    assert mean_squared_error().lower_is_better
    assert not mean_squared_error().percent


def test_a_number_that_is_none_is_refused_and_located():
    with pytest.raises(DataError, match="prediction is not a finite number") as caught:
        value(pearson(), [1.0, float("nan")], [1.0, 2.0])
    assert caught.value.where == "example 2"
