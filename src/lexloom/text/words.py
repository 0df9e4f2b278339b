"""Words: of a text, and which tokens of a sequence begin one.

A word is a run of letters and digits; of Chinese, what jieba's dictionary finds; every other mark stands alone.
Axes: T tokens.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lexloom.text.samples import HAN
from lexloom.text.stream import BYTE_OF, falls_back_to_bytes, is_byte_level
from lexloom.text.tokenizers import Tokenizer
from lexloom.text.unigram import SPACE
from lexloom.text.wordpiece import CONTINUES

Ids = NDArray[np.int64]
Flags = NDArray[np.bool_]

_PART = re.compile(rf"[{HAN}]+|\s+|(?:(?![{HAN}])\w)+|.", re.DOTALL)
_HAN = re.compile(rf"[{HAN}]")
_BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")


def words(text: str) -> list[str]:
    """The words of a text in order, without the spaces between them."""
    return [part for part in _parts(text) if not part.isspace()]


class WordStarts:
    """Tells which tokens begin a word, for one tokenizer; `table` rows are made once for its whole vocabulary."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._bytes = [_written(tokenizer, id) for id in range(tokenizer.vocab_size)]
        self._sizes = np.array([len(written) for written in self._bytes], np.int64)
        self._spaces = np.array([_leading_spaces(written) for written in self._bytes], np.int64)

    def __call__(self, ids_T: Ids) -> Flags:
        """True where a token begins a word or stands in no word that the token before it has begun.

        A token that holds the end of one word and the beginning of another belongs to the first of them.
        """
        text = b"".join([self._bytes[id] for id in ids_T.tolist()]).decode("utf-8", "surrogateescape")
        sizes_T = self._sizes[ids_T]
        places_T = np.cumsum(sizes_T) - sizes_T + self._spaces[ids_T]
        part_sizes = np.array([len(part.encode("utf-8", "surrogateescape")) for part in _parts(text)], np.int64)
        parts_T = np.searchsorted(np.cumsum(part_sizes), places_T, side="right")
        return np.diff(parts_T, prepend=-1) != 0


def _parts(text: str) -> Iterator[str]:
    """The words and the spaces between them; joined they are the text."""
    for part in _PART.findall(text):
        if _HAN.match(part):
            yield from _jieba().cut(part, HMM=False)
        else:
            yield part


@cache
def _jieba() -> Any:
    """jieba with its own dictionary, built in memory: by itself it keeps a cache in the folder for temporary files that
    all users share, and reads as code whatever lies there."""
    import jieba  # a second and 100 MB, for whoever needs Chinese words only

    tokenizer = jieba.Tokenizer()
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    return tokenizer


def _written(tokenizer: Tokenizer, id: int) -> bytes:
    """What a token writes, a space before it where it begins a word of its own; a line break for a special token."""
    name = tokenizer.token(id) or ""
    if id in tokenizer.special_ids or not name:
        return b"\n"
    if tokenizer.model_type == "WordPiece":
        continues = name.startswith(CONTINUES) or _HAN.fullmatch(name)
        return (name.removeprefix(CONTINUES) if continues else f" {name}").encode()
    if is_byte_level(tokenizer) and all(letter in BYTE_OF for letter in name):
        return bytes(BYTE_OF[letter] for letter in name)
    byte = _BYTE_PIECE.fullmatch(name) if falls_back_to_bytes(tokenizer) else None
    return bytes([int(byte[1], 16)]) if byte else name.replace(SPACE, " ").encode()


def _leading_spaces(written: bytes) -> int:
    """How many bytes come before the first that can be seen; none if there is no such byte."""
    return len(written) - len(written.lstrip()) if written.strip() else 0
