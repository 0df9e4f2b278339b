from collections import Counter

import numpy as np
import pytest
import torch

from lexloom.objectives.causal import CAUSAL
from lexloom.objectives.contract import Batch, Loss, Objective
from lexloom.train.course import bounded_portions, even_portions, evenly_spread, plan_course
from lexloom.train.finetuning import FinetuneSettings
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


def test_the_heaviest_micro_batch_has_the_longest_units_and_as_many_as_may_pass_at_once():
    class Sentences(FakeWindows):
        def tokens(self, index):
            return 1 + index % 7

    numbers = Objective(
        lambda units, chosen, rng: Batch(torch.tensor([chosen]), torch.tensor(chosen), None, len(chosen)),
        lambda model, batch: Loss(batch.targets.sum(), batch.count),
    )
    settings = FinetuneSettings(micro_batch_tokens=20, batch_size=4)
    heaviest = plan_course(numbers, Sentences(24), settings).heaviest(torch.nn.Linear(1, 1))()
    assert (int(heaviest.sum), heaviest.count) == (6 + 13, 2)


def test_a_split_smaller_than_a_batch_is_read_several_times_a_step():
    planned = course(count=3, steps=2)
    assert Counter(planned.chosen(0) + planned.chosen(1)[:2]) == Counter({0: 2, 1: 2, 2: 2})


def test_windows_for_measuring_are_spread_and_fixed():
    assert evenly_spread(10, None) == list(range(10))
    assert evenly_spread(10, 20) == list(range(10))
    assert evenly_spread(10, 4) == [0, 2, 5, 7]


def test_portions_hold_about_equal_tokens_and_rows_of_about_one_length():
    tokens = [int(length) for length in np.random.default_rng(0).integers(5, 60, 64)]
    portions = even_portions(tokens, most_tokens=300, workers=2)
    sums = [sum(tokens[row] for row in rows) for rows in portions]
    assert len(portions) % 2 == 0
    assert max(sums) - min(sums) <= max(tokens)
    assert max(sums) <= 300 + max(tokens)
    assert sorted(row for rows in portions for row in rows) == list(range(64))
    lengths = [tokens[row] for rows in portions for row in rows]
    assert lengths == sorted(lengths)


def test_a_row_larger_than_a_portion_stands_alone_and_no_portion_is_empty():
    portions = even_portions([1, 1, 1000, 1], most_tokens=10, workers=2)
    assert [2] in portions
    assert all(portions)


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("rows", [1, 5, 16])
def test_rows_of_one_length_are_cut_where_they_stand(workers, rows):
    count = min(rows, workers * -(-rows // (workers * 3)))
    expected = [list(range(rows * place // count, rows * (place + 1) // count)) for place in range(count)]
    assert even_portions([8] * rows, most_tokens=24, workers=workers) == expected


class Ragged:
    lengths = (5, 30, 10, 10, 40, 2, 3)

    def __len__(self):
        return len(self.lengths)

    def tokens(self, index):
        return self.lengths[index]


def test_bounded_portions_keep_the_order():
    assert list(bounded_portions(Ragged(), range(7), 35)) == [[0, 1], [2, 3], [4], [5, 6]]


def test_units_of_any_length_are_counted_in_their_own_tokens():
    course = plan_course(CAUSAL, Ragged(), FinetuneSettings(batch_size=2))
    assert (course.total_units, course.steps) == (21, 11)
    assert sum(course.tokens(step) for step in range(course.steps)) == 3 * 100
    by_tokens = plan_course(CAUSAL, Ragged(), FinetuneSettings(batch_size=2, tokens=200))
    assert by_tokens.total_units == 14


def test_it_is_measured_after_every_epoch_unless_steps_are_named():
    course = plan_course(CAUSAL, Ragged(), FinetuneSettings(batch_size=2))
    assert [step for step in range(1, 12) if course.is_measured_after(step)] == [4, 7, 11]
    named = plan_course(CAUSAL, Ragged(), FinetuneSettings(batch_size=2, evaluate_every=5))
    assert [step for step in range(1, 12) if named.is_measured_after(step)] == [5, 10, 11]
