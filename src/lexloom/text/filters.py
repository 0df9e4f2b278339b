"""Length and quality filters: measures of a text, each with a threshold that the user sets; none by default."""

import re
from collections import Counter
from collections.abc import Callable

import numpy as np
from pydantic import Field, field_validator

from lexloom.base.ledger import Ledger
from lexloom.base.recipe import Settings, nearest
from lexloom.text.shingles import shingles


class FilterSettings(Settings):
    """Which documents are too short, too long or too poor. Empty ones are always dropped.

    Example: `at_least = { characters = 10, letters_share = 0.5 }`, `at_most = { repeated_lines_share = 0.3 }`: the last
    two are close to the rules of Gopher (Rae et al. 2021, table A1), which also suit Chinese.
    """

    at_least: dict[str, float] = Field(default_factory=dict)
    """Smallest allowed value of a measure: characters, letters_share, symbols_share, repeated_lines_share,
    repeated_ngrams_share, longest_run."""

    at_most: dict[str, float] = Field(default_factory=dict)
    """Largest allowed value of a measure, the same names."""

    cut_characters: int | None = Field(default=None, ge=1)
    """Cut longer documents to this many characters (the ledger counts what was cut); unset: never."""

    @field_validator("at_least", "at_most")
    @classmethod
    def _known(cls, limits: dict[str, float]) -> dict[str, float]:
        for name in limits:
            if name not in MEASURES:
                raise ValueError(f"unknown measure {name!r}; {nearest(name, list(MEASURES))}")
        return limits


def keep(text: str, where: str, settings: FilterSettings, ledger: Ledger) -> str | None:
    """The text, cut if it is too long, or None if it is dropped; either is counted with its reason."""
    if not text or text.isspace():
        ledger.count("filter", "empty", characters=len(text), where=where)
        return None
    reason = _reason(text, settings)
    if reason is not None:
        ledger.count("filter", reason, characters=len(text), where=where)
        return None
    if settings.cut_characters is not None and len(text) > settings.cut_characters:
        ledger.count("filter", "cut: too long", characters=len(text) - settings.cut_characters, where=where)
        text = text[: settings.cut_characters]
    return text


def _reason(text: str, settings: FilterSettings) -> str | None:
    for name, low in settings.at_least.items():
        if MEASURES[name](text) < low:
            return f"{name} below {low:g}"
    for name, high in settings.at_most.items():
        if MEASURES[name](text) > high:
            return f"{name} above {high:g}"
    return None


def letters_share(text: str) -> float:
    """Letters and ideographs among the characters that aren't white space."""
    return len(_LETTERS.sub("", text)) / max(1, _inked(text))


def symbols_share(text: str) -> float:
    """Characters that are neither letters, digits, white space nor the punctuation of sentences (also Chinese)."""
    return len(_SYMBOLS.sub("", text)) / max(1, _inked(text))


def repeated_lines_share(text: str) -> float:
    """Characters in lines that stood before, among those in lines that aren't blank."""
    counts = Counter(stripped for line in text.split("\n") if (stripped := line.strip()))
    total = sum(len(line) * count for line, count in counts.items())
    return sum(len(line) * (count - 1) for line, count in counts.items()) / max(1, total)


def repeated_ngrams_share(text: str) -> float:
    """Stretches of 10 words or ideographs that stood before, among all such stretches."""
    hashes, _ = shingles([text], NGRAM_UNITS)
    return 1 - len(np.unique(hashes)) / max(1, len(hashes))


def longest_run(text: str) -> float:
    """How often the most repeated character stands in a row; white space isn't counted."""
    return max((match.end() - match.start() for match in _RUNS.finditer(text)), default=1)


def characters(text: str) -> float:
    """Unicode characters."""
    return len(text)


MEASURES: dict[str, Callable[[str], float]] = {
    "characters": characters,
    "letters_share": letters_share,
    "symbols_share": symbols_share,
    "repeated_lines_share": repeated_lines_share,
    "repeated_ngrams_share": repeated_ngrams_share,
    "longest_run": longest_run,
}

NGRAM_UNITS = 10
_LETTERS = re.compile(r"[\W\d_]+")
_SYMBOLS = re.compile(r"""[\w\s.,;:!?'"()\-—…，。、；：！？“”‘’（）《》〈〉「」『』【】·]+""")
_RUNS = re.compile(r"(\S)\1+")
_SPACE = re.compile(r"\s+")


def _inked(text: str) -> int:
    return len(_SPACE.sub("", text))
