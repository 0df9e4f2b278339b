"""What every token of a vocabulary adds to a text, in bytes, whatever kind of tokenizer.

Byte-level tokens have one spelling each. Other tokens may be written differently after another one: WordPiece puts a
space before a word, but not at the beginning of a text nor between Chinese characters; SentencePiece drops the space of
the first piece. There the token before says which spelling holds, and few kinds of tokens differ in what they say.
Axes: V vocabulary, P distinct spellings.
"""

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lexloom.text.stream import falls_back_to_bytes, is_byte_level, token_bytes
from lexloom.text.tokenizers import Tokenizer

Numbers = npt.NDArray[np.int64]
FIRST_CJK = "\u2e80"
"""From here on letters are written without spaces, marks too."""
KEPT_TOKENIZERS = 16


class Spellings:
    """Numbers for all distinct spellings; `never` is that of tokens no text holds, `end` stands for a text's end."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._number_of: dict[bytes, int] = {}
        self._kind_of, befores = _kinds(tokenizer)
        tables = [_spelled(tokenizer, before) for before in (None, *befores)]
        numbers = [[self._number(text) for text in table] for table in tables]
        self.never = len(self._number_of)
        self.end = self.never + 1
        self._tables = [np.array([self.never if n is None else n for n in table], np.int64) for table in numbers]
        self._longest = max(map(len, self._number_of))
        self._library_tokenizer: Any = None

    def after(self, before: int | None) -> Numbers:
        """The number of each token's spelling behind the token `before`, (V); None: at the beginning."""
        return self._tables[0 if before is None else 1 + int(self._kind_of[before])]

    def library_tokenizer(self, library: Any) -> Any:
        """The spellings as llguidance's vocabulary, made once."""
        if self._library_tokenizer is None:
            self._library_tokenizer = library.LLTokenizer(library.TokenizerWrapper(_Vocabulary(self)))
        return self._library_tokenizer

    @cached_property
    def texts(self) -> list[bytes]:
        """The spellings in the order of their numbers."""
        return list(self._number_of)

    def spell(self, text: bytes) -> list[int]:
        """A text in spellings, the longest one first; up to what can't be spelled."""
        found, place = [], 0
        while place < len(text):
            longest = range(min(self._longest, len(text) - place), 0, -1)
            size = next((size for size in longest if text[place : place + size] in self._number_of), None)
            if size is None:
                break
            found.append(self._number_of[text[place : place + size]])
            place += size
        return found

    def _number(self, text: bytes) -> int | None:
        return self._number_of.setdefault(text, len(self._number_of)) if text else None


@lru_cache(KEPT_TOKENIZERS)
def spellings_of(tokenizer: Tokenizer) -> Spellings:
    """The spellings of a tokenizer; half a second for 50,000 tokens, so they are kept."""
    return Spellings(tokenizer)


class _Vocabulary:
    """What llguidance asks of a tokenizer."""

    bos_token_id = None

    def __init__(self, spellings: Spellings) -> None:
        self.tokens = [*spellings.texts, b"<never>", b"<end>"]
        self.eos_token_id = spellings.end
        self.special_token_ids = [spellings.never, spellings.end]
        self._spell = spellings.spell

    def __call__(self, text: bytes) -> list[int]:
        return self._spell(text)


def _kinds(tokenizer: Tokenizer) -> tuple[Numbers, list[int]]:
    """The kind of each token (V), and one token of each: those are of one kind behind which all probes look alike."""
    if is_byte_level(tokenizer):
        return np.zeros(tokenizer.vocab_size, np.int64), [0]
    probes = _probes(tokenizer)
    kinds: dict[Sequence[bytes], int] = {}
    befores: list[int] = []
    kind_of = np.zeros(tokenizer.vocab_size, np.int64)
    for token in (token for token in range(tokenizer.vocab_size) if token not in tokenizer.special_ids):
        alike = tuple(_behind(tokenizer, token, probe) for probe in probes)
        if alike not in kinds:
            befores.append(token)
        kind_of[token] = kinds.setdefault(alike, len(kinds))
    return kind_of, befores


def _probes(tokenizer: Tokenizer) -> list[int]:
    """Tokens that a decoder may treat differently behind another one: words and marks, with spaces and without."""
    found: dict[tuple[bool, bool, bool], int] = {}
    for token in range(tokenizer.vocab_size):
        text = tokenizer.decode([token])
        if text:
            continues = text != tokenizer.decode([token, token])[len(text) :].strip()
            found.setdefault((text[0].isalnum(), text[0] >= FIRST_CJK, continues), token)
    return list(found.values())


def _spelled(tokenizer: Tokenizer, before: int | None) -> list[bytes]:
    """What each token adds behind `before`; nothing for special tokens, which no text holds."""
    special, fixed = tokenizer.special_ids, is_byte_level(tokenizer)
    in_bytes = falls_back_to_bytes(tokenizer)
    found = []
    for token in range(tokenizer.vocab_size):
        if token in special:
            found.append(b"")
        elif fixed or (in_bytes and str(tokenizer.token(token)).startswith("<0x")):
            found.append(token_bytes(tokenizer, token))
        else:
            found.append(_behind(tokenizer, before, token))
    return found


def _behind(tokenizer: Tokenizer, before: int | None, token: int) -> bytes:
    first = [] if before is None else [before]
    return tokenizer.decode([*first, token])[len(tokenizer.decode(first)) :].encode()
