"""The n-grams of a corpus, each once, with how often they occur; corpora and tables may be larger than memory.

An n-gram is a context (its first n−1 tokens, itself an n-gram of the order below) and a word. So it is one number,
`row of the context · vocabulary + word`, whatever its order, and a table of n-grams is the sorted array of its numbers:
what follows one context stands together, and row r of a table is the n-gram that the order above calls context r. The
rows of the first order are the words themselves.

A document is read as <s> … </s>, where both are the separator that ends every document: as the first token of an
n-gram it is <s>, as the last one </s>, and no n-gram goes across. Longer orders need only one pass over the tokens
each, since the context of a token is known from the pass before.
Axes: T tokens of the corpus, with the separator before the first document; G n-grams of one order.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lexloom.base.errors import DataError
from lexloom.data.batches import TokenSource

NONE = -1
"""The row of what is not an n-gram: it would go across documents, or beyond the beginning of the corpus."""
MOST_TOKENS = (1 << 31) - 1
"""Rows are int32."""
READ_TOKENS = 1 << 22
"""Tokens looked at together; bounds the memory of a pass."""
SORT_BYTES = 48
"""What sorting takes for each token in memory: its number, its place, the order, and copies of them."""
SAMPLED = 1 << 16
"""Numbers from which the cuts are chosen where a corpus is sorted in parts."""

Numbers = NDArray[np.int64]
Rows = NDArray[np.int32]
Tick = Callable[[float], None]


@dataclass(frozen=True)
class Grams:
    """All n-grams of one order in files, mapped anew by whoever asks, so that nobody keeps them in memory unasked."""

    folder: Path
    order: int
    size: int

    def __len__(self) -> int:
        return self.size

    @property
    def keys_G(self) -> Numbers:  # noqa: N802
        """The n-grams as numbers, int64, ascending."""
        return self._mapped("keys", np.int64)

    @property
    def counts_G(self) -> Rows:  # noqa: N802
        """How often each occurs, int32."""
        return self._mapped("counts", np.int32)

    @property
    def suffixes_G(self) -> Rows:  # noqa: N802
        """The row of each n-gram without its first token in the order below, int32."""
        return self._mapped("suffixes", np.int32)

    def file(self, name: str) -> Path:
        """Where one of the arrays is."""
        return self.folder / f"{name}{self.order}"

    def _mapped(self, name: str, dtype: Any) -> NDArray[Any]:
        return np.memmap(self.file(name), dtype=dtype, mode="c") if self.size else np.empty(0, dtype)


@dataclass(frozen=True)
class Counted:
    """The counts of the single tokens (V, the separator's as </s>), and the n-grams of the orders from 2 on."""

    unigrams_V: Numbers  # noqa: N815
    orders: tuple[Grams, ...]


def count_ngrams(
    source: TokenSource, order: int, *, vocab_size: int, scratch: Path, memory_bytes: int, tick: Tick
) -> Counted:
    """Count the n-grams of all orders up to `order`; the files that are mapped stay in `scratch`.

    About `memory_bytes` are held in memory at a time: where sorting would take more, the numbers are sorted in parts,
    each of which is a stretch of the finished table. Raises DataError for more tokens than rows can number.
    """
    if source.total_tokens >= MOST_TOKENS:
        raise DataError(
            f"{source.total_tokens:,} tokens are more than can be counted, which is {MOST_TOKENS - 1:,}",
            fix="Prepare a part of the corpus, or larger tokens.",
        )
    text = _text(source, scratch)
    unigrams_V = np.zeros(vocab_size, np.int64)
    for start in range(1, len(text.ids_T), READ_TOKENS):
        unigrams_V += np.bincount(text.ids_T[start : start + READ_TOKENS], minlength=vocab_size)
    parts = max(1, -(-len(text.ids_T) * SORT_BYTES // memory_bytes))
    rows_T: Rows = text.ids_T
    orders = []
    for size in range(2, order + 1):
        tick((size - 2) / (order - 1))
        grams, rows_T = _next_order(text, rows_T, size, vocab_size, parts, scratch, last=size == order)
        orders.append(grams)
    return Counted(unigrams_V, tuple(orders))


# ---- the text ----


@dataclass(frozen=True)
class _Text:
    """`ids_T`: int32; `ends_E`: the places of the separators, ascending."""

    ids_T: Rows  # noqa: N815
    ends_E: Numbers  # noqa: N815


def _text(source: TokenSource, scratch: Path) -> _Text:
    first_end = int(source.documents[0, 0])
    ids_T = _new_array(scratch / "ids", source.total_tokens + 1, np.int32)
    ids_T[0] = source.tokens(first_end - 1, first_end)[0]
    for start in range(0, source.total_tokens, READ_TOKENS):
        stop = min(start + READ_TOKENS, source.total_tokens)
        ids_T[start + 1 : stop + 1] = source.tokens(start, stop)
    ends = source.documents[:, 0]
    return _Text(ids_T, np.concatenate([[0], ends[ends < len(ids_T)]]))


# ---- one order ----


def _next_order(
    text: _Text, rows_T: Rows, size: int, vocab_size: int, parts: int, scratch: Path, *, last: bool
) -> tuple[Grams, Rows]:
    """The n-grams of `size` tokens, and the row of the one that ends at each place; `rows_T` are those of one less."""
    after_T = rows_T if last else _new_array(scratch / f"rows{size}", len(rows_T), np.int32)
    if not last:
        after_T[:] = NONE
    empty = Grams(scratch, size, 0)
    done = 0
    for low, high in _stretches(text, rows_T, size, vocab_size, parts):
        keys, places = _numbers(text, rows_T, size, vocab_size, low, high)
        order = np.argsort(keys, kind="stable")
        keys, places = keys[order], places[order]
        del order
        fresh = np.concatenate([[True], keys[1:] != keys[:-1]]) if len(keys) else np.zeros(0, bool)
        firsts = np.flatnonzero(fresh)
        _append(empty.file("keys"), keys[firsts])
        _append(empty.file("counts"), np.diff(firsts, append=len(keys)).astype(np.int32))
        _append(empty.file("suffixes"), rows_T[places[firsts]])
        if not last:
            after_T[places] = (np.cumsum(fresh) + (done - 1)).astype(np.int32)
        done += len(firsts)
    return replace(empty, size=done), after_T


def _stretches(text: _Text, rows_T: Rows, size: int, vocab_size: int, parts: int) -> Iterator[tuple[int, int]]:
    """The numbers' range in as many parts, of about as many tokens each."""
    cuts = [0]
    if parts > 1:
        step = max(1, len(rows_T) // SAMPLED)
        sample = np.sort(np.concatenate([keys[::step] for keys, _ in _windows(text, rows_T, size, vocab_size)]))
        cuts += np.unique(sample[[len(sample) * part // parts for part in range(1, parts)]]).tolist()
    yield from zip(cuts, [*cuts[1:], np.iinfo(np.int64).max], strict=True)


def _numbers(text: _Text, rows_T: Rows, size: int, vocab_size: int, low: int, high: int) -> tuple[Numbers, Numbers]:
    """The numbers from `low` to before `high`, and the places where their n-grams end, in the text's order."""
    found = []
    for keys, places in _windows(text, rows_T, size, vocab_size):
        inside = (keys >= low) & (keys < high)
        found.append((keys, places) if inside.all() else (keys[inside], places[inside]))
    return np.concatenate([keys for keys, _ in found]), np.concatenate([places for _, places in found])


def _windows(text: _Text, rows_T: Rows, size: int, vocab_size: int) -> Iterator[tuple[Numbers, Rows]]:
    """The numbers of all n-grams of `size` tokens, portion by portion, and where each one ends."""
    for start in range(1, len(rows_T), READ_TOKENS):
        stop = min(start + READ_TOKENS, len(rows_T))
        contexts = rows_T[start - 1 : stop - 1].astype(np.int64)
        if size > 2:
            # A context of two tokens or more that ends in </s> has ended
            first, last = np.searchsorted(text.ends_E, [start - 1, stop - 1])
            contexts[text.ends_E[first:last] - (start - 1)] = NONE
        places = np.flatnonzero(contexts >= 0).astype(np.int32)
        keys = contexts[places] * vocab_size + text.ids_T[start:stop][places]
        yield keys, places + np.int32(start)


# ---- arrays on the disk, for as long as the scratch folder is there ----


def _new_array(path: Path, items: int, dtype: Any) -> NDArray[Any]:
    return np.memmap(path, dtype=dtype, mode="w+", shape=(items,))


def _append(path: Path, values: NDArray[Any]) -> None:
    with open(path, "ab") as file:
        file.write(np.ascontiguousarray(values).data)
