"""Text from tokens as they come: whole characters only, and all pieces together are what `decode` gives for all ids."""

import codecs
import re
from typing import Protocol

from lexloom.text.byte_letters import BYTE_OF
from lexloom.text.tokenizers import Tokenizer

SPACE = "▁"
"""How SentencePiece writes a space."""
_BYTE = re.compile("<0x[0-9A-F]{2}>")


class TextStream:
    """Decodes one id after another.

    Special tokens give no text. The work per token doesn't grow with the text.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._special_ids = tokenizer.special_ids
        self._stream: _Stream = _Bytes(tokenizer) if is_byte_level(tokenizer) else _Pieces(tokenizer)

    def push(self, id: int) -> str:
        """The text that `id` completes; empty while a character is incomplete."""
        return "" if id in self._special_ids else self._stream.push(id)

    def flush(self) -> str:
        """What is left at the end: U+FFFD for the beginning of a character, else nothing."""
        return self._stream.flush()


class _Stream(Protocol):
    def push(self, id: int) -> str: ...
    def flush(self) -> str: ...


class _Bytes:
    """Byte-level tokens are strings of bytes, so that only UTF-8 has to be put together."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, id: int) -> str:
        return self._utf8.decode(_spelled_bytes(self._tokenizer.token(id) or ""))

    def flush(self) -> str:
        return self._utf8.decode(b"", final=True)


class _Pieces:
    """Other tokens depend on the one before (its space, being the first); bytes like `<0xE4>` wait for the next letter.

    A run of such bytes is held to its end, because `decode` judges the run as a whole.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._bytes = (
            {tokenizer.id(f"<0x{byte:02X}>") for byte in range(256)} if falls_back_to_bytes(tokenizer) else set()
        )
        self._before: list[int] = []
        self._held: list[int] = []

    def push(self, id: int) -> str:
        if id in self._bytes:
            self._held.append(id)
            return ""
        return self.flush() + self._text_of([id])

    def flush(self) -> str:
        held, self._held = self._held, []
        return self._text_of(held) if held else ""

    def _text_of(self, ids: list[int]) -> str:
        seen = len(self._tokenizer.decode(self._before))
        text = self._tokenizer.decode(self._before + ids)[seen:]
        self._before = ids[-1:]
        return text


def token_bytes(tokenizer: Tokenizer, id: int) -> bytes:
    """What one token stands for, alone: its bytes, which may be a part of a character; a special token's name."""
    name = tokenizer.token(id) or ""
    if id in tokenizer.special_ids:
        return name.encode()
    if is_byte_level(tokenizer):
        return _spelled_bytes(name)
    if falls_back_to_bytes(tokenizer) and _BYTE.fullmatch(name):
        return bytes([int(name[3:5], 16)])
    return name.replace(SPACE, " ").encode()


def _spelled_bytes(name: str) -> bytes:
    known = all(letter in BYTE_OF for letter in name)
    return bytes(BYTE_OF[letter] for letter in name) if known else name.encode()


def is_byte_level(tokenizer: Tokenizer) -> bool:
    """Whether tokens are strings of bytes, each byte written as a letter of BYTE_OF (GPT-2)."""
    return "ByteLevel" in _decoder_types(tokenizer)


def falls_back_to_bytes(tokenizer: Tokenizer) -> bool:
    """Whether tokens such as `<0xE4>` stand for bytes (SentencePiece)."""
    return "ByteFallback" in _decoder_types(tokenizer)


def _decoder_types(tokenizer: Tokenizer) -> list[str]:
    decoder = tokenizer.decoder_json
    return [part["type"] for part in decoder.get("decoders", [decoder]) if "type" in part]
