"""What every format's reader works with: the settings, the file's lines, and a count of what can't be used."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from lexloom.base.errors import DataError
from lexloom.base.ledger import Ledger
from lexloom.base.recipe import Settings
from lexloom.text.lines import Limits, Line, OnBytes, decode_line, read_chunks, split_lines, transcode
from lexloom.text.sources import Source

STAGE = "read"
UTF8_NAMES = ("utf-8", "utf-8-sig")


def _known_encoding(name: str) -> str:
    try:
        "".encode(name)
        return codecs.lookup(name).name
    except LookupError:
        raise ValueError("is not a text encoding; name one such as utf-8, gb18030, utf-16, latin-1") from None


Encoding = Annotated[str, AfterValidator(_known_encoding)]


class DataSettings(Settings):
    """Where the text lies and how to read it."""

    sources: tuple[str, ...] = ()
    """Files, folders (read recursively), glob patterns, or - for standard input (plain text).

    Formats by suffix: .txt .jsonl .ndjson .json .csv .tsv .parquet, each also .gz and .zst. In .csv a quoted cell may
    hold line breaks; in .tsv quotes are ordinary characters. Line ends CR LF and CR become LF."""

    encoding: Encoding = "utf-8"
    """Encoding of all files, such as gb18030, utf-16, latin-1; a byte order mark is accepted and dropped."""

    documents: Literal["line", "paragraph", "file"] = "line"
    """What one document is in a plain text: a line, lines up to a blank one, or the whole file."""

    text_field: str | tuple[str, ...] = "text"
    """The field or column that holds the text, a string or a list of strings; several are joined by a line break."""

    skip_bad_rows: int = Field(default=0, ge=0)
    """How many rows that can't be used are skipped and listed in the ledger before it becomes an error."""

    max_document_bytes: int = Field(default=64_000_000, ge=1)
    """The longest line, paragraph, row or whole-file document, in UTF-8. While it is cleaned, such a document alone
    takes up to 25 times its size in memory."""

    max_expansion: int = Field(default=200, ge=1)
    """How many times its compressed size a file above 16 MB may grow, a guard against compression bombs."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The names in `text_field`."""
        return (self.text_field,) if isinstance(self.text_field, str) else self.text_field


@dataclass(frozen=True, slots=True)
class Document:
    """A text and the place it came from, `file:line`."""

    text: str
    where: str


class BadRows:
    """Counts rows that can't be used and says when there are too many."""

    def __init__(self, ledger: Ledger, allowed: int) -> None:
        self._ledger = ledger
        self._left = allowed

    def add(self, error: DataError) -> None:
        """Count a bad row, or raise its error when no more may be skipped."""
        if self._left == 0:
            raise error
        self._left -= 1
        self._ledger.count(STAGE, "bad row skipped", where=f"{error.where}: {error.what}", list_all=True)


@dataclass(frozen=True, slots=True)
class Reading:
    """A file that is being read: how, and where what happens is counted."""

    source: Source
    encoding: str
    limits: Limits
    ledger: Ledger
    bad_rows: BadRows
    on_bytes: OnBytes | None = None

    def place(self, line: int) -> str:
        return f"{self.source.name}:{line}"

    def chunks(self) -> Iterator[bytes]:
        return read_chunks(self.source, self.limits, self.on_bytes)

    def lines(self) -> Iterator[Line]:
        """The file's lines in UTF-8; carriage returns are counted in the ledger."""
        chunks = self.chunks()
        if self.encoding not in UTF8_NAMES:
            chunks = transcode(chunks, self.encoding, self.source.name)
        returns = 0
        for line in split_lines(chunks, self.limits, self.source.name):
            returns += line.returns
            yield line
        if returns:
            self.ledger.count(STAGE, "file with carriage returns, made LF", characters=returns, where=self.source.name)

    def decoded(self) -> Iterator[tuple[int, str]]:
        """(line number, text) of the lines that are clean UTF-8; the others are bad rows."""
        for line in self.lines():
            try:
                text = decode_line(line, self.source.name)
            except DataError as error:
                self.bad_rows.add(error)
            else:
                yield line.number, text
