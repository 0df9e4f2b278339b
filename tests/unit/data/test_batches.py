import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexloom.base.errors import DataError
from lexloom.data.batches import IGNORE, Windows


class Tokens:
    """Documents of the given lengths (separator included); token i has the id i + 1, so that places can be told."""

    def __init__(self, *lengths):
        self.total_tokens = sum(lengths)
        self.documents = np.array([[end, 0, 0] for end in np.cumsum(lengths)], dtype=np.int64).reshape(-1, 3)

    def tokens(self, start, stop):
        assert 0 <= start <= stop <= self.total_tokens
        return np.arange(start + 1, stop + 1, dtype=np.uint16)


lengths = st.lists(st.integers(1, 12), min_size=1, max_size=10).filter(lambda parts: sum(parts) > 1)


@given(lengths=lengths, context=st.integers(1, 15), boundaries=st.booleans())
@settings(max_examples=200, deadline=None)
def test_every_token_but_the_first_is_a_target_exactly_once(lengths, context, boundaries):
    windows = Windows(Tokens(*lengths), context, boundaries=boundaries)
    batch = windows.batch(range(len(windows)))
    targets = batch.targets_BL[batch.targets_BL != IGNORE]
    assert targets.tolist() == list(range(2, sum(lengths) + 1))
    inputs = batch.ids_BL[batch.targets_BL != IGNORE]
    assert np.array_equal(inputs + 1, targets), "a target is the token after its input"


@given(lengths=lengths, context=st.integers(1, 15), data=st.data())
@settings(max_examples=200, deadline=None)
def test_a_run_holds_one_document_after_its_separator(lengths, context, data):
    windows = Windows(Tokens(*lengths), context, boundaries=True)
    rows = data.draw(st.lists(st.integers(0, len(windows) - 1), min_size=1, max_size=4))
    batch = windows.batch(rows)
    assert sum(batch.runs) == len(rows) * context
    assert min(batch.runs) > 0
    starts = np.concatenate([[0], np.cumsum(batch.runs)[:-1]])
    separators = set(np.cumsum(lengths).tolist())
    flat, targets = batch.ids_BL.reshape(-1), batch.targets_BL.reshape(-1)
    for place, (token, target) in enumerate(zip(flat.tolist(), targets.tolist(), strict=True)):
        row_starts = place % context == 0
        padding_starts = target == IGNORE and targets[place - 1] != IGNORE
        expected = row_starts or padding_starts or (target != IGNORE and token in separators)
        assert (place in starts) == expected


def test_without_boundaries_there_are_no_runs():
    assert Windows(Tokens(3, 4), 2, boundaries=False).batch([0, 1]).runs is None


def test_a_batch_of_rows_is_the_rows_one_by_one():
    windows = Windows(Tokens(7, 9, 4), 4, boundaries=True)
    together = windows.batch([3, 0, 4])
    singly = [windows.batch([index]) for index in (3, 0, 4)]
    assert np.array_equal(together.ids_BL, np.concatenate([one.ids_BL for one in singly]))
    assert np.array_equal(together.targets_BL, np.concatenate([one.targets_BL for one in singly]))
    assert together.runs == sum((one.runs for one in singly), ())


def test_a_corpus_shorter_than_a_window_is_one_window_with_filling():
    windows = Windows(Tokens(3), 8, boundaries=False)
    assert len(windows) == 1
    assert windows.batch([0]).targets_BL.tolist() == [[2, 3] + [IGNORE] * 6]


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_tokens_are_said_to_be_too_few(count):
    with pytest.raises(DataError, match=f"there are {count} tokens.*at least 2"):
        Windows(Tokens(*[1] * count), 8, boundaries=True)
