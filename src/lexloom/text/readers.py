"""Documents from files of any format, in order; each is counted or refused with file, line and fix."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from lexloom.base.errors import DataError
from lexloom.base.ledger import Ledger
from lexloom.text.json_rows import json_lines, json_list
from lexloom.text.lines import Limits, OnBytes
from lexloom.text.plain import text_lines
from lexloom.text.reading import STAGE, BadRows, DataSettings, Document, Reading
from lexloom.text.rows import from_object
from lexloom.text.sources import Source, find_sources
from lexloom.text.tables import comma_table, parquet_table, tab_table

__all__ = ["ROWS", "DataSettings", "Document", "read_documents", "read_sources"]


def read_documents(
    sources: Sequence[str], *, ledger: Ledger, settings: DataSettings, on_bytes: OnBytes | None = None
) -> Iterator[Document]:
    """Every document of every source, in order, in memory bounded by the longest of them.

    The ledger gets a line under "read" for the documents, the bad rows that were skipped, empty files, blank lines and
    changed line ends. `on_bytes` is told how many bytes were taken from the disk, for a progress bar. Raises DataError
    with file, line and fix for anything that can't be read and isn't within `settings.skip_bad_rows`.
    """
    yield from read_sources(find_sources(sources, ledger), ledger=ledger, settings=settings, on_bytes=on_bytes)


def read_sources(
    sources: Iterable[Source], *, ledger: Ledger, settings: DataSettings, on_bytes: OnBytes | None = None
) -> Iterator[Document]:
    """As `read_documents`, for sources already found."""
    bad_rows = BadRows(ledger, settings.skip_bad_rows)
    limits = Limits(settings.max_document_bytes, settings.max_expansion)
    for source in sources:
        reading = Reading(source, settings.encoding, limits, ledger, bad_rows, on_bytes)
        documents = 0
        for document in _documents(reading, settings):
            documents += 1
            ledger.count(STAGE, "documents", characters=len(document.text), where=document.where)
            yield document
        if documents == 0:
            ledger.count(STAGE, "empty file", where=source.name)


def _documents(reading: Reading, settings: DataSettings) -> Iterator[Document]:
    if reading.source.format == "text":
        yield from text_lines(reading, settings.documents)
        return
    for number, value in ROWS[reading.source.format](reading, settings.fields):
        try:
            document = from_object(value, settings.fields, reading.place(number))
        except DataError as error:
            reading.bad_rows.add(error)
        else:
            yield document


ROWS: dict[str, Callable[[Reading, Sequence[str]], Iterator[tuple[int, Any]]]] = {
    "json lines": json_lines,
    "json": json_list,
    "csv": comma_table,
    "tsv": tab_table,
    "parquet": parquet_table,
}
