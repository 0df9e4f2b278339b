"""Cuts and windows."""

import itertools

import pytest
import tokenizers
import transformers
from hypothesis import given
from hypothesis import strategies as st

from lexloom.base.errors import RecipeError
from lexloom.base.ledger import Ledger
from lexloom.tasks.encoding import CUT, STAGE, cut_pieces, longest_first, windowed_pieces, windows
from tests.understanding import setting_of, tokenizer


@given(st.integers(0, 300), st.integers(1, 60), st.none() | st.integers(0, 80))
def test_windows_cover_everything_once_or_more_and_never_exceed_the_room(length, room, overlap):
    stretches = windows(length, room, overlap)
    assert {place for start, stop in stretches for place in range(start, stop)} == set(range(length))
    assert all(stop - start <= room for start, stop in stretches)
    assert all(start < other and stop < end for (start, stop), (other, end) in itertools.pairwise(stretches))


def test_neighbouring_windows_share_the_overlap():
    assert windows(20, 10, 4) == [(0, 10), (6, 16), (12, 20)]
    assert windows(10, 10, 4) == [(0, 10)]
    assert windows(0, 10) == [(0, 0)]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=2), st.integers(2, 60))
def test_the_longer_text_is_cut_token_by_token(lengths, room):
    slow = list(lengths)
    while sum(slow) > room:
        slow[0 if len(slow) == 1 or slow[0] > slow[1] else 1] -= 1
    assert longest_first(lengths, room) == slow


def test_the_cut_characters_are_those_that_no_piece_shows():
    text = "a lovely film " * 30
    setting, ledger = setting_of("classify", max_tokens=20), Ledger()
    [piece] = cut_pieces([(text,)], ["file:7"], setting, ledger)
    shown = len(tokenizer().decode(piece.ids))
    entry = ledger[STAGE, CUT]
    assert (entry.documents, entry.examples) == (1, ["file:7"])
    assert abs(len(text) - entry.characters - shown) <= 1  # the space at the cut


def test_of_a_pair_each_cut_text_is_counted():
    setting, ledger = setting_of("classify", max_tokens=20), Ledger()
    cut_pieces([("film " * 30, "book"), ("film " * 30, "书" * 40)], ["a", "b"], setting, ledger)
    assert ledger[STAGE, CUT].documents == 3


def test_windows_of_a_pair_all_begin_with_the_first_text():
    setting, ledger = setting_of("classify", max_tokens=24), Ledger()
    first = tokenizer().encode("a lovely film")
    [pieces] = windowed_pieces([("a lovely film", "dull " * 60)], ["a"], setting, ledger)
    assert len(pieces) > 2
    assert all(piece.ids[1 : 1 + len(first)] == first for piece in pieces)
    assert ledger[STAGE, CUT].documents == 0


def test_a_text_that_occurs_twice_is_the_same_twice():
    pieces = cut_pieces([("film", "书"), ("书", "film")], ["a", "b"], setting_of("classify"), Ledger())
    assert sorted(pieces[0].ids) == sorted(pieces[1].ids)
    assert pieces[0].ids != pieces[1].ids


def test_a_limit_without_room_for_text_is_refused():
    with pytest.raises(RecipeError, match="no room"):
        setting_of("classify", max_tokens=5)


@pytest.mark.parametrize("max_tokens", [64, 16, 9])
@pytest.mark.parametrize(
    "pair", [("a lovely film",), ("这部电影真好看" * 4, "dull"), ("a", "empty words " * 9), ("", "dull")]
)
def test_pieces_are_those_of_transformers(pair, max_tokens):
    inner = tokenizers.Tokenizer.from_str(tokenizer().to_bytes().decode())
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_object=inner)
    expected = theirs(*pair, truncation="longest_first", max_length=max_tokens, return_token_type_ids=True)
    [piece] = cut_pieces([pair], ["a"], setting_of("classify", max_tokens=max_tokens), Ledger())
    assert (piece.ids, piece.types) == (expected["input_ids"], expected["token_type_ids"])
