"""How often words stand near one another: counts weighed by 1/distance, over token shards.

Pairs of a portion of text are packed into whole numbers, sorted and summed; sorted runs of like size are merged: time
is O(n log n), memory a few times 12 bytes a distinct pair.
Axes: T tokens, P pairs, V vocabulary.
"""

from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

PORTION_PAIRS = 1 << 23
READ_TOKENS = 1 << 20


@dataclass(frozen=True)
class Pairs:
    """Distinct pairs: `keys_P` ascending, first · vocab_size + second with first ≤ second, and their `weights_P`.

    A pair's weight is the sum of 1/distance over all places where the two stand within the window, in either order; a
    word beside itself counts twice, as it does in a symmetric matrix.
    """

    keys_P: NDArray[np.int64]  # noqa: N815
    weights_P: NDArray[np.float32]  # noqa: N815
    vocab_size: int

    @property
    def first_P(self) -> NDArray[np.int64]:  # noqa: N802
        """The smaller ids."""
        return self.keys_P // self.vocab_size

    @property
    def second_P(self) -> NDArray[np.int64]:  # noqa: N802
        """The larger ids."""
        return self.keys_P % self.vocab_size


def count_tokens(shards: Any, vocab_size: int, skipped: Set[int]) -> NDArray[np.int64]:
    """How often each id occurs, (V); 0 for those that are `skipped`."""
    counts_V = np.zeros(vocab_size, np.int64)
    for start in range(0, shards.total_tokens, READ_TOKENS):
        counts_V += np.bincount(
            shards.tokens(start, min(start + READ_TOKENS, shards.total_tokens)), minlength=vocab_size
        )
    counts_V[sorted(skipped)] = 0
    return counts_V


def count_pairs(shards: Any, known_V: NDArray[np.bool_], window: int, tick: Callable[[float], None]) -> Pairs:
    """Pairs of words at most `window` apart within a document; unknown ones are taken out of the text before.

    The same shards give the same bytes.
    """
    vocab_size, portion = len(known_V), max(window, PORTION_PAIRS // window)
    runs: list[Pairs] = []
    tail = np.empty((2, 0), np.int64)
    for start in range(0, shards.total_tokens, portion):
        stop = min(start + portion, shards.total_tokens)
        text = np.concatenate([tail, _located(shards, start, stop, known_V)], axis=1)
        runs.append(_pairs(text, tail.shape[1], window, vocab_size))
        while len(runs) > 1 and len(runs[-2].keys_P) < 2 * len(runs[-1].keys_P):
            runs.append(_merged(runs.pop(), runs.pop()))
        tail = text[:, -window:]
        tick(stop / shards.total_tokens)
    while len(runs) > 1:
        runs.append(_merged(runs.pop(), runs.pop()))
    return runs[0]


def _located(shards: Any, start: int, stop: int, known_V: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The known ids of a stretch, and the document of each, (2, T)."""
    ids_T = np.asarray(shards.tokens(start, stop)).astype(np.int64)
    documents_T = np.searchsorted(shards.documents[:, 0], np.arange(start, stop), side="right")
    return np.stack([ids_T, documents_T])[:, known_V[ids_T]]


def _pairs(text_2T: NDArray[np.int64], before: int, window: int, vocab_size: int) -> Pairs:
    """The pairs whose second word stands behind the first `before` ones, which are there from the portion before."""
    ids_T, documents_T = text_2T
    packed = []
    for distance in range(1, min(window, len(ids_T) - 1) + 1):
        from_ = max(0, before - distance)
        left, right = slice(from_, len(ids_T) - distance), slice(from_ + distance, None)
        together = documents_T[left] == documents_T[right]
        one, other = ids_T[left][together], ids_T[right][together]
        keys = np.minimum(one, other) * vocab_size + np.maximum(one, other)
        packed.append(keys * window + (distance - 1))
    joined = np.concatenate([np.empty(0, np.int64), *packed])
    joined.sort()
    keys, distances = np.divmod(joined, window)
    weights = (1.0 / np.arange(1, window + 1))[distances]
    weights[keys // vocab_size == keys % vocab_size] *= 2
    return _summed(keys, weights, vocab_size)


def _merged(one: Pairs, other: Pairs) -> Pairs:
    keys = np.concatenate([one.keys_P, other.keys_P])
    order = np.argsort(keys, kind="stable")  # numpy's merges runs that are sorted already in linear time
    weights = np.concatenate([one.weights_P, other.weights_P])[order]
    return _summed(keys[order], weights.astype(np.float64), one.vocab_size)


def _summed(keys: NDArray[np.int64], weights: NDArray[np.float64], vocab_size: int) -> Pairs:
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    sums = np.add.reduceat(weights, starts) if len(starts) else weights
    return Pairs(keys[starts], sums.astype(np.float32), vocab_size)
