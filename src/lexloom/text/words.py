"""Words: of a text, and which tokens of a sequence begin one.

A word is a run of letters and digits; of Chinese, what jieba's dictionary finds; every other mark stands alone.
Axes: T tokens.
"""

import math
import re
from collections.abc import Iterator
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from lexloom.text.samples import HAN
from lexloom.text.stream import BYTE_OF, falls_back_to_bytes, is_byte_level
from lexloom.text.tokenizers import Tokenizer
from lexloom.text.unigram import SPACE
from lexloom.text.wordpiece import CONTINUES

Ids = NDArray[np.int64]
Flags = NDArray[np.bool_]

REMEMBERED_RUNS = 1 << 15

_PART = re.compile(rf"[{HAN}]+|\s+|(?:(?![{HAN}])\w)+|.", re.DOTALL)
_UNIT = re.compile(_PART.pattern.replace(f"[{HAN}]+", f"[{HAN}]", 1), re.DOTALL)
_HAN = re.compile(rf"[{HAN}]")
_BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")


def words(text: str) -> list[str]:
    """The words of a text in order, without the spaces between them."""
    return [part for part in _parts(text) if not part.isspace()]


def characters(text: str) -> list[str]:
    """The Chinese characters of a text one by one, and its other words and marks, without the spaces between them."""
    return [unit for unit in _UNIT.findall(text) if not unit.isspace()]


class WordStarts:
    """Tells which tokens begin a word, for one tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._bytes = [written(tokenizer, number) for number in range(tokenizer.vocab_size)]
        self._sizes = np.array([len(piece) for piece in self._bytes], np.int64)
        self._spaces = np.array([_leading_spaces(piece) for piece in self._bytes], np.int64)

    def __call__(self, ids_T: Ids) -> Flags:
        """True where a token begins a word or stands in no word that the token before it has begun.

        A token that holds the end of one word and the beginning of another belongs to the first of them.
        """
        text = b"".join([self._bytes[number] for number in ids_T.tolist()]).decode("utf-8", "surrogateescape")
        sizes_T = self._sizes[ids_T]
        places_T = np.cumsum(sizes_T) - sizes_T + self._spaces[ids_T]
        part_sizes = np.array([len(part.encode("utf-8", "surrogateescape")) for part in _parts(text)], np.int64)
        parts_T = np.searchsorted(np.cumsum(part_sizes), places_T, side="right")
        starts_T: Flags = np.diff(parts_T, prepend=-1) != 0
        return starts_T


def written(tokenizer: Tokenizer, id: int) -> bytes:
    """What a token writes, a space before it where it begins a word of its own.

    A special token writes a zero byte, which is no part of a word.
    """
    name = tokenizer.token(id) or ""
    if id in tokenizer.special_ids or not name:
        return b"\0"
    if tokenizer.model_type == "WordPiece":
        continues = name.startswith(CONTINUES) or _HAN.fullmatch(name)
        return (name.removeprefix(CONTINUES) if continues else f" {name}").encode()
    if is_byte_level(tokenizer) and all(letter in BYTE_OF for letter in name):
        return bytes(BYTE_OF[letter] for letter in name)
    byte = _BYTE_PIECE.fullmatch(name) if falls_back_to_bytes(tokenizer) else None
    return bytes([int(byte[1], 16)]) if byte else name.replace(SPACE, " ").encode()


def _parts(text: str) -> Iterator[str]:
    """The words and the spaces between them; joined they are the text."""
    for part in _PART.findall(text):
        if _HAN.match(part):
            yield from _chinese_words(part)
        else:
            yield part


@lru_cache(maxsize=REMEMBERED_RUNS)
def _chinese_words(run: str) -> tuple[str, ...]:
    """The words of `jieba.cut(run, HMM=False)`, in a fifth of its time: they are looked for while a model learns."""
    ends = _best_ends(run, *_dictionary())
    found, start = [], 0
    while start < len(run):
        found.append(run[start : ends[start]])
        start = ends[start]
    return tuple(found)


def _best_ends(run: str, log_probs: dict[str, float], unknown: float) -> list[int]:
    """For each place of a run, where the word ends that begins there in the most probable sequence of words."""
    best, ends = [0.0] * (len(run) + 1), [0] * len(run)
    for start in range(len(run) - 1, -1, -1):
        score = NO_WORD
        for stop in range(start + 1, len(run) + 1):
            found = log_probs.get(run[start:stop])
            if found is None:
                break
            if found + best[stop] >= score:
                score, ends[start] = found + best[stop], stop
        if score == NO_WORD:
            score, ends[start] = unknown + best[start + 1], start + 1
        best[start] = score
    return ends


NO_WORD = -math.inf


@cache
def _dictionary() -> tuple[dict[str, float], float]:
    """The log-probabilities of jieba's words (−∞ for what is only the beginning of words), and that of any other.

    It is built in memory: jieba by itself keeps a cache in the folder for temporary files that all users share, and
    reads as code whatever lies there.
    """
    import jieba  # a second and 100 MB, for whoever needs Chinese words only

    tokenizer = jieba.Tokenizer()
    counts, total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    log_probs = {word: math.log(count) - math.log(total) if count else NO_WORD for word, count in counts.items()}
    return log_probs, -math.log(total)


def _leading_spaces(written: bytes) -> int:
    """How many bytes come before the first that can be seen; none if there is no such byte."""
    return len(written) - len(written.lstrip()) if written.strip() else 0
