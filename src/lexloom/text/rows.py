"""A document from an object of JSON or a row of a table."""

import re
from collections.abc import Sequence
from typing import Any

from lexloom.base.errors import DataError
from lexloom.text.reading import Document

LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def from_object(value: Any, fields: Sequence[str], where: str) -> Document:
    """The document in a JSON object or a row: its fields, each on lines of its own. Raises DataError."""
    if not isinstance(value, dict):
        raise DataError(f"is {kind(value)}, not an object with the field {fields[0]!r}", where=where)
    texts = [text_of(value, name, where) for name in fields]
    text = check_unicode("\n".join(texts), where)
    return Document(text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text, where)


def text_of(row: dict[str, Any], name: str, where: str, *, setting: str = "text_field") -> str:
    """The text of a field, or the lines of a list of strings; `setting` is where a recipe names the field.

    Raises DataError if the field isn't there or isn't text.
    """
    if name not in row:
        raise DataError(
            f"has no field {name!r}, only {', '.join(map(repr, list(row)[:10])) or 'none'}",
            where=where,
            fix=f"Name the field that holds the text in the setting {setting}.",
        )
    value = row[name]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    if not isinstance(value, str):
        raise DataError(f"the field {name!r} holds {kind(value)}, not text", where=where)
    return value


def check_unicode(text: str, where: str) -> str:
    """The text itself. Raises DataError if it holds a NUL or half a character."""
    if "\0" in text:
        raise DataError("the text holds a NUL", where=where, fix="Remove it, or allow skip_bad_rows.")
    if not text.isascii() and (lone := LONE_SURROGATE.search(text)):
        raise DataError(
            f"the text holds half a character (a lone surrogate, \\u{ord(lone[0]):04x})",
            where=where,
            fix="Write the whole pair, or allow skip_bad_rows.",
        )
    return text


def check_values(value: Any, where: str) -> None:
    """Raise DataError if any text in a value of JSON is one that `check_unicode` refuses."""
    left = [value]  # no recursion: values may be nested deeply
    while left:
        value = left.pop()
        if isinstance(value, str):
            check_unicode(value, where)
        elif isinstance(value, dict):
            left += [*value, *value.values()]
        elif isinstance(value, list):
            left += value


def kind(value: Any) -> str:
    """What a value of JSON is, for people."""
    kinds = {bool: "a truth value", int: "a number", float: "a number", str: "a string", list: "a list"}
    return "null" if value is None else kinds.get(type(value), f"a {type(value).__name__}")
