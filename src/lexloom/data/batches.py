"""A part of a corpus cut into windows of equal length.

Window i of a part reads the tokens i·C … i·C + C − 1 and predicts i·C + 1 … i·C + C (C = context): every token but the
very first is predicted exactly once per epoch. The last window is filled up with places that predict nothing.

Axes: B rows, L tokens of a row (= context).
"""

import itertools
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lexloom.base.errors import DataError

IGNORE = -100  # as in torch.nn.functional.cross_entropy
FILLER_ID = 0
LEAST_TOKENS = 2


class TokenSource(Protocol):
    """What windows need of `shards.TokenShards`; tests may give arrays."""

    total_tokens: int
    documents: NDArray[np.int64]

    def tokens(self, start: int, stop: int) -> NDArray[np.unsignedinteger]: ...


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Rows of windows.

    `ids_BL`, `targets_BL`: int64, IGNORE where nothing is predicted. `runs`: lengths of the pieces of documents in the
    flattened rows, in order, B·L in sum; None if rows are read as they are.
    """

    ids_BL: NDArray[np.int64]  # noqa: N815
    targets_BL: NDArray[np.int64]  # noqa: N815
    runs: tuple[int, ...] | None
    past: tuple[NDArray[np.int64], ...] | None = None
    """The tokens before each row, for models that remember them; fewer, or none, where the corpus begins."""


class Windows:
    """A part of a corpus as windows of `context` tokens.

    With `boundaries`, a run ends before each separator, which opens the run of the document that follows it: attention
    never crosses documents, no target is lost, and a document begins after one separator, as in generation.
    With `past`, a window comes with so many tokens before it.
    Raises DataError if there are fewer than two tokens.
    """

    def __init__(self, shards: TokenSource, context: int, *, boundaries: bool, past: int = 0) -> None:
        assert context > 0, "a window holds at least one token"
        if shards.total_tokens < LEAST_TOKENS:
            raise DataError(
                f"there are {shards.total_tokens} tokens; predicting the next one needs at least {LEAST_TOKENS}",
                fix="Give more text, or a larger share to this part of the split.",
            )
        self.context = context
        self.shards = shards
        self.boundaries = boundaries
        self.past = past
        self._starts = np.unique(shards.documents[:, 0] - 1) if boundaries else None

    def __len__(self) -> int:
        return -(-(self.shards.total_tokens - 1) // self.context)

    def tokens(self, index: int) -> int:
        """Tokens of a window, the same for all."""
        return self.context

    def share(self, count: int) -> "Windows":
        """The first `count` windows, as a part of its own."""
        beginning = _Beginning(self.shards, count * self.context + 1)
        return Windows(beginning, self.context, boundaries=self.boundaries, past=self.past)

    def batch(self, indices: NDArray[np.int64] | list[int]) -> TokenBatch:
        """The windows named by `indices`, one per row, in this order."""
        ids_BL = np.full((len(indices), self.context), FILLER_ID, dtype=np.int64)
        targets_BL = np.full_like(ids_BL, IGNORE)
        runs: list[int] = []
        for row, index in enumerate(indices):
            start = int(index) * self.context
            tokens = self.shards.tokens(start, min(start + self.context + 1, self.shards.total_tokens))
            size = len(tokens) - 1
            assert size > 0, f"window {index} of {len(self)}"
            ids_BL[row, :size], targets_BL[row, :size] = tokens[:-1], tokens[1:]
            runs += self._runs(start, start + size)
        past = tuple(self._past(int(index) * self.context) for index in indices) if self.past else None
        return TokenBatch(ids_BL, targets_BL, None if self._starts is None else tuple(runs), past)

    def _past(self, start: int) -> NDArray[np.int64]:
        """The tokens before a window."""
        return self.shards.tokens(max(0, start - self.past), start).astype(np.int64)

    def _runs(self, start: int, stop: int) -> list[int]:
        """The lengths of the pieces of one row; what fills it up is a piece of its own."""
        if self._starts is None:
            return []
        first, last = np.searchsorted(self._starts, [start + 1, stop])
        cuts = [start, *self._starts[first:last].tolist(), stop, start + self.context]
        return [after - before for before, after in itertools.pairwise(cuts) if after > before]


class _Beginning:
    """The first tokens of a part, and the documents that begin among them."""

    def __init__(self, whole: TokenSource, tokens: int) -> None:
        self.total_tokens = min(tokens, whole.total_tokens)
        starts = np.concatenate([[0], whole.documents[:-1, 0]])
        self.documents = whole.documents[starts < self.total_tokens]
        self.tokens = whole.tokens
