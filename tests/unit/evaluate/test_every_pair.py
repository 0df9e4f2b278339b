import pytest

from lexloom.evaluate.every_pair import every_pair
from lexloom.evaluate.intervals import Difference, holm


def test_corrected_ps_are_those_of_the_step_down_procedure():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_every_two_are_tested_once_and_only_what_survives_the_correction_is_real():
    ps = {(0, 1): 0.001, (0, 2): 0.03, (1, 2): None}

    def test(one, two):
        p = ps[one, two]
        return None if p is None else Difference(1.0, 0.5, 1.5, p)

    rows = every_pair(["a", "b", "c"], test)
    assert [(row["first"], row["second"]) for row in rows] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [row.get("real") for row in rows] == [True, True, None]
    ps[0, 2] = 0.04
    ps[1, 2] = 0.045
    assert [row["real"] for row in every_pair(["a", "b", "c"], test)] == [True, False, False]
