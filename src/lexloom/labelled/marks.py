"""Two marked stretches in a text: `The <e1>audits</e1> were about <e2>waste</e2>.`"""

import re

from lexloom.base.errors import DataError

Stretch = tuple[int, int]
MARKS = ("e1", "e2")
_MARK = re.compile(r"</?e[12]>")


def without_marks(marked: str, where: str) -> tuple[str, Stretch, Stretch]:
    """The text without its marks, and the stretches that were marked e1 and e2, in this order.

    Raises DataError if a mark is missing, stands twice, or marks nothing.
    """
    parts, places, length, position = [], dict[str, int](), 0, 0
    for match in _MARK.finditer(marked):
        if match[0] in places:
            raise DataError(f"{match[0]} stands twice", where=where, fix="Mark one stretch as e1 and one as e2.")
        parts.append(marked[position : match.start()])
        length += len(parts[-1])
        position = match.end()
        places[match[0]] = length
    first, second = (_stretch(name, places, where) for name in MARKS)
    return "".join([*parts, marked[position:]]), first, second


def check_stretch(stretch: Stretch, text: str, where: str) -> Stretch:
    """The stretch itself. Raises DataError if it is empty, reversed, or not within the text."""
    start, end = stretch
    if not 0 <= start < end <= len(text):
        what = f"the stretch from {start} to {end} is not within the text of {len(text)} characters"
        raise DataError(what, where=where, fix="Count characters from 0; the end is the character after the last.")
    return stretch


def _stretch(name: str, places: dict[str, int], where: str) -> Stretch:
    for mark in (f"<{name}>", f"</{name}>"):
        if mark not in places:
            raise DataError(f"has no {mark}", where=where, fix="Mark the two stretches: <e1>…</e1> and <e2>…</e2>.")
    stretch = places[f"<{name}>"], places[f"</{name}>"]
    if stretch[0] >= stretch[1]:
        raise DataError(f"<{name}> marks nothing", where=where, fix=f"Put a text between <{name}> and </{name}>.")
    return stretch
