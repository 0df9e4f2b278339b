"""The ledger: what was read, cut, dropped or replaced, and why. Nothing leaves a stage without a line here."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

EXAMPLES_KEPT = 3


@dataclass
class Entry:
    """One kind of event: how many documents, how many characters, and the first few places where it happened."""

    documents: int = 0
    characters: int = 0
    examples: list[str] = field(default_factory=list)


class Ledger:
    """Counts by (stage, outcome), in the order in which they first happened.

    Example: `ledger.count("clean", "too short", characters=12, where="poems.txt:7")`.
    """

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], Entry] = {}

    def count(
        self,
        stage: str,
        outcome: str,
        *,
        documents: int = 1,
        characters: int = 0,
        where: str | None = None,
        list_all: bool = False,
    ) -> None:
        """Add to one entry; `where` is kept for the first few, or always with `list_all`."""
        entry = self._entries.setdefault((stage, outcome), Entry())
        entry.documents += documents
        entry.characters += characters
        if where is not None and (list_all or len(entry.examples) < EXAMPLES_KEPT):
            entry.examples.append(where)

    def add(self, other: "Ledger") -> None:
        """Add all of another ledger's counts, for example a worker's, to this one."""
        for (stage, outcome), entry in other._entries.items():
            mine = self._entries.setdefault((stage, outcome), Entry())
            mine.documents += entry.documents
            mine.characters += entry.characters
            mine.examples = (mine.examples + entry.examples)[:EXAMPLES_KEPT]

    def __getitem__(self, key: tuple[str, str]) -> Entry:
        """The entry of (stage, outcome); an empty one if it never happened."""
        return self._entries.get(key, Entry())

    def __iter__(self) -> Iterator[tuple[str, str, Entry]]:
        return ((stage, outcome, entry) for (stage, outcome), entry in self._entries.items())

    def to_json(self) -> list[dict[str, Any]]:
        """A list of rows, the form of `ledger.json`."""
        return [
            {
                "stage": stage,
                "outcome": outcome,
                "documents": entry.documents,
                "characters": entry.characters,
                "examples": entry.examples,
            }
            for stage, outcome, entry in self
        ]

    @classmethod
    def from_json(cls, rows: list[dict[str, Any]]) -> "Ledger":
        """The inverse of `to_json`."""
        ledger = cls()
        for row in rows:
            ledger._entries[row["stage"], row["outcome"]] = Entry(
                row["documents"], row["characters"], list(row["examples"])
            )
        return ledger
