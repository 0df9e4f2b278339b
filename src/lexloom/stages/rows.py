"""Rows of a table that is written while it is computed: JSON lines, CSV or TSV, to a file or to standard output."""

import contextlib
import csv
import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lexloom.base import files
from lexloom.base.errors import DataError, UserError
from lexloom.base.ledger import Ledger

STDOUT = "-"
STAGE = "write"
SPACES = str.maketrans(dict.fromkeys("\t\r\n", " "))

Row = Mapping[str, Any]
Write = Callable[[Row], None]
Line = Callable[[Row], str]


@contextlib.contextmanager
def new_table(out: str, ledger: Ledger) -> Iterator[Write]:
    """Yields what writes a row. The file, named by its suffix, is there when the block ends, or not at all.

    `-` is standard output, in JSON lines. Raises UserError for another suffix, and DataError in a CSV or TSV for a row
    whose columns aren't those of the first; the ledger counts what a TSV can't hold.
    """
    if out == STDOUT:
        line = _json_line()
        yield lambda row: _to_stdout(line(row))
        return
    suffix = Path(out).suffix.lower()
    if suffix not in LINES:
        known = ", ".join(LINES)
        raise UserError(f"can't write a table as {suffix or 'a file without suffix'}", where=out, fix=f"Use {known}.")
    line = LINES[suffix](out, ledger)
    with files.new_file(Path(out)) as file:
        yield lambda row: file.write(line(row).encode())


@contextlib.contextmanager
def new_lines(out: str, ledger: Ledger) -> Iterator[Callable[[str], None]]:
    """Yields what writes a text as one line, to a file that is there when the block ends or not at all, or to `-`.

    The ledger counts texts whose line breaks had to become spaces.
    """

    def line(text: str) -> str:
        flat = " ".join(text.splitlines())
        if flat != text:
            ledger.count(STAGE, "text with line breaks, made spaces")
        return flat + "\n"

    if out == STDOUT:
        yield lambda text: _to_stdout(line(text))
        return
    with files.new_file(Path(out)) as file:
        yield lambda text: file.write(line(text).encode())


def beside(row: Row, more: Row) -> dict[str, Any]:
    """The row, and behind its columns those of `more`; a name that the row has already gets a number."""
    columns = dict(row)
    for name, value in more.items():
        columns[_free(name, columns)] = value
    return columns


def _free(name: str, taken: Row) -> str:
    number, free = 2, name
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free


def _to_stdout(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _json_line() -> Line:
    return lambda row: json.dumps(row, ensure_ascii=False, default=str) + "\n"


class _Delimited:
    """Lines under one header; values that are no text are written as JSON."""

    def __init__(self, out: str) -> None:
        self._out = out
        self._header: list[str] | None = None

    def __call__(self, row: Row) -> str:
        if self._header is None:
            self._header = list(row)
            return self.line(self._header) + self.line([_cell(value) for value in row.values()])
        if list(row) != self._header:
            raise DataError(
                f"a row has the columns {', '.join(row)}, the first one had {', '.join(self._header)}",
                where=self._out,
                fix="Write .jsonl, or predict the files one by one.",
            )
        return self.line([_cell(value) for value in row.values()])

    def line(self, cells: list[str]) -> str:
        raise NotImplementedError


class _Comma(_Delimited):
    def line(self, cells: list[str]) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(cells)
        return text.getvalue()


class _Tab(_Delimited):
    """A TSV has no quotes, so tabs and line breaks in a cell become spaces."""

    def __init__(self, out: str, ledger: Ledger) -> None:
        super().__init__(out)
        self._ledger = ledger

    def line(self, cells: list[str]) -> str:
        plain = [cell.translate(SPACES) for cell in cells]
        changed = sum(cell != before for cell, before in zip(plain, cells, strict=True))
        if changed:
            self._ledger.count(STAGE, "cell with a tab or a line break, made a space", documents=changed)
        return "\t".join(plain) + "\n"


LINES: dict[str, Callable[[str, Ledger], Line]] = {
    ".jsonl": lambda out, ledger: _json_line(),
    ".csv": lambda out, ledger: _Comma(out),
    ".tsv": _Tab,
}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
