"""Examples are chosen by seed or by nearness, and never from the test itself."""

import numpy as np
import pytest

from lexloom.base.errors import UserError
from lexloom.base.ledger import Ledger
from lexloom.evaluate.fewshot.prompts import Query
from lexloom.evaluate.fewshot.shots import IN_TEST, STAGE, TWICE, UNLABELLED, check_enough, drawn, nearest, pool


def query(text, target=0):
    return Query(f"f:{text}", (text,), {}, ("a", "b"), target)


def test_examples_of_the_test_are_counted_and_left_out():
    ledger = Ledger()
    examples = [query("one"), query("two"), query("  two "), query("three", target=None), query("four")]
    kept = pool(examples, [query("one "), query("other")], ledger)
    assert [example.texts[0] for example in kept] == ["two", "four"]
    assert [ledger[STAGE, fault].documents for fault in (IN_TEST, TWICE, UNLABELLED)] == [1, 1, 1]


def test_more_shots_than_examples_are_refused():
    check_enough([query("one")], 1)
    with pytest.raises(UserError, match="2 examples are to be shown, but there are only 1"):
        check_enough([query("one")], 2)


def test_draws_depend_on_seed_and_question_alone():
    many, few = drawn(30, 9, 4, seed=1), drawn(10, 9, 4, seed=1)
    assert few == many[:10]
    assert drawn(30, 9, 4, seed=2) != many
    assert all(len(set(some)) == 4 and set(some) <= set(range(9)) for some in many)
    assert len({tuple(some) for some in many}) > 20


def test_fewer_shots_are_the_last_of_more():
    more, fewer = drawn(5, 9, 6, seed=0), drawn(5, 9, 2, seed=0)
    assert [some[-2:] for some in more] == fewer


def test_the_nearest_example_stands_next_to_the_question():
    examples = np.array([[1, 0], [0, 2], [3, 3], [0, 0]], np.float32)
    assert nearest(np.array([[9, 1], [0, 1]], np.float32), examples, 3) == [[1, 2, 0], [0, 2, 1]]
