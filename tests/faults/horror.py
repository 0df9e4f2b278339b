"""What a horror is: a corpus, and what must happen to it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Entry = tuple[str, str]


@dataclass(frozen=True)
class Refused:
    """A UserError whose text holds all of these words."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Counted:
    """The ledger's documents under (stage, outcome); `texts`: what the documents must have become."""

    entries: dict[Entry, int]
    texts: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Horror:
    """`make` fills the folder `corpus`; `sources`, relative to its parent, are read with `settings`.

    `kept_copies`: exact duplicates stay, so that the good rows around a bad one can be alike.
    """

    name: str
    make: Callable[[Path], None]
    ends: Refused | Counted
    sources: tuple[str, ...] = ("corpus",)
    settings: dict[str, Any] = field(default_factory=dict)
    kept_copies: bool = False


def refused(*words: str) -> Refused:
    return Refused(words)


def counted(outcome: str, documents: int = 1, *, stage: str = "read", texts: tuple[str, ...] | None = None) -> Counted:
    return Counted({(stage, outcome): documents}, texts)


def read(*texts: str) -> Counted:
    """Nothing is wrong with it: it is read, and these are its documents."""
    return Counted({("read", "documents"): len(texts)}, texts)


Ends = Refused | Counted
POEM = "床前明月光，疑是地上霜。"
FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"
NOT_UTF8 = "isn't UTF-8"
ROWS_LEFT_OUT = "bad row skipped"
