"""Documents from files of any format, in order; each is counted or refused with file, line and fix."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from lexloom.base.ledger import Ledger
from lexloom.text.json_rows import json_lines, json_list
from lexloom.text.lines import OnBytes
from lexloom.text.plain import text_lines
from lexloom.text.reading import STAGE, BadRows, DataSettings, Document, Reading
from lexloom.text.sources import Source, find_sources
from lexloom.text.tables import comma_table, parquet_table, tab_table

__all__ = ["READERS", "DataSettings", "Document", "read_documents", "read_sources"]


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
    for source in sources:
        reading = Reading(source, settings, ledger, bad_rows, on_bytes)
        documents = 0
        for document in READERS[source.format](reading):
            documents += 1
            ledger.count(STAGE, "documents", characters=len(document.text), where=document.where)
            yield document
        if documents == 0:
            ledger.count(STAGE, "empty file", where=source.name)


READERS: dict[str, Callable[[Reading], Iterator[Document]]] = {
    "text": text_lines,
    "json lines": json_lines,
    "json": json_list,
    "csv": comma_table,
    "tsv": tab_table,
    "parquet": parquet_table,
}
