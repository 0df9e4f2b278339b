"""Exact duplicates by hash, near-duplicates by MinHash (Broder 1997) with banding (Leskovec et al., ch. 3).

The first of several alike is the one that stays. Memory per document: 256 bytes of signature, in numpy arrays.
"""

import hashlib
import unicodedata
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field

from lexloom.base.recipe import Settings
from lexloom.base.rng import generator
from lexloom.text.shingles import shingles

PERMUTATIONS = 128
# The bands find at least this share of the pairs that lie exactly at the threshold.
FOUND_SHARE = 0.98
# In one band, a document is compared with at most this many earlier ones: bounds the time on templated text.
LEADERS = 256
COMPARED_AT_ONCE = 1 << 16

Signatures = npt.NDArray[np.uint16]
_PERMUTATIONS = generator("minhash").integers(0, 1 << 32, size=(PERMUTATIONS, 2), dtype=np.uint32)
_PERMUTATIONS[:, 0] |= 1  # an odd factor makes x → factor · x + shift (mod 2^32) a permutation
NO_SIGNATURES: Signatures = np.zeros((0, PERMUTATIONS), dtype=np.uint16)


class DuplicatesSettings(Settings):
    """Which repeated documents are dropped; the first of them stays."""

    exact: bool = True
    """Drop documents that are equal but for white space and Unicode composition."""

    near: bool = True
    """Drop documents that resemble an earlier one."""

    near_threshold: float = Field(default=0.8, gt=0.0, lt=1.0)
    """Resemblance (Jaccard of the sets of n-grams, estimated with a standard error of at most 0.045) from which on."""

    near_ngram: int = Field(default=5, ge=1)
    """Units of an n-gram: words where spaces part them, characters in Chinese, Japanese and their like."""


def content_hash(text: str) -> bytes:
    """16 bytes that exact duplicates share: a hash of the text in NFC, with each run of white space as one space."""
    # Line by line: a list of all words of a long text would take many times its memory.
    lines = (" ".join(line.split()) for line in unicodedata.normalize("NFC", text).split("\n"))
    normal = " ".join(line for line in lines if line)
    return hashlib.blake2b(normal.encode("utf-8", errors="surrogatepass"), digest_size=16).digest()


def signatures(texts: Sequence[str], ngram: int) -> Signatures:
    """One row of PERMUTATIONS numbers for each text; two rows agree in the share that their n-grams have in common.

    The permutations are linear (Bohman, Cooper and Frieze 2000), and only the low 16 bits of each minimum are kept
    (b-bit MinHash, Li and König 2010): chance agreement is 1 in 65,536. A text without a letter or digit has its
    content as its only n-gram. Here numpy is faster than the MinHash libraries, which make Python objects of each row.
    """
    hashes, offsets = _fill_empty(texts, *shingles(texts, ngram))
    rows = np.empty((len(texts), PERMUTATIONS), dtype=np.uint16)
    if len(texts) == 0:
        return rows
    low = hashes.astype(np.uint32)
    permuted = np.empty_like(low)
    for column, (factor, shift) in enumerate(_PERMUTATIONS):
        np.add(np.multiply(low, factor, out=permuted), shift, out=permuted)
        rows[:, column] = np.minimum.reduceat(permuted, offsets[:-1])
    return rows


def near_duplicates(rows: Sequence[Signatures], threshold: float) -> npt.NDArray[np.bool_]:
    """Which documents resemble an earlier one that stays: an estimated Jaccard of `threshold` or more.

    `rows` are the documents' signatures in order, in blocks of any sizes; the result doesn't depend on the blocks.
    """
    total = sum(len(block) for block in rows)
    dropped = np.zeros(total, dtype=np.bool_)
    table = _Table(rows)
    bands, width = banding(threshold)
    for band in range(bands):
        _drop_in_band(table.band(band * width, width), table, dropped, threshold)
    return dropped


def banding(threshold: float) -> tuple[int, int]:
    """(bands, columns of each): the most selective that still find FOUND_SHARE of the pairs at the threshold."""
    for width in range(PERMUTATIONS, 0, -1):
        bands = PERMUTATIONS // width
        if 1 - (1 - threshold**width) ** bands >= FOUND_SHARE:
            return bands, width
    return PERMUTATIONS, 1


class _Table:
    """Rows in blocks, addressed as one matrix without copying them together."""

    def __init__(self, blocks: Sequence[Signatures]) -> None:
        self._blocks = blocks
        self._starts = np.cumsum([0, *(len(block) for block in blocks)])

    def band(self, first: int, width: int) -> npt.NDArray[np.uint64]:
        """One 64-bit key for each row, from `width` of its columns."""
        return np.concatenate([_band_keys(block[:, first : first + width]) for block in self._blocks] or [_NO_KEYS])

    def rows(self, indices: npt.NDArray[np.int64]) -> Signatures:
        """The rows with these indices."""
        found = np.empty((len(indices), PERMUTATIONS), dtype=np.uint16)
        block_of = np.searchsorted(self._starts, indices, side="right") - 1
        for block in np.unique(block_of):
            mine = block_of == block
            found[mine] = self._blocks[block][indices[mine] - self._starts[block]]
        return found


_NO_KEYS = np.zeros(0, dtype=np.uint64)
_KEY_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def _band_keys(columns: Signatures) -> npt.NDArray[np.uint64]:
    keys = np.zeros(len(columns), dtype=np.uint64)
    for column in columns.T:
        keys = (keys ^ column) * _KEY_MULTIPLIER
        keys ^= keys >> np.uint64(29)
    return keys


def _drop_in_band(
    keys: npt.NDArray[np.uint64], table: _Table, dropped: npt.NDArray[np.bool_], threshold: float
) -> None:
    """Compare the documents that share a key: all with the first of them, the rest with the next, and so on."""
    pool = np.argsort(keys, kind="stable")
    pool = pool[~dropped[pool]]
    for _ in range(LEADERS):
        first = np.ones(len(pool), dtype=np.bool_)
        first[1:] = keys[pool[1:]] != keys[pool[:-1]]
        leaders = pool[first][np.cumsum(first) - 1]
        followers = np.flatnonzero(~first)
        if len(followers) == 0:
            return
        alike = _agreement(table, leaders[followers], pool[followers]) >= threshold
        dropped[pool[followers[alike]]] = True
        pool = pool[followers[~alike]]


def _agreement(table: _Table, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The estimated Jaccard similarity of each pair."""
    shares = np.empty(len(left))
    for start in range(0, len(left), COMPARED_AT_ONCE):
        part = slice(start, start + COMPARED_AT_ONCE)
        shares[part] = (table.rows(left[part]) == table.rows(right[part])).mean(axis=1)
    return shares


def _fill_empty(
    texts: Sequence[str], hashes: npt.NDArray[np.uint64], offsets: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    empty = np.flatnonzero(np.diff(offsets) == 0)
    if len(empty) == 0:
        return hashes, offsets
    own = [int.from_bytes(content_hash(texts[int(index)])[:8], "little") for index in empty]
    added = np.zeros(len(offsets), dtype=np.int64)
    added[empty + 1] = 1
    return np.insert(hashes, offsets[empty], np.array(own, dtype=np.uint64)), offsets + np.cumsum(added)
