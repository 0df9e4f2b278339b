"""What an encoder reads of a window: the pieces of documents in it, between special tokens.

A single sequence is `[CLS] tokens [SEP]`, a pair `[CLS] A [SEP] B [SEP]`, or what else the tokenizer puts around one
text and two (text/frames.py). Windows that keep documents apart (`boundaries`) give a sequence for each piece of a
document in them; other windows are one sequence, in which a document ends as it does in the shards, with its separator.
Source: Devlin et al. 2018, arXiv:1810.04805, section 3 and appendix A.2.
Axes: T tokens.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexloom.data.batches import IGNORE, Windows
from lexloom.text.tokenizers import Tokenizer

Ids = NDArray[np.int64]

IS_NEXT, IS_RANDOM = 0, 1


class Sequence(NamedTuple):
    """A text or two in their frame."""

    ids: list[int]
    types: list[int]
    """The segment of each token: 0 for the first text, 1 for the second."""
    label: int
    """IS_NEXT, IS_RANDOM, or IGNORE for a single text."""


class Sequences:
    """Cuts windows of a corpus of one tokenizer into sequences, `paired` or single."""

    def __init__(self, tokenizer: Tokenizer, *, paired: bool) -> None:
        """Raises FolderError for a tokenizer that has nothing to begin and to end a text with."""
        self._single, self._pair = tokenizer.frame(1), tokenizer.frame(2)
        self._separator_id = tokenizer.separator_id
        self._paired = paired

    def window_tokens(self, context: int) -> int:
        """Tokens of a window that leave room for the special tokens of one sequence."""
        return context - (self._pair if self._paired else self._single).special_tokens

    def __call__(self, windows: Windows, index: int, rng: np.random.Generator) -> list[Sequence]:
        """The sequences of a window, one at least.

        For pairs, each piece of a document is cut in two anywhere, and the second half replaced in half of the cases
        by a part of the longest piece in another window, as long as far as that reaches. A piece of fewer than two
        tokens stays single.
        """
        return [
            self._halved(windows, index, piece_T, rng) if self._paired and len(piece_T) > 1 else self._framed(piece_T)
            for piece_T in pieces(windows, index, self._separator_id)
        ]

    def _framed(self, piece_T: Ids) -> Sequence:
        ids, types, _ = self._single.fill([piece_T.tolist()])
        return Sequence(ids, types, IGNORE)

    def _halved(self, windows: Windows, index: int, piece_T: Ids, rng: np.random.Generator) -> Sequence:
        cut = int(rng.integers(1, len(piece_T)))
        a_T, b_T, label = piece_T[:cut], piece_T[cut:], IS_NEXT
        if len(windows) > 1 and rng.random() < REPLACED_SHARE:
            b_T, label = self._part_of_another(windows, index, len(b_T), rng), IS_RANDOM
        ids, types, _ = self._pair.fill([a_T.tolist(), b_T.tolist()])
        return Sequence(ids, types, label)

    def _part_of_another(self, windows: Windows, index: int, size: int, rng: np.random.Generator) -> Ids:
        other = (index + int(rng.integers(1, len(windows)))) % len(windows)
        longest_T = max(pieces(windows, other, self._separator_id), key=len)
        start = int(rng.integers(max(1, len(longest_T) - size + 1)))
        return longest_T[start : start + size]


def pieces(windows: Windows, index: int, separator_id: int | None) -> list[Ids]:
    """The tokens of a window by document, without what fills it up; one empty piece if there are none.

    The separator with which `Windows` opens the run of a document is left out: what frames a sequence takes its place.
    """
    batch = windows.batch([index])
    ids_T, real_T = batch.ids_BL[0], batch.targets_BL[0] != IGNORE
    if batch.runs is None:
        return [ids_T[real_T]]
    parts = np.split(ids_T[real_T], np.cumsum(batch.runs)[:-1])
    opened = [part[1:] if len(part) and part[0] == separator_id else part for part in parts]
    return [part for part in opened if len(part)] or [ids_T[:0]]


REPLACED_SHARE = 0.5
