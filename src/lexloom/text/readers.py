"""Documents from files: plain text, JSON lines, tables; each counted or refused with file, line and fix."""

import codecs
import csv
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, field_validator

from lexloom.base.errors import DataError
from lexloom.base.ledger import Ledger
from lexloom.base.recipe import Settings
from lexloom.text.lines import Limits, Line, OnBytes, decode_line, read_chunks, split_lines, transcode
from lexloom.text.parquet import parquet_rows
from lexloom.text.sources import Source, find_sources

STAGE = "read"
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
UTF8_NAMES = ("utf-8", "utf-8-sig")


class DataSettings(Settings):
    """Where the text lies and how to read it."""

    sources: tuple[str, ...] = ()
    """Files, folders (read recursively), glob patterns, or - for standard input (plain text).

    Formats by suffix: .txt .jsonl .ndjson .json .csv .tsv .parquet, each also .gz and .zst. In .csv a quoted cell may
    hold line breaks; in .tsv quotes are ordinary characters. Line ends CR LF and CR become LF."""

    encoding: str = "utf-8"
    """Encoding of all files, such as gb18030, utf-16, latin-1; a byte order mark is accepted and dropped."""

    documents: Literal["line", "paragraph", "file"] = "line"
    """What one document is in a plain text: a line, lines up to a blank one, or the whole file."""

    text_field: str | tuple[str, ...] = "text"
    """The field or column that holds the text, a string or a list of strings; several are joined by a line break."""

    skip_bad_rows: int = Field(default=0, ge=0)
    """How many rows that can't be used are skipped and listed in the ledger before it becomes an error."""

    max_document_bytes: int = Field(default=64_000_000, ge=1)
    """The longest line, paragraph, row or whole-file document, in UTF-8; memory is bounded by a few times it."""

    max_expansion: int = Field(default=200, ge=1)
    """How many times its compressed size a file above 16 MB may grow, a guard against compression bombs."""

    @field_validator("encoding")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            "".encode(name)
            return codecs.lookup(name).name
        except LookupError:
            raise ValueError("is not a text encoding; name one such as utf-8, gb18030, utf-16, latin-1") from None


@dataclass(frozen=True, slots=True)
class Document:
    """A text and the place it came from, `file:line`."""

    text: str
    where: str


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
    """What a format's reader needs to know about the file it reads."""

    source: Source
    settings: DataSettings
    ledger: Ledger
    bad_rows: BadRows
    on_bytes: OnBytes | None

    @property
    def limits(self) -> Limits:
        return Limits(self.settings.max_document_bytes, self.settings.max_expansion)

    @property
    def fields(self) -> tuple[str, ...]:
        named = self.settings.text_field
        return (named,) if isinstance(named, str) else named

    def place(self, line: int) -> str:
        return f"{self.source.name}:{line}"

    def chunks(self) -> Iterator[bytes]:
        return read_chunks(self.source, self.limits, self.on_bytes)

    def lines(self) -> Iterator[Line]:
        """The file's lines in UTF-8; carriage returns are counted in the ledger."""
        chunks = self.chunks()
        if self.settings.encoding not in UTF8_NAMES:
            chunks = transcode(chunks, self.settings.encoding, self.source.name)
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


def text_lines(reading: Reading) -> Iterator[Document]:
    """Plain text, by line, paragraph or file."""
    if reading.settings.documents == "line":
        yield from _each_line(reading)
    else:
        yield from _joined_lines(reading, whole_file=reading.settings.documents == "file")


def json_lines(reading: Reading) -> Iterator[Document]:
    """One JSON object on each line."""
    yield from _json_rows(reading.decoded(), reading)


def _json_rows(lines: Iterable[tuple[int, str]], reading: Reading) -> Iterator[Document]:
    for number, line in _not_blank(lines, reading):
        try:
            yield _from_object(_parse(line, reading.place(number)), number, reading)
        except DataError as error:
            reading.bad_rows.add(error)


def json_list(reading: Reading) -> Iterator[Document]:
    """A JSON list of objects, read whole (so at most `max_document_bytes`); other JSON files are read as JSON lines."""
    lines = reading.decoded()
    number, text = next(((number, text) for number, text in lines if text.strip()), (1, ""))
    if not text.lstrip().startswith("["):
        yield from _json_rows(itertools.chain([(number, text)] if text else [], lines), reading)
        return
    whole = "\n".join([text, *_bounded(lines, reading, len(text))])
    for place, value in _list_items(whole, number, reading):
        try:
            yield _from_object(value, place, reading)
        except DataError as error:
            reading.bad_rows.add(error)


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
            yield _from_object(row, number, reading)
        except DataError as error:
            reading.bad_rows.add(error)


READERS: dict[str, Callable[[Reading], Iterator[Document]]] = {
    "text": text_lines,
    "json lines": json_lines,
    "json": json_list,
    "csv": comma_table,
    "tsv": tab_table,
    "parquet": parquet_table,
}


def _not_blank(lines: Iterable[tuple[int, str]], reading: Reading) -> Iterator[tuple[int, str]]:
    for number, text in lines:
        if text and not text.isspace():
            yield number, text
        else:
            reading.ledger.count(STAGE, "blank line", characters=len(text), where=reading.place(number))


def _each_line(reading: Reading) -> Iterator[Document]:
    return (Document(text, reading.place(number)) for number, text in _not_blank(reading.decoded(), reading))


def _joined_lines(reading: Reading, *, whole_file: bool) -> Iterator[Document]:
    """Lines joined up to a blank one, or all of them."""
    held: list[str] = []
    first = held_characters = 0
    for number, text in reading.decoded():
        if not whole_file and (not text or text.isspace()):
            if held:
                yield Document("\n".join(held), reading.place(first))
            held, held_characters = [], 0
            continue
        first = number if not held else first
        held.append(text)
        held_characters += len(text) + 1
        if held_characters > reading.settings.max_document_bytes:
            raise _too_long(reading, first)
    if any(text and not text.isspace() for text in held):
        yield Document("\n".join(held), reading.place(first))


def _bounded(lines: Iterator[tuple[int, str]], reading: Reading, size: int) -> Iterator[str]:
    for number, text in lines:
        size += len(text) + 1
        if size > reading.settings.max_document_bytes:
            raise _too_long(reading, number)
        yield text


def _too_long(reading: Reading, line: int) -> DataError:
    return DataError(
        f"is longer than {reading.settings.max_document_bytes:,} bytes",
        where=reading.place(line),
        fix='Choose data.documents = "line" or "paragraph" or JSON lines, or raise data.max_document_bytes.',
    )


def _list_items(text: str, line: int, reading: Reading) -> Iterator[tuple[int, Any]]:
    """(line number, value) of the items of a JSON list."""
    position, seen = _skip_space(text, text.index("[") + 1), 0
    while text[position : position + 1] != "]":
        line += text.count("\n", seen, position)
        seen = position
        value, position = _decode_item(text, position, reading.place(line))
        yield line, value
        position = _skip_space(text, position)
        if text[position : position + 1] == ",":
            position = _skip_space(text, position + 1)
            if text[position : position + 1] == "]":
                raise DataError("a comma before the end of the list", where=reading.place(line), fix="Remove it.")
        elif text[position : position + 1] != "]":
            raise DataError("the list isn't closed or lacks a comma after this item", where=reading.place(line))
    if text[position + 1 :].strip():
        raise DataError("something follows the end of the list", where=reading.place(line), fix="Use one list a file.")


def _decode_item(text: str, position: int, where: str) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, position)
    except (ValueError, RecursionError) as error:
        raise DataError(f"isn't JSON: {_json_problem(error)}", where=where) from None


def _skip_space(text: str, position: int) -> int:
    match = _JSON_SPACE.match(text, position)
    assert match is not None, "the pattern matches the empty string"
    return match.end()


_JSON_SPACE = re.compile(r"[ \t\n\r]*")


def _parse(text: str, where: str) -> Any:
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"isn't JSON: {_json_problem(error)}", where=where, fix="One object on each line.") from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def _json_problem(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def _from_object(value: Any, line: int, reading: Reading) -> Document:
    """The document in a JSON object or a row."""
    where = reading.place(line)
    if not isinstance(value, dict):
        raise DataError(f"is {_kind(value)}, not an object with the field {reading.fields[0]!r}", where=where)
    texts = [_field(value, name, where) for name in reading.fields]
    return Document(_clean_unicode("\n".join(texts), where), where)


def _field(row: dict[str, Any], name: str, where: str) -> str:
    if name not in row:
        raise DataError(
            f"has no field {name!r}, only {', '.join(map(repr, list(row)[:10])) or 'none'}",
            where=where,
            fix="Name the field that holds the text in data.text_field.",
        )
    value = row[name]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    if not isinstance(value, str):
        raise DataError(f"the field {name!r} holds {_kind(value)}, not text", where=where)
    return value


def _clean_unicode(text: str, where: str) -> str:
    if "\0" in text:
        raise DataError("the text holds a NUL", where=where, fix="Remove it, or allow data.skip_bad_rows.")
    if not text.isascii() and (lone := LONE_SURROGATE.search(text)):
        raise DataError(
            f"the text holds half a character (a lone surrogate, \\u{ord(lone[0]):04x})",
            where=where,
            fix="Write the whole pair, or allow data.skip_bad_rows.",
        )
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _kind(value: Any) -> str:
    kinds = {bool: "a truth value", int: "a number", float: "a number", str: "a string", list: "a list"}
    return "null" if value is None else kinds.get(type(value), f"a {type(value).__name__}")


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
                yield _from_object(_named_cells(header, row, reading.place(line)), line, reading)
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
                fix="Name the column that holds the text in data.text_field; the first line must name the columns.",
            )
    return row


def _named_cells(header: list[str], row: list[str], where: str) -> dict[str, str]:
    if len(row) != len(header):
        raise DataError(
            f"has {len(row)} cells under {len(header)} columns", where=where, fix="Quote cells with commas."
        )
    return dict(zip(header, row, strict=True))
