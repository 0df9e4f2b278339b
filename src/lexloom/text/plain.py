"""Documents from plain text: lines, paragraphs or whole files."""

from collections.abc import Iterable, Iterator
from typing import Literal

from lexloom.base.errors import DataError
from lexloom.text.reading import STAGE, Document, Reading


def text_lines(reading: Reading, unit: Literal["line", "paragraph", "file"]) -> Iterator[Document]:
    """Plain text, by line, paragraph or file."""
    if unit == "line":
        yield from _each_line(reading)
    else:
        yield from _joined_lines(reading, whole_file=unit == "file")


def not_blank(lines: Iterable[tuple[int, str]], reading: Reading) -> Iterator[tuple[int, str]]:
    """(line number, text) of the lines that hold something; the others are counted."""
    for number, text in lines:
        if text and not text.isspace():
            yield number, text
        else:
            reading.ledger.count(STAGE, "blank line", characters=len(text), where=reading.place(number))


def too_long(reading: Reading, line: int) -> DataError:
    """The refusal of a document beyond the limit."""
    return DataError(
        f"is longer than {reading.limits.line_bytes:,} bytes",
        where=reading.place(line),
        fix='Break the text into lines, or paragraphs with documents = "paragraph", or raise max_document_bytes.',
    )


def _each_line(reading: Reading) -> Iterator[Document]:
    return (Document(text, reading.place(number)) for number, text in not_blank(reading.decoded(), reading))


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
        if held_characters > reading.limits.line_bytes:
            raise too_long(reading, first)
    if any(text and not text.isspace() for text in held):
        yield Document("\n".join(held), reading.place(first))
