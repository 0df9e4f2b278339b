"""Which tokens of a sequence begin a word, a word being what text/segmentation.py finds.

Axes: T tokens.
"""

import re

import numpy as np
from numpy.typing import NDArray

from lexloom.text.byte_letters import BYTE_OF
from lexloom.text.segmentation import HAN_LETTER, parts
from lexloom.text.stream import falls_back_to_bytes, is_byte_level
from lexloom.text.tokenizers import Tokenizer
from lexloom.text.unigram import SPACE
from lexloom.text.wordpiece import CONTINUES

Ids = NDArray[np.int64]
Flags = NDArray[np.bool_]

_BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")


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
        part_sizes = np.array([len(part.encode("utf-8", "surrogateescape")) for part in parts(text)], np.int64)
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
        continues = name.startswith(CONTINUES) or HAN_LETTER.fullmatch(name)
        return (name.removeprefix(CONTINUES) if continues else f" {name}").encode()
    if is_byte_level(tokenizer) and all(letter in BYTE_OF for letter in name):
        return bytes(BYTE_OF[letter] for letter in name)
    byte = _BYTE_PIECE.fullmatch(name) if falls_back_to_bytes(tokenizer) else None
    return bytes([int(byte[1], 16)]) if byte else name.replace(SPACE, " ").encode()


def _leading_spaces(written: bytes) -> int:
    """How many bytes come before the first that can be seen; none if there is no such byte."""
    return len(written) - len(written.lstrip()) if written.strip() else 0
