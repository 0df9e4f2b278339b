"""Hashes of the n-grams of a text: words where spaces part them, single characters for Chinese and its like.

A unit is one ideograph, kana, Thai or similar letter, or a run of other letters, marks and digits; punctuation and
spaces part units and are not hashed. All in numpy over whole batches, about 20 MB/s on one core.
"""

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Offsets = npt.NDArray[np.int64]

# A longer text is hashed in pieces, which bounds the memory; the few n-grams that a cut parts are left out.
PIECE_CHARACTERS = 1 << 18
# Weighted stretches are the ones that must not be missed: pieces overlap by more than any stretch is long.
OVERLAP = 4096

_SINGLE, _RUN = 1, 2
# Scripts written without spaces: each character is a unit of its own.
SPACELESS = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x0FFF),  # Tibetan
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x2FDF),  # radicals
    (0x3005, 0x3007),
    (0x3040, 0x312F),  # kana, bopomofo
    (0x31A0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9D),  # half-width kana
    (0x1B000, 0x1B16F),
    (0x20000, 0x323AF),
)
# Odd multipliers with well-mixed bits: the golden ratio, and those of splitmix64 (Steele et al. 2014).
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def shingles(texts: Sequence[str], size: int) -> tuple[Hashes, Offsets]:
    """Hashes of every `size` units in a row, of all texts one after another, and where each text's begin and end.

    A text with fewer units gives one hash of all of them, an empty one none. Case is ignored.
    Returns (hashes, offsets): those of text i are `hashes[offsets[i]:offsets[i + 1]]`.
    """

    def windows(units: Units) -> tuple[Offsets, Offsets]:
        counts = np.diff(units.bounds)
        numbers = np.where(counts >= size, counts - size + 1, np.minimum(counts, 1))
        starts = _ranges(units.bounds[:-1], numbers)
        return starts, np.minimum(starts + size, np.repeat(units.bounds[1:], numbers))

    return _hashed(texts, windows, overlap=0)


def weighted_shingles(texts: Sequence[str], words: int) -> tuple[Hashes, Offsets]:
    """As `shingles`, of every stretch of `words` words, where two single characters count as one word.

    So 13 words and 26 Chinese characters are the same amount of text. A text shorter than that gives none.
    """

    def windows(units: Units) -> tuple[Offsets, Offsets]:
        total = np.concatenate(([0], np.cumsum(np.where(units.kinds == _RUN, 2, 1))))
        stops = np.searchsorted(total, total[:-1] + 2 * words)
        starts = np.flatnonzero(stops <= np.repeat(units.bounds[1:], np.diff(units.bounds)))
        return starts, stops[starts]

    return _hashed(texts, windows, overlap=OVERLAP)


@dataclass(frozen=True, slots=True)
class Units:
    """The units of several texts: a hash and a kind each; those of text i lie from bounds[i] to bounds[i + 1]."""

    hashes: Hashes
    kinds: npt.NDArray[np.uint8]
    bounds: Offsets


Windows = Callable[[Units], tuple[Offsets, Offsets]]


def _hashed(texts: Sequence[str], windows: Windows, *, overlap: int) -> tuple[Hashes, Offsets]:
    """The hashes of the windows (first unit, unit after the last) that `windows` finds, text by text."""
    hashes: list[Hashes] = [np.zeros(0, dtype=np.uint64)]
    counts = np.zeros(len(texts), dtype=np.int64)
    for owners, pieces in _groups(texts, overlap):
        units = _units(pieces)
        starts, stops = windows(units)
        hashes.append(_hash_windows(units.hashes, starts, stops))
        piece_of = np.searchsorted(units.bounds, starts, side="right") - 1
        counts += np.bincount(np.array(owners)[piece_of], minlength=len(texts))
    return np.concatenate(hashes), np.concatenate(([0], np.cumsum(counts)))


def _groups(texts: Sequence[str], overlap: int) -> Iterator[tuple[list[int], list[str]]]:
    """(number of the text, piece of it) in groups that bound the memory of the arrays; short texts are one piece."""
    owners: list[int] = []
    pieces: list[str] = []
    characters = 0
    for owner, text in enumerate(texts):
        for start in range(0, max(1, len(text)), PIECE_CHARACTERS):
            owners.append(owner)
            pieces.append(text[start : start + PIECE_CHARACTERS + overlap])
            characters += len(pieces[-1])
            if characters >= PIECE_CHARACTERS:
                yield owners, pieces
                owners, pieces, characters = [], [], 0
    if pieces:
        yield owners, pieces


def _units(texts: Sequence[str]) -> Units:
    joined = "\n".join(texts).lower()
    points = np.frombuffer(joined.encode("utf-32-le", errors="surrogatepass"), dtype=np.uint32)
    kinds = _kinds()[points]
    begins = kinds == _SINGLE
    begins[0:1] |= kinds[0:1] == _RUN
    begins[1:] |= (kinds[1:] == _RUN) & (kinds[:-1] != _RUN)
    inside = np.flatnonzero(kinds != 0)
    starts = np.flatnonzero(begins)
    bounds = np.searchsorted(starts, _text_bounds(texts, len(points)))
    if len(starts) == 0:
        return Units(np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.uint8), bounds)
    # The place inside the unit keeps "ab" and "ba" apart.
    begins_inside = begins[inside]
    place = (inside - starts[np.cumsum(begins_inside) - 1] + 1).astype(np.uint64)
    letters = _mix(points[inside] + _GOLDEN * place)
    return Units(_mix(np.add.reduceat(letters, np.flatnonzero(begins_inside))), kinds[starts], bounds)


def _text_bounds(texts: Sequence[str], characters: int) -> Offsets:
    """Where each text begins in the joined text; lower-casing can lengthen a text (İ), so it is asked again."""
    lengths = np.array([len(text) + 1 for text in texts], dtype=np.int64)
    if lengths.sum() - 1 != characters:
        lengths = np.array([len(text.lower()) + 1 for text in texts], dtype=np.int64)
    return np.concatenate(([0], np.cumsum(lengths)))


def _ranges(starts: Offsets, counts: Offsets) -> Offsets:
    """`starts[i], starts[i] + 1, …` for `counts[i]` numbers, for all i one after another."""
    before = np.cumsum(counts) - counts
    places = np.arange(counts.sum(), dtype=np.int64)
    places += np.repeat(starts - before, counts)
    return places


def _hash_windows(units: Hashes, starts: Offsets, stops: Offsets) -> Hashes:
    """Polynomial hashes modulo 2^64 from prefix sums: each window costs the same whatever its length."""
    powers = _powers(len(units))
    prefix = np.concatenate((np.zeros(1, dtype=np.uint64), np.cumsum(units * powers)))
    return _mix((prefix[stops] - prefix[starts]) * _inverse_powers(len(units))[starts])


def _powers(count: int) -> Hashes:
    powers = np.full(count, _GOLDEN, dtype=np.uint64)
    powers[0:1] = 1
    return np.multiply.accumulate(powers)


def _inverse_powers(count: int) -> Hashes:
    powers = np.full(count, np.uint64(pow(int(_GOLDEN), -1, 1 << 64)), dtype=np.uint64)
    powers[0:1] = 1
    return np.multiply.accumulate(powers)


def _mix(values: Hashes) -> Hashes:
    """The finaliser of splitmix64: every bit depends on every other."""
    values = (values ^ (values >> np.uint64(30))) * _MIX_1
    values = (values ^ (values >> np.uint64(27))) * _MIX_2
    return values ^ (values >> np.uint64(31))


@cache
def _kinds() -> npt.NDArray[np.uint8]:
    """For each code point: a unit of its own, part of a run, or nothing. A megabyte, made once."""
    planes = 0x30000
    table = np.zeros(0x110000, dtype=np.uint8)
    table[:planes] = [_RUN if unicodedata.category(chr(point))[0] in "LMN" else 0 for point in range(planes)]
    for first, last in SPACELESS:
        block = table[first : last + 1]
        block[block != 0] = _SINGLE
    return table
