"""A document from an object of JSON or a row of a table."""

import re
from typing import Any

from lexloom.base.errors import DataError
from lexloom.text.reading import Document, Reading

LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def from_object(value: Any, line: int, reading: Reading) -> Document:
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
            fix="Name the field that holds the text in prepare.data.text_field.",
        )
    value = row[name]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    if not isinstance(value, str):
        raise DataError(f"the field {name!r} holds {_kind(value)}, not text", where=where)
    return value


def _clean_unicode(text: str, where: str) -> str:
    if "\0" in text:
        raise DataError("the text holds a NUL", where=where, fix="Remove it, or allow prepare.data.skip_bad_rows.")
    if not text.isascii() and (lone := LONE_SURROGATE.search(text)):
        raise DataError(
            f"the text holds half a character (a lone surrogate, \\u{ord(lone[0]):04x})",
            where=where,
            fix="Write the whole pair, or allow prepare.data.skip_bad_rows.",
        )
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _kind(value: Any) -> str:
    kinds = {bool: "a truth value", int: "a number", float: "a number", str: "a string", list: "a list"}
    return "null" if value is None else kinds.get(type(value), f"a {type(value).__name__}")
