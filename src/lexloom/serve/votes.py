"""Votes of people on pairs of answers, kept in one table of an SQLite file.

The one file that isn't written through base/files.py: SQLite's write-ahead log does what that does, vote by vote, and
lets several people vote at once.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from lexloom.base import files
from lexloom.base.console import aligned
from lexloom.base.errors import DamagedError, FolderError
from lexloom.evaluate.preference import preference

Choice = Literal["left", "right", "tie"]
CHOICES: tuple[Choice, ...] = get_args(Choice)
BUSY_S = 10.0
"""How long a vote waits for another one that is being written."""

TABLE = """
CREATE TABLE IF NOT EXISTS votes (
    pair TEXT PRIMARY KEY,
    at TEXT NOT NULL,
    voter TEXT NOT NULL,
    prompt TEXT NOT NULL,
    left_model TEXT NOT NULL,
    right_model TEXT NOT NULL,
    left_text TEXT NOT NULL,
    right_text TEXT NOT NULL,
    choice TEXT NOT NULL CHECK (choice IN ('left', 'right', 'tie'))
) STRICT
"""


@dataclass(frozen=True, kw_only=True)
class Vote:
    """One person's judgement of two answers to one prompt."""

    pair: str
    """The pair's random name."""
    voter: str
    """Under which key it came."""
    prompt: str
    left_model: str
    right_model: str
    left_text: str
    right_text: str
    choice: Choice


class Votes:
    """A file of votes. Safe in several threads and processes: every call opens the file anew."""

    def __init__(self, path: Path) -> None:
        """Make the file if it isn't there. Raises DamagedError for a file that isn't one of votes."""
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._open() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(TABLE)

    def add(self, vote: Vote) -> None:
        """Keep a vote; after this it survives a power cut."""
        values = {"at": datetime.now(UTC).isoformat(timespec="seconds"), **asdict(vote)}
        columns = ", ".join(values)
        marks = ", ".join(f":{name}" for name in values)
        with self._open() as connection:
            connection.execute(f"INSERT INTO votes ({columns}) VALUES ({marks})", values)

    def remove(self, pair: str) -> None:
        """Take a vote back."""
        with self._open() as connection:
            connection.execute("DELETE FROM votes WHERE pair = ?", (pair,))

    def rows(self) -> list[dict[str, Any]]:
        """All votes in the order in which they came."""
        with self._open() as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute("SELECT * FROM votes ORDER BY at, rowid")]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, timeout=BUSY_S)) as connection, connection:
                connection.execute("PRAGMA synchronous = FULL")
                yield connection
        except sqlite3.DatabaseError as error:
            raise DamagedError(f"can't be used as a file of votes: {error}", where=str(self.path)) from None


def read_votes(path: Path) -> Votes:
    """A file of votes that is already there, or FolderError."""
    if not path.is_file():
        raise FolderError("no such file of votes", where=str(path), fix="Vote in the studio with --votes FILE.")
    return Votes(path)


def judge(path: Path, *, out: Path | None = None) -> dict[str, Any]:
    """What the votes in a file say, as {votes, results}; with `out`, all votes are written there, a line each.

    Raises FolderError for a file that isn't there, DamagedError for one of something else.
    """
    rows = read_votes(path).rows()
    if out is not None:
        files.write_file(out, as_lines(rows))
    return {"votes": len(rows), "results": results_of(rows)}


def describe(result: dict[str, Any]) -> str:
    """The result for people."""
    if not result["results"]:
        return "There are no votes yet."
    head = ("first", "second", "first preferred", "95 % interval", "won", "lost", "tied", "sign test")
    rows = [
        (
            each["first"],
            each["second"],
            f"{each['rate']:.1%}",
            f"{each['low']:.1%} to {each['high']:.1%}",
            str(each["wins"]),
            str(each["losses"]),
            str(each["ties"]),
            f"p = {each['p']:.3g}",
        )
        for each in result["results"]
    ]
    return f"{aligned([head, *rows], right=(2, 4, 5, 6))}\n\nTies count half in the rate, and nothing in the test."


def as_lines(rows: list[dict[str, Any]]) -> str:
    """Votes as lines of JSON."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def results_of(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The preference between each two models that votes compare, the first one by name first."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for row in rows:
        first, second = sorted((row["left_model"], row["right_model"]))
        better = {"left": row["left_model"], "right": row["right_model"], "tie": None}[row["choice"]]
        said = "ties" if better is None else "wins" if better == first else "losses"
        counts.setdefault((first, second), Counter())[said] += 1
    return [
        {
            "first": first,
            "second": second,
            "votes": said.total(),
            **asdict(preference(said["wins"], said["losses"], said["ties"])),
        }
        for (first, second), said in sorted(counts.items())
    ]
