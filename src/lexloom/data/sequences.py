"""What an encoder reads of a window: the pieces of documents in it, between special tokens as BERT expects them.

A single sequence is `[CLS] tokens [SEP]`, a pair `[CLS] A [SEP] B [SEP]`. Windows that keep documents apart
(`boundaries`) give a sequence for each piece of a document in them; other windows are one sequence, in which a document
ends as it does in the shards, in a [SEP] of its own. Source: Devlin et al. 2018, arXiv:1810.04805, sections 3 and A.2.
Axes: T tokens.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexloom.base.errors import RecipeError
from lexloom.data.batches import IGNORE, Windows
from lexloom.text.tokenizers import Tokenizer

Ids = NDArray[np.int64]

SINGLE_ADDS = 2
PAIR_ADDS = 3
IS_NEXT, IS_RANDOM = 0, 1


class Sequence(NamedTuple):
    """Ids with special tokens; segments (0 up to the first [SEP], 1 after it); IS_NEXT, IS_RANDOM or IGNORE."""

    ids_T: Ids
    types_T: Ids
    label: int


@dataclass(frozen=True)
class Frame:
    """The special tokens around sequences."""

    first_id: int
    end_id: int

    def single(self, ids_T: Ids) -> Sequence:
        """`[CLS] tokens [SEP]`."""
        framed_T = np.concatenate([[self.first_id], ids_T, [self.end_id]])
        return Sequence(framed_T, np.zeros_like(framed_T), IGNORE)

    def pair(self, a_T: Ids, b_T: Ids, label: int) -> Sequence:
        """`[CLS] A [SEP] B [SEP]`."""
        framed_T = np.concatenate([[self.first_id], a_T, [self.end_id], b_T, [self.end_id]])
        types_T = np.zeros_like(framed_T)
        types_T[len(a_T) + SINGLE_ADDS :] = 1
        return Sequence(framed_T, types_T, label)


def frame_of(tokenizer: Tokenizer) -> Frame:
    """[CLS] and [SEP], or what the tokenizer calls the begin and the end of a text; RecipeError if it has neither."""
    first = tokenizer.names.get("cls", tokenizer.bos_id)
    end = tokenizer.names.get("sep", tokenizer.eos_id)
    if first is None or end is None:
        raise RecipeError(
            "the tokenizer has no tokens to put around a sequence ([CLS] and [SEP])",
            where="objective",
            fix="Name cls_token and sep_token in its tokenizer_config.json.",
        )
    return Frame(first, end)


def singles(windows: Windows, index: int, frame: Frame, rng: np.random.Generator) -> list[Sequence]:
    """The pieces of documents in a window, each by itself; nothing is drawn."""
    return [frame.single(piece_T) for piece_T in _pieces(windows, index, frame)]


def pairs(windows: Windows, index: int, frame: Frame, rng: np.random.Generator) -> list[Sequence]:
    """Each piece of a document in a window cut in two anywhere, the second half replaced in half of the cases.

    What replaces it is as long, as far as the longest piece of another window reaches. A piece of fewer than two tokens
    stays single.
    """
    return [_pair(windows, index, piece_T, frame, rng) for piece_T in _pieces(windows, index, frame)]


def _pair(windows: Windows, index: int, piece_T: Ids, frame: Frame, rng: np.random.Generator) -> Sequence:
    if len(piece_T) < 2:
        return frame.single(piece_T)
    cut = int(rng.integers(1, len(piece_T)))
    a_T, b_T = piece_T[:cut], piece_T[cut:]
    if len(windows) < 2 or rng.random() < 0.5:
        return frame.pair(a_T, b_T, IS_NEXT)
    other = (index + int(rng.integers(1, len(windows)))) % len(windows)
    other_T = max(_pieces(windows, other, frame), key=len)
    start = int(rng.integers(max(1, len(other_T) - len(b_T) + 1)))
    return frame.pair(a_T, other_T[start : start + len(b_T)], IS_RANDOM)


def _pieces(windows: Windows, index: int, frame: Frame) -> list[Ids]:
    """The tokens of a window by document, without what fills it up; one empty piece if there are none.

    The separator with which `Windows` opens the run of a document is left out: [CLS] takes its place.
    """
    batch = windows.batch([index])
    ids_T, real_T = batch.ids_BL[0], batch.targets_BL[0] != IGNORE
    if batch.runs is None:
        return [ids_T[real_T]]
    pieces = np.split(ids_T[real_T], np.cumsum(batch.runs)[:-1])
    opened = [piece[1:] if len(piece) and piece[0] == frame.end_id else piece for piece in pieces]
    return [piece for piece in opened if len(piece)] or [ids_T[:0]]
