"""Rows of labelled tables, and which of their columns mean what."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field, field_validator

from lexloom.base.errors import DataError
from lexloom.base.ledger import Ledger
from lexloom.labelled.files import STAGE, FileSettings, open_sources
from lexloom.text.plain import not_blank
from lexloom.text.readers import ROWS
from lexloom.text.reading import Reading
from lexloom.text.rows import check_unicode, kind, text_of
from lexloom.text.tables import QUOTED, UNQUOTED, table_rows

Values = dict[str, Any]
Unfold = Callable[[Any], Iterable[Any]]


@dataclass(frozen=True, slots=True)
class Usual:
    """The names that the field gives to columns: of a pair of texts, of a text, of what is to be foretold."""

    pairs: tuple[tuple[str, ...], ...]
    texts: tuple[str, ...]
    labels: tuple[str, ...]


PAIRS = (
    ("text_a", "text_b"),
    ("sentence1", "sentence2"),
    ("sentence_1", "sentence_2"),
    ("sentence_a", "sentence_b"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("query1", "query2"),
    ("text1", "text2"),
    ("#1 String", "#2 String"),
)
USUAL = Usual(
    pairs=PAIRS,
    texts=("text", "text_a", "sentence", "sentence1", "review", "query", "content", "comment"),
    labels=("label", "labels", "target", "gold", "score"),
)


NO_ROW = "file without a row"

OF_THE_FILE = ("encoding", "columns", "delimiter", "quoting")
"""Settings that describe a file rather than a task: new files need not look like those of the training."""


class TableFiles(FileSettings):
    """How tables are written: .csv .tsv .jsonl .json .parquet, also .gz and .zst."""

    columns: tuple[str, ...] = ()
    """The names of the columns, for tables whose first line doesn't name them."""

    delimiter: str | tuple[str, ...] | None = None
    """What parts the columns; unset: a comma in .csv, else a tab. A list parts each line once at each in turn, and what
    follows is the last column: [" "] for `label the text`, [":", " "] for `COARSE:fine the text`."""

    quoting: bool | None = None
    """Whether quotes hold cells together; unset: in .csv only."""

    @field_validator("columns")
    @classmethod
    def _unique(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("names a column twice")
        return names

    @field_validator("delimiter")
    @classmethod
    def _fitting(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        if isinstance(value, str) and (len(value) != 1 or value in '"\r\n\0'):
            raise ValueError("must be one character, or a list of texts")
        if isinstance(value, tuple) and (not value or "" in value):
            raise ValueError("must hold at least one text, and none that is empty")
        return value


class TableSettings(TableFiles):
    """Tables of labelled texts; other suffixes than those of tables count as .tsv."""

    text: str | tuple[str, ...] | None = Field(default=None, min_length=1)
    """The column of the text, or those of a pair; unset: the one with a usual name, such as text or sentence1."""

    label: str | None = None
    """The column of the label or number; unset: label, labels, target, gold or score. New data needs none."""

    label_separator: str = Field(default=",", min_length=1)
    """What parts several labels in one cell; in JSON they can also be a list."""

    @field_validator("text")
    @classmethod
    def _one_or_two(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        if isinstance(value, tuple) and len(value) > 2:
            raise ValueError("names more than a pair of texts")
        return value


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row, where it is, and the file it is in."""

    values: Values
    where: str
    reading: Reading

    @property
    def file(self) -> str:
        """The name of its file."""
        return self.reading.source.name


def read_rows(
    sources: Sequence[str], settings: TableFiles, ledger: Ledger, unfold: Unfold = lambda value: [value]
) -> Iterator[TableRow]:
    """Every row of every table; `unfold` makes rows of a value of JSON that isn't one.

    Raises DataError for what isn't a table; bad rows within the allowance are counted.
    """
    for reading in open_sources(sources, settings, ledger):
        yield from rows_of(reading, settings, ledger, unfold)


def rows_of(
    reading: Reading, settings: TableFiles, ledger: Ledger, unfold: Unfold = lambda value: [value]
) -> Iterator[TableRow]:
    """Every row of one table."""
    rows = 0
    for number, value in _rows(reading, settings):
        where = reading.place(number)
        for values in unfold(value):
            if isinstance(values, dict):
                rows += 1
                yield TableRow(values, where, reading)
            else:
                reading.bad_rows.add(DataError(f"is {kind(values)}, not an object with named fields", where=where))
    if rows == 0:
        ledger.count(STAGE, NO_ROW, where=reading.source.name)


class Columns:
    """Which columns mean what in a file, decided at its first row; what was guessed is said in the ledger."""

    def __init__(self, settings: TableSettings, usual: Usual, ledger: Ledger) -> None:
        self._settings = settings
        self._usual = usual
        self._ledger = ledger
        self._file = ""
        self._texts: tuple[str, ...] = ()
        self._label: str | None = None

    def texts(self, row: TableRow) -> tuple[str, ...]:
        """The texts of a row. Raises DataError if their columns aren't clear, aren't there, or hold something else."""
        if row.file != self._file:
            self._texts = _text_columns(list(row.values), self._settings.text, self._usual, row.where)
            self._file, self._label = row.file, None
            if self._settings.text is None:
                self._say(f"taken as the text: {listed(self._texts)}", row)
        return tuple(
            check_unicode(text_of(row.values, name, row.where, setting="text"), row.where) for name in self._texts
        )

    def label(self, row: TableRow) -> Any:
        """What stands in the column of the label, None if there is no such column: new data has none."""
        if self._label is None:
            self._label = self._find_label(row)
        return None if self._label is None else row.values.get(self._label)

    def _find_label(self, row: TableRow) -> str | None:
        named = self._settings.label
        if named is not None:
            if named not in row.values:
                self._ledger.count(STAGE, f"no column {named[:80]!r}, so no label", where=row.where)
            return named if named in row.values else None
        found = guess(list(row.values), self._usual.labels, what="label", where=row.where)
        if found is not None:
            self._say(f"taken as the label: {found[:80]!r}", row)
        return found

    def _say(self, guessed: str, row: TableRow) -> None:
        self._ledger.count(STAGE, guessed, where=row.file)


def guess(known: Sequence[str], usual: Sequence[str], *, what: str, where: str) -> str | None:
    """The only column with a usual name, None if there is none. Raises DataError if there are several."""
    found = [name for name in usual if name in known]
    if len(found) > 1:
        raise DataError(
            f"{' and '.join(map(repr, found))} may each be the column of the {what}",
            where=where,
            fix=f"Name it in the setting {what}; the columns are {listed(known)}.",
        )
    return found[0] if found else None


def listed(names: Sequence[str]) -> str:
    """Column names for people."""
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return (", ".join(repr(name[:80]) for name in names[:20]) or "none") + more


def _text_columns(
    known: Sequence[str], named: str | tuple[str, ...] | None, usual: Usual, where: str
) -> tuple[str, ...]:
    if named is not None:
        named = (named,) if isinstance(named, str) else named
        for name in named:
            if name not in known:
                raise _no_column(name, known, where)
        return named
    pairs = [pair for pair in usual.pairs if set(pair) <= set(known)]
    paired = {name for pair in pairs for name in pair}
    choices = [*pairs, *((name,) for name in usual.texts if name in known and name not in paired)]
    if len(choices) == 1:
        return choices[0]
    found = ", ".join(" with ".join(map(repr, names)) for names in choices)
    what = f"{found} may each be the text" if found else "has no column with a usual name for the text"
    raise DataError(what, where=where, fix=f"Name it in the setting text; the columns are {listed(known)}.")


def _no_column(name: str, known: Sequence[str], where: str) -> DataError:
    return DataError(
        f"has no column {name!r}, only {listed(known)}",
        where=where,
        fix="Name the right one in the setting text; where the first line names no columns, do so in columns.",
    )


def _rows(reading: Reading, settings: TableFiles) -> Iterator[tuple[int, Any]]:
    if reading.source.format == "parquet":
        yield from ((number, _plain(row)) for number, row in ROWS["parquet"](reading, ()))
    elif reading.source.format in ("json lines", "json"):
        yield from ROWS[reading.source.format](reading, ())
    elif isinstance(settings.delimiter, tuple):
        yield from _split_lines(reading, settings.delimiter, settings.columns)
    else:
        is_csv = reading.source.format == "csv"
        quoting = is_csv if settings.quoting is None else settings.quoting
        yield from table_rows(
            reading,
            delimiter=settings.delimiter if settings.delimiter is not None else "," if is_csv else "\t",
            quoting=QUOTED if quoting else UNQUOTED,
            columns=settings.columns,
        )


def _plain(value: Any) -> Any:
    """A value of parquet as JSON has it: dates and decimals as texts."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _split_lines(reading: Reading, delimiters: Sequence[str], columns: Sequence[str]) -> Iterator[tuple[int, Values]]:
    if len(columns) != len(delimiters) + 1:
        raise DataError(
            f"{len(delimiters)} delimiters part {len(delimiters) + 1} columns, but {len(columns)} are named",
            where=reading.source.name,
            fix="Name them all in the setting columns.",
        )
    for number, line in not_blank(reading.decoded(), reading):
        cells, rest = [], line
        for delimiter in delimiters:
            cell, found, rest = rest.partition(delimiter)
            if not found:
                error = DataError(f"has no {delimiter!r} to part its columns", where=reading.place(number))
                reading.bad_rows.add(error)
                break
            cells.append(cell)
        else:
            yield number, dict(zip(columns, [*cells, rest], strict=True))
