"""Files of labelled data: found, decompressed and decoded as texts are, and the settings that all formats share."""

from collections.abc import Iterator, Sequence

from pydantic import Field

from lexloom.base.ledger import Ledger
from lexloom.base.recipe import Settings
from lexloom.text.lines import Limits
from lexloom.text.reading import BadRows, Encoding, Reading
from lexloom.text.sources import find_sources

STAGE = "labelled"
ROW_BYTES = 256_000_000
"""The longest row, and the largest file of a format that is read whole."""
EXPANSION = 200


class FileSettings(Settings):
    """How labelled files are read, whatever their format."""

    encoding: Encoding = "utf-8"
    """Encoding of all files, such as gb18030, utf-16, latin-1; a byte order mark is accepted and dropped."""

    skip_bad_rows: int = Field(default=0, ge=0)
    """How many rows that can't be used are skipped and listed in the ledger before it becomes an error."""


def open_sources(sources: Sequence[str], settings: FileSettings, ledger: Ledger) -> Iterator[Reading]:
    """Every file that `sources` name, ready to be read; a file of unknown suffix counts as text.

    Raises DataError for what isn't there. The ledger gets under "read" what the reading of texts counts as well.
    """
    bad_rows = BadRows(ledger, settings.skip_bad_rows)
    for source in find_sources(sources, ledger, otherwise="text"):
        yield Reading(source, settings.encoding, Limits(ROW_BYTES, EXPANSION), ledger, bad_rows)
