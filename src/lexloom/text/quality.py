"""What a tokenizer makes of a text: how many tokens, for which scripts, and what it doesn't know."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from lexloom.text.samples import HAN
from lexloom.text.tokenizers import Tokenizer

SCRIPTS = ("Latin", "Han", "digits", "punctuation", "other")

_HAN = re.compile(f"[{HAN}]")
_WORD = re.compile(rf"[{HAN}]|[^\s{HAN}]+")
_LATIN = re.compile("[A-Za-zªº\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff\uff21-\uff3a\uff41-\uff5a]")


@dataclass(frozen=True)
class ScriptQuality:
    """A script's share: its characters, and the tokens that begin in them."""

    characters: int
    tokens: int
    unknown: int

    @property
    def tokens_per_character(self) -> float:
        return self.tokens / self.characters if self.characters else 0.0


@dataclass(frozen=True)
class Quality:
    """A tokenizer measured on texts.

    `words`: runs without spaces, and each Han character by itself. `unknown`: tokens that are the unknown token.
    `used_tokens`: different ids seen, out of `vocab_size`. `scripts`: by the script of the first character of a token
    that isn't a space.
    """

    documents: int
    characters: int
    utf8_bytes: int
    words: int
    tokens: int
    unknown: int
    used_tokens: int
    vocab_size: int
    lossless_documents: int
    scripts: dict[str, ScriptQuality]

    @property
    def fertility(self) -> float:
        """Tokens per word (Rust et al. 2021, arXiv:2012.15613); a Han character counts as a word."""
        return self.tokens / self.words if self.words else 0.0

    @property
    def bytes_per_token(self) -> float:
        return self.utf8_bytes / self.tokens if self.tokens else 0.0

    @property
    def unknown_share(self) -> float:
        return self.unknown / self.tokens if self.tokens else 0.0

    @property
    def vocabulary_use(self) -> float:
        return self.used_tokens / self.vocab_size

    def to_json(self) -> dict[str, Any]:
        """All counts and shares, for reports."""
        shares = ("fertility", "bytes_per_token", "unknown_share", "vocabulary_use")
        scripts = {
            name: {**asdict(script), "tokens_per_character": script.tokens_per_character}
            for name, script in self.scripts.items()
        }
        return {**asdict(self), **{name: getattr(self, name) for name in shares}, "scripts": scripts}


def measure(tokenizer: Tokenizer, texts: Iterable[str]) -> Quality:
    """Encode texts and count; a text that decodes to something else than itself is not lossless."""
    totals: Counter[str] = Counter()
    characters: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    used: set[int] = set()
    for text in texts:
        ids, starts = tokenizer.encode_with_starts(text)
        used.update(ids)
        characters.update(map(script_of, text))
        for token, start in zip(ids, starts, strict=True):
            script = script_of(text[start : start + 1])
            tokens[script] += 1
            unknown[script] += token == tokenizer.unk_id
        lossless = tokenizer.decode(ids) == text
        sizes = {"utf8_bytes": len(text.encode()), "words": count_words(text), "tokens": len(ids)}
        totals.update({"documents": 1, "characters": len(text), "lossless_documents": lossless, **sizes})
    return Quality(
        **{name: totals[name] for name in ("documents", "characters", "utf8_bytes", "words", "tokens")},
        unknown=unknown.total(),
        used_tokens=len(used),
        vocab_size=tokenizer.vocab_size,
        lossless_documents=totals["lossless_documents"],
        scripts={name: ScriptQuality(characters[name], tokens[name], unknown[name]) for name in SCRIPTS},
    )


def count_words(text: str) -> int:
    """Words: runs without spaces; each Han character is a word, since Chinese is written without spaces."""
    return sum(1 for _ in _WORD.finditer(text))


def script_of(character: str) -> str:
    """One of SCRIPTS; spaces, symbols and other alphabets are `other`."""
    if _LATIN.match(character):
        return "Latin"
    if _HAN.match(character):
        return "Han"
    category = unicodedata.category(character) if character else "Zs"
    return {"N": "digits", "P": "punctuation"}.get(category[0], "other")
