"""Ledger, named randomness and the console."""

import numpy as np
import pytest

from lexloom.base.console import _plain_lines, duration, size
from lexloom.base.errors import DamagedError, Interrupted, UserError
from lexloom.base.ledger import EXAMPLES_KEPT, Ledger
from lexloom.base.rng import generator, seed_for


def test_ledger_adds_up_and_reads_back():
    one, two = Ledger(), Ledger()
    for line in range(5):
        one.count("clean", "too short", characters=2, where=f"a:{line}")
    two.count("clean", "too short", characters=10)
    two.count("split", "validation", documents=3)
    one.add(two)
    assert one["clean", "too short"].documents == 6
    assert one["clean", "too short"].characters == 20
    assert len(one["clean", "too short"].examples) == EXAMPLES_KEPT
    assert one["clean", "never"].documents == 0
    assert Ledger.from_json(one.to_json()).to_json() == one.to_json()


def test_seeds_depend_on_every_part_and_on_nothing_else():
    assert seed_for("dropout", 1, 2) == 6914328448152900307
    names = [("a", 1), ("a", "1"), ("a1",), ("a", 1, ""), ("b", 1), ("a", 2)]
    assert len({seed_for(*name) for name in names}) == len(names)
    assert np.array_equal(generator("x", 1).random(4), generator("x", 1).random(4))
    assert not np.array_equal(generator("x", 1).random(4), generator("x", 2).random(4))


def test_error_says_what_where_and_how_to_mend():
    assert str(UserError("is empty", where="a.txt", fix="Add text.")) == "a.txt: is empty\n  Add text."
    assert str(UserError("is empty")) == "is empty"
    assert (UserError("x").exit_code, DamagedError("x").exit_code) == (2, 4)
    assert Interrupted("saved step 3", signal_number=15).exit_code == 143


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (4.25, "4.2 s"), (59.97, "60.0 s"), (185, "3 min 5 s"), (7800, "2 h 10 min"), (273600, "3 d 4 h")],
)
def test_durations_for_people(seconds, text):
    assert duration(seconds) == text


def test_sizes_for_people():
    assert [size(0), size(999), size(1500), size(2.5e12), size(134.5e6, "")] == [
        "0 B", "999 B", "1.5 kB", "2.5 TB", "134.5 M",
    ]  # fmt: skip


def test_plain_progress_speaks_every_ten_seconds_and_at_the_end(capsys):
    times = iter(range(0, 1000, 4))
    progress = _plain_lines("train", 100, lambda: float(next(times)))
    tick = next(progress)
    for done in range(10, 101, 10):
        tick(done, note="loss 2.0")
    assert next(progress, None) is None
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) < 10
    assert "left" in lines[0]
    assert "100%" in lines[-1]


def test_one_item_of_a_thousand_foretells_nothing(capsys):
    times = iter((0.0, *(20.0,) * 9))
    tick = next(_plain_lines("predict", 1000, lambda: next(times)))
    tick(1)
    assert capsys.readouterr().err == "predict   0% after 20.0 s\n"
