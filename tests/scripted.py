"""Stand-ins for generating models, whose every score is a function that the test wrote."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import torch


@dataclass
class ListCache:
    """Meets the part of the cache contract that generation uses; a row is the list of its ids."""

    rows: list[list[int]]

    def truncate(self, row: int, length: int) -> None:
        del self.rows[row][length:]

    def keep(self, rows: Sequence[int]) -> None:
        self.rows = [list(self.rows[row]) for row in rows]

    def join(self, other: "ListCache") -> None:
        self.rows = self.rows + [list(row) for row in other.rows]

    def take(self, row: int, length: int, tokens: int) -> "ListCache":
        assert length <= tokens
        return ListCache([self.rows[row][:length]])

    @property
    def nbytes(self) -> int:
        return sum(8 * len(row) for row in self.rows)


@dataclass
class ScriptedDecoder:
    """A decoder whose next-token scores are `next_scores(ids so far)`; its hidden states are the scores."""

    next_scores: Callable[[list[int]], np.ndarray]
    vocab_size: int = 64
    context: int = 128
    forward_tokens: int = field(default=0, init=False)
    """How many tokens have passed through it."""

    @property
    def config(self):
        return SimpleNamespace(vocab_size=self.vocab_size, context=self.context)

    def new_cache(self, batch: int, tokens: int) -> ListCache:
        assert tokens <= self.context
        return ListCache([[] for _ in range(batch)])

    def hidden(self, ids_BL, *, runs=None, cache=None):
        self.forward_tokens += ids_BL.numel()
        if runs is not None:
            assert max(runs) <= self.context
            assert sum(runs) == ids_BL.numel()
            rows = [self._scores([], piece.tolist()) for piece in ids_BL.flatten().split(list(runs))]
            return torch.from_numpy(np.concatenate(rows)).view(*ids_BL.shape, -1)
        histories = [[] for _ in ids_BL] if cache is None else cache.rows
        rows = [self._scores(history, ids.tolist()) for history, ids in zip(histories, ids_BL, strict=True)]
        return torch.from_numpy(np.stack(rows))

    def scores(self, x):
        return x

    def __call__(self, ids_BL, *, runs=None, cache=None):
        return self.scores(self.hidden(ids_BL, runs=runs, cache=cache))

    def _scores(self, history: list[int], ids: list[int]) -> np.ndarray:
        """Adds the ids to the history one by one."""
        scores = []
        for token in ids:
            history.append(token)
            scores.append(np.asarray(self.next_scores(history), np.float32))
        return np.stack(scores)


def scripted(script: Sequence[int], *, prompt_tokens: int, vocab_size: int, context: int = 4096) -> ScriptedDecoder:
    """A decoder that is sure to say `script` after a prompt of `prompt_tokens`, and then token 0."""

    def next_scores(ids: list[int]) -> np.ndarray:
        scores = np.zeros(vocab_size, np.float32)
        place = len(ids) - prompt_tokens
        scores[script[place] if 0 <= place < len(script) else 0] = 50
        return scores

    return ScriptedDecoder(next_scores, vocab_size, context)


def scrambled(*, vocab_size: int = 64, context: int = 128, seed: int = 0) -> ScriptedDecoder:
    """A decoder whose scores look random but depend on every id so far."""

    def next_scores(ids: list[int]) -> np.ndarray:
        return np.random.default_rng([seed, *ids]).normal(size=vocab_size).astype(np.float32) * 2

    return ScriptedDecoder(next_scores, vocab_size, context)
