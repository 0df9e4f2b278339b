"""Rows of tables: CSV, TSV and parquet, whose first row or schema names the columns unless the caller does."""

import csv
from collections.abc import Iterator, Sequence
from typing import Literal

from lexloom.base.errors import DataError
from lexloom.text.parquet import parquet_rows
from lexloom.text.reading import STAGE, Reading

Row = dict[str, str]
Quoting = Literal[0, 3]
QUOTED: Quoting = csv.QUOTE_MINIMAL
UNQUOTED: Quoting = csv.QUOTE_NONE


def comma_table(reading: Reading, needed: Sequence[str]) -> Iterator[tuple[int, Row]]:
    """CSV as in RFC 4180: quoted cells may hold commas, doubled quotes and line breaks."""
    yield from table_rows(reading, delimiter=",", quoting=QUOTED, needed=needed)


def tab_table(reading: Reading, needed: Sequence[str]) -> Iterator[tuple[int, Row]]:
    """Tab-separated values as registered with IANA: no quoting."""
    yield from table_rows(reading, delimiter="\t", quoting=UNQUOTED, needed=needed)


def parquet_table(reading: Reading, needed: Sequence[str]) -> Iterator[tuple[int, dict[str, object]]]:
    """The needed columns of a parquet file, all if none is named; rows count from 1."""
    for number, row in parquet_rows(reading.source.name, reading.chunks(), needed):
        if isinstance(row, UnicodeDecodeError):
            reading.bad_rows.add(DataError(f"isn't UTF-8: {row.reason}", where=reading.place(number)))
        else:
            yield number, row


def table_rows(
    reading: Reading, *, delimiter: str, quoting: Quoting, needed: Sequence[str] = (), columns: Sequence[str] = ()
) -> Iterator[tuple[int, Row]]:
    """(line number, {column: cell}) of each row; rows that can't be used are bad rows.

    `columns` names the columns of a file without a header; a first row that says just these names is passed over.
    Raises DataError for a header without the `needed` columns, or with a name that stands twice.
    """
    header = list(columns)
    for line, row in _cells(reading, delimiter, quoting):
        if not header:
            header = _checked_header(row, reading, line, needed)
        elif row == list(columns):
            reading.ledger.count(STAGE, "line that names the columns", where=reading.place(line))
        elif len(row) != len(header):
            what = f"has {len(row)} cells under {len(header)} columns"
            fix = "Quote cells that hold the delimiter, or check the settings delimiter, quoting and columns."
            reading.bad_rows.add(DataError(what, where=reading.place(line), fix=fix))
        else:
            yield line, dict(zip(header, row, strict=True))


def _cells(reading: Reading, delimiter: str, quoting: Quoting) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(reading.limits.line_bytes)
    lines = (text + "\n" for _, text in reading.decoded())
    rows = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)
    while True:
        line = rows.line_num + 1
        try:
            row = next(rows, None)
        except csv.Error as error:
            reading.bad_rows.add(_bad_table(error, reading.place(line)))
            continue
        if row is None:
            return
        if not row or row == [""]:
            reading.ledger.count(STAGE, "blank line", where=reading.place(line))
        else:
            yield line, row


def _bad_table(error: csv.Error, where: str) -> DataError:
    if "unexpected end" in str(error) or "field limit" in str(error):
        return DataError("a quote opened here is never closed", where=where, fix="Close it; double a quote to mean it.")
    return DataError(f"isn't CSV: {error}", where=where, fix="Quote cells that hold quotes, and double those.")


def _checked_header(row: list[str], reading: Reading, line: int, needed: Sequence[str]) -> list[str]:
    where = reading.place(line)
    if len(set(row)) != len(row):
        raise DataError("two columns have the same name", where=where, fix="Rename one.")
    for name in needed:
        if name not in row:
            raise DataError(
                f"has no column {name!r}, only {', '.join(map(repr, row[:10]))}",
                where=where,
                fix="Name the right column in the settings; the first line must name the columns.",
            )
    return row
