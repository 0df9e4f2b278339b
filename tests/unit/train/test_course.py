from collections import Counter

import pytest

from lexloom.objectives.causal import CAUSAL
from lexloom.train.course import evenly_spread, plan_course
from lexloom.train.settings import TrainSettings
from tests.fakes import FakeWindows


def course(count=10, **values):
    settings = TrainSettings(**{"context": 8, "batch_tokens": 32, **values})
    return plan_course(CAUSAL, FakeWindows(count), settings, seconds_per_step=0.5)


@pytest.mark.parametrize(
    ("budget", "steps", "windows"),
    [
        ({"steps": 7}, 7, 28),
        ({"tokens": 100}, 3, 12),
        ({"epochs": 1}, 3, 10),
        ({"epochs": 2.5}, 7, 25),
        ({"minutes": 0.1}, 12, 48),
        ({}, 3, 10),
    ],
)
def test_every_budget_becomes_steps(budget, steps, windows):
    planned = course(**budget)
    assert (planned.steps, planned.total_units) == (steps, windows)
    assert sum(planned.tokens(step) for step in range(steps)) == windows * 8


def test_each_epoch_reads_every_window_once_in_an_order_of_its_own():
    planned = course(epochs=3)
    read = [window for step in range(planned.steps) for window in planned.chosen(step)]
    epochs = [read[start : start + 10] for start in (0, 10, 20)]
    assert all(Counter(epoch) == Counter(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert read == [window for step in range(planned.steps) for window in course(epochs=3).chosen(step)]
    assert read != [window for step in range(planned.steps) for window in course(epochs=3, seed=1).chosen(step)]


def test_a_split_smaller_than_a_batch_is_read_several_times_a_step():
    planned = course(count=3, steps=2)
    assert Counter(planned.chosen(0) + planned.chosen(1)[:2]) == Counter({0: 2, 1: 2, 2: 2})


def test_windows_for_measuring_are_spread_and_fixed():
    assert evenly_spread(10, None) == list(range(10))
    assert evenly_spread(10, 20) == list(range(10))
    assert evenly_spread(10, 4) == [0, 2, 5, 7]
