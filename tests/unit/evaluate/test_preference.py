import pytest
from scipy.stats import binomtest

from lexloom.evaluate.preference import preference, sign_test, wilson

COUNTS = ((0, 1), (1, 0), (3, 7), (10, 10), (13, 5), (200, 151))


@pytest.mark.parametrize(("wins", "losses"), COUNTS)
def test_interval_and_test_equal_scipys(wins, losses):
    reference = binomtest(wins, wins + losses)
    interval = reference.proportion_ci(method="wilson")
    assert wilson(wins / (wins + losses), wins + losses) == pytest.approx((interval.low, interval.high), abs=1e-12)
    assert sign_test(wins, losses) == pytest.approx(reference.pvalue, rel=1e-12)


def test_ties_count_half_in_the_rate_and_nothing_in_the_test():
    found = preference(6, 2, 4)
    assert found.rate == pytest.approx(8 / 12)
    assert found.p == sign_test(6, 2)
    assert preference(0, 0, 5).rate == 0.5
    assert preference(0, 0, 5).p == 1.0


def test_interval_holds_the_rate_and_stays_within_bounds():
    for wins, losses, ties in ((0, 20, 0), (20, 0, 0), (1, 1, 18)):
        found = preference(wins, losses, ties)
        assert 0 <= found.low <= found.rate <= found.high <= 1


def test_sides_are_mirrored():
    one, other = preference(13, 5, 2), preference(5, 13, 2)
    assert (one.low, one.high) == pytest.approx((1 - other.high, 1 - other.low))
    assert one.p == other.p
