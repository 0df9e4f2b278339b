"""Documents from tables: CSV, TSV and parquet, whose first row or schema names the columns."""

import csv
from collections.abc import Iterator
from typing import Literal

from lexloom.base.errors import DataError
from lexloom.text.parquet import parquet_rows
from lexloom.text.reading import STAGE, Document, Reading
from lexloom.text.rows import from_object


def comma_table(reading: Reading) -> Iterator[Document]:
    """CSV as in RFC 4180: quoted cells may hold commas, doubled quotes and line breaks."""
    yield from _table(reading, delimiter=",", quoting=csv.QUOTE_MINIMAL)


def tab_table(reading: Reading) -> Iterator[Document]:
    """Tab-separated values as registered with IANA: no quoting."""
    yield from _table(reading, delimiter="\t", quoting=csv.QUOTE_NONE)


def parquet_table(reading: Reading) -> Iterator[Document]:
    """The named columns of a parquet file; `where` counts rows from 1."""
    for number, row in parquet_rows(reading.source.name, reading.chunks(), reading.fields):
        try:
            if isinstance(row, UnicodeDecodeError):
                raise DataError(f"isn't UTF-8: {row.reason}", where=reading.place(number))
            yield from_object(row, number, reading)
        except DataError as error:
            reading.bad_rows.add(error)


def _table(reading: Reading, *, delimiter: str, quoting: Literal[0, 3]) -> Iterator[Document]:
    csv.field_size_limit(reading.settings.max_document_bytes)
    lines = (text + "\n" for _, text in reading.decoded())
    rows = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)
    header: list[str] | None = None
    while True:
        line = rows.line_num + 1
        try:
            row = next(rows, None)
            if row is None:
                return
            if not row or row == [""]:
                reading.ledger.count(STAGE, "blank line", where=reading.place(line))
            elif header is None:
                header = _checked_header(row, reading)
            else:
                yield from_object(_named_cells(header, row, reading.place(line)), line, reading)
        except csv.Error as error:
            reading.bad_rows.add(_bad_table(error, reading.place(line)))
        except DataError as error:
            if header is None:
                raise
            reading.bad_rows.add(error)


def _bad_table(error: csv.Error, where: str) -> DataError:
    if "unexpected end" in str(error) or "field limit" in str(error):
        return DataError("a quote opened here is never closed", where=where, fix="Close it; double a quote to mean it.")
    return DataError(f"isn't CSV: {error}", where=where, fix="Quote cells that hold quotes, and double those.")


def _checked_header(row: list[str], reading: Reading) -> list[str]:
    where = reading.place(1)
    if len(set(row)) != len(row):
        raise DataError("two columns have the same name", where=where, fix="Rename one.")
    for name in reading.fields:
        if name not in row:
            raise DataError(
                f"has no column {name!r}, only {', '.join(map(repr, row[:10]))}",
                where=where,
                fix="Name the text column in prepare.data.text_field; the first line must name the columns.",
            )
    return row


def _named_cells(header: list[str], row: list[str], where: str) -> dict[str, str]:
    if len(row) != len(header):
        raise DataError(
            f"has {len(row)} cells under {len(header)} columns", where=where, fix="Quote cells with commas."
        )
    return dict(zip(header, row, strict=True))
