import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexloom.data.order import shuffled, shuffled_many

COUNTS = sorted({1, 2, 3, *(2**power + shift for power in range(2, 13) for shift in (-1, 0, 1)), 1000})


def epoch_of(count, seed=1, epoch=0):
    return shuffled_many(np.arange(count), count, seed=seed, epoch=epoch)


@pytest.mark.parametrize("count", COUNTS)
def test_every_epoch_is_a_permutation(count):
    for epoch in range(3):
        assert sorted(epoch_of(count, epoch=epoch).tolist()) == list(range(count))


@given(count=st.integers(1, 2**62), data=st.data())
@settings(max_examples=100, deadline=None)
def test_one_position_is_the_same_as_many(count, data):
    positions = data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=5))
    many = shuffled_many(np.array(positions), count, seed=3, epoch=2)
    assert many.tolist() == [shuffled(position, count, seed=3, epoch=2) for position in positions]
    assert all(0 <= example < count for example in many)
    assert len(set(many.tolist())) == len(set(positions))


def test_epochs_and_seeds_give_different_orders():
    orders = [tuple(epoch_of(1000, seed, epoch)) for seed, epoch in itertools.product(range(4), range(4))]
    assert len(set(orders)) == len(orders)
    agreements = [np.mean(np.equal(a, b)) for a, b in itertools.combinations(orders, 2)]
    assert max(agreements) < 0.02


@pytest.mark.parametrize("count", [100, 1000, 1024, 4097])
def test_neighbours_and_places_are_unrelated(count):
    order = epoch_of(count).astype(float)
    bound = 4.5 / np.sqrt(count)
    assert abs(np.corrcoef(np.arange(count), order)[0, 1]) < bound
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < bound


def test_each_example_comes_first_about_equally_often():
    count, epochs = 10, 4000
    first = np.bincount([shuffled(0, count, seed=5, epoch=epoch) for epoch in range(epochs)], minlength=count)
    chi_squared = float(((first - epochs / count) ** 2 / (epochs / count)).sum())
    assert chi_squared < 33.7, "probability 1e-4 for a fair order with 9 degrees of freedom"


def test_the_order_is_the_same_on_every_machine():
    assert epoch_of(12, seed=7, epoch=3).tolist() == [4, 9, 11, 7, 3, 0, 5, 6, 8, 10, 2, 1]
