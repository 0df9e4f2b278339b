"""Values from JSON: one on each line, or a list of them."""

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from lexloom.base.errors import DataError
from lexloom.text.plain import not_blank, too_long
from lexloom.text.reading import Reading


def json_lines(reading: Reading, needed: Sequence[str]) -> Iterator[tuple[int, Any]]:
    """(line number, value) of each line; what isn't JSON is a bad row. `needed` is for formats that have a header."""
    yield from _json_rows(reading.decoded(), reading)


def json_list(reading: Reading, needed: Sequence[str]) -> Iterator[tuple[int, Any]]:
    """The items of a JSON list, read whole (so at most `max_document_bytes`); other files are read as JSON lines."""
    lines = reading.decoded()
    number, text = next(((number, text) for number, text in lines if text.strip()), (1, ""))
    if not text.lstrip().startswith("["):
        yield from _json_rows(itertools.chain([(number, text)] if text else [], lines), reading)
        return
    whole = "\n".join([text, *_bounded(lines, reading, len(text))])
    yield from _list_items(whole, number, reading)


def parse_json(text: str, where: str) -> Any:
    """The value of one line. Raises DataError, also for a key that stands twice."""
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"isn't JSON: {_json_problem(error)}", where=where, fix="One object on each line.") from None


def whole_json(reading: Reading) -> Any:
    """The one value that a JSON file holds, None for a file without text. Raises DataError with the line."""
    text = "\n".join(_bounded(reading.decoded(), reading, 0))
    if not text.strip():
        return None
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        raise DataError(f"isn't JSON: {_json_problem(error)}", where=reading.place(line)) from None


def _json_rows(lines: Iterable[tuple[int, str]], reading: Reading) -> Iterator[tuple[int, Any]]:
    for number, line in not_blank(lines, reading):
        try:
            value = parse_json(line, reading.place(number))
        except DataError as error:
            reading.bad_rows.add(error)
        else:
            yield number, value


def _bounded(lines: Iterator[tuple[int, str]], reading: Reading, size: int) -> Iterator[str]:
    for number, text in lines:
        size += len(text) + 1
        if size > reading.limits.line_bytes:
            raise too_long(reading, number)
        yield text


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


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return value


def _json_problem(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)
_JSON_SPACE = re.compile(r"[ \t\n\r]*")
