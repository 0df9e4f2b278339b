"""What stands in the column of a label: a label, several, or a number. None where a row has none."""

import math
from collections.abc import Callable
from typing import Any, Literal

from lexloom.base.errors import DataError
from lexloom.text.rows import check_unicode, kind

Kind = Literal["label", "labels", "number"]


def label_of(value: Any, separator: str, where: str) -> str | None:
    """A label as text, without white space around it: 1 in JSON is the label "1". Raises DataError."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    if value is None or isinstance(value, str):
        return check_unicode(value, where).strip() or None if value is not None else None
    fix = "For several labels in one row use multi-label classification." if isinstance(value, list) else None
    raise DataError(f"the label is {_named(value)}, not a text", where=where, fix=fix)


def labels_of(value: Any, separator: str, where: str) -> tuple[str, ...] | None:
    """Several labels from a list, or from a cell where `separator` parts them; an empty cell says that none applies."""
    if value is None:
        return None
    parts = value.split(separator) if isinstance(value, str) else value if isinstance(value, list) else [value]
    labels = [label_of(part, separator, where) for part in parts]
    return tuple(dict.fromkeys(label for label in labels if label is not None))


def number_of(value: Any, separator: str, where: str) -> float | None:
    """A finite number. Raises DataError."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        number = float(value) if _is_plain(value) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        shown = repr(value[:80]) if isinstance(value, str) else _named(value)
        raise DataError(f"the score is {shown}, not a finite number", where=where, fix="Write it as 3.5 or -1e-3.")
    return number


TARGETS: dict[Kind, Callable[[Any, str, str], Any]] = {"label": label_of, "labels": labels_of, "number": number_of}


def _is_plain(value: Any) -> bool:
    """Whether Python's `float` reads it as everybody would: it also takes True and 1_000."""
    return (isinstance(value, str) and "_" not in value) or (
        isinstance(value, int | float) and not isinstance(value, bool)
    )


def _named(value: Any) -> str:
    return "not finite" if isinstance(value, float) and not math.isfinite(value) else kind(value)
