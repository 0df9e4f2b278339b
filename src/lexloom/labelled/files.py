"""Files of labelled data: found, decompressed and decoded as texts are, and the settings that all formats share."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from pydantic import Field

from lexloom.base.ledger import Ledger
from lexloom.base.recipe import Settings
from lexloom.text.lines import Limits
from lexloom.text.reading import BadRows, Encoding, Reading
from lexloom.text.sources import FORMATS, find_sources

STAGE = "labelled"
ROW_BYTES = 256_000_000
"""The longest row, and the largest file of a format that is read whole."""
EXPANSION = 200


class FileSettings(Settings):
    """How labelled files are read, whatever their format."""

    encoding: Encoding = "utf-8"
    """Encoding of all files, such as gb18030, utf-16, latin-1; a byte order mark is accepted and dropped."""

    suffix: Literal[".txt", ".tsv", ".csv", ".jsonl"] = ".tsv"
    """What standard input and files without a known suffix are read as."""

    skip_bad_rows: int = Field(default=0, ge=0)
    """How many rows that can't be used are skipped and listed in the ledger before it becomes an error."""


def open_sources(sources: Sequence[str], settings: FileSettings, ledger: Ledger) -> Iterator[Reading]:
    """Every file that `sources` name, ready to be read.

    Raises DataError for what isn't there. The ledger gets under "read" what the reading of texts counts as well.
    """
    bad_rows = BadRows(ledger, settings.skip_bad_rows)
    otherwise = FORMATS[settings.suffix]
    for source in find_sources(sources, ledger, otherwise=otherwise):
        source = replace(source, format=otherwise) if source.path is None else source
        yield Reading(source, settings.encoding, Limits(ROW_BYTES, EXPANSION), ledger, bad_rows)
