"""CLUENER's JSON lines (Xu et al. 2020): {"text": …, "label": {type: {string: [[first, last], …]}}}.

The label's numbers are characters, the last included. Without "label" a line is new data.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from lexloom.base.errors import DataError
from lexloom.base.ledger import Ledger
from lexloom.labelled.examples import Entity, Tagged
from lexloom.labelled.files import STAGE, FileSettings, open_sources
from lexloom.labelled.words import word_spans
from lexloom.text.json_rows import json_list
from lexloom.text.rows import check_values, kind, text_of

TEXT, LABEL = "text", "label"


def read_tagged(sources: Sequence[str], settings: FileSettings, ledger: Ledger) -> list[Tagged]:
    """The texts with their entities, cut into words so that entities begin and end where words do.

    The ledger gets under "labelled" the examples, and the entities that were dropped: spans outside their text, spans
    of another string than the one they name (unless it stands elsewhere, once), white space alone, and, of two that
    overlap, the shorter. Raises DataError with file and line for rows of another form.
    """
    examples = []
    for reading in open_sources(sources, settings, ledger):
        rows = 0
        for number, value in json_list(reading, ()):
            rows += 1
            try:
                examples.append(_example(value, reading.place(number), ledger))
            except DataError as error:
                reading.bad_rows.add(error)
        if rows == 0:
            ledger.count(STAGE, "file without a row", where=reading.source.name)
    return examples


def _example(value: Any, where: str, ledger: Ledger) -> Tagged:
    if not isinstance(value, dict):
        raise DataError(f"is {kind(value)}, not an object with the field {TEXT!r}", where=where)
    check_values(value, where)
    text = text_of(value, TEXT, where, setting=TEXT)
    entities = _entities(value[LABEL], text, where, ledger) if value.get(LABEL) is not None else None
    edges = {edge for entity in entities or () for edge in (entity.start, entity.end)}
    ledger.count(STAGE, "examples", characters=len(text), where=where)
    if entities is None:
        ledger.count(STAGE, "without a label", where=where)
    if not text or text.isspace():
        ledger.count(STAGE, "empty text", where=where)
    return Tagged(where, value, text, word_spans(text, edges), entities)


def _entities(label: Any, text: str, where: str, ledger: Ledger) -> tuple[Entity, ...]:
    found = set[Entity]()
    for name, string, span in _spans(label, where):
        entity = _within(text, Entity(span[0], span[1] + 1, name), string)
        if entity is None:
            ledger.count(STAGE, "entity dropped: not at its place in the text", where=f"{where}: {string[:40]!r}")
            continue
        if (entity.start, entity.end) != (span[0], span[1] + 1):
            ledger.count(
                STAGE, "entity mended: found elsewhere, or its edge was white space", where=f"{where}: {string[:40]!r}"
            )
        if entity in found:
            ledger.count(STAGE, "entity named twice", where=f"{where}: {string[:40]!r}")
        found.add(entity)
    return without_overlaps(found, where, ledger)


def without_overlaps(entities: set[Entity], where: str, ledger: Ledger) -> tuple[Entity, ...]:
    """In order of the text; of two that overlap the longer stays (the first of equals), the other is counted."""
    kept: list[Entity] = []
    for entity in sorted(entities, key=lambda entity: (entity.start - entity.end, entity.start, entity.type)):
        if any(entity.start < other.end and other.start < entity.end for other in kept):
            ledger.count(STAGE, "entity dropped: it overlaps another", where=f"{where}: {entity.start} to {entity.end}")
        else:
            kept.append(entity)
    return tuple(sorted(kept, key=lambda entity: entity.start))


def _spans(label: Any, where: str) -> Iterator[tuple[str, str, tuple[int, int]]]:
    """(type, string, (first, last)) of every span in a label."""
    for name, strings in _fields(label, "the label", where):
        for string, spans in _fields(strings, f"the type {name[:40]!r}", where):
            if not isinstance(spans, list):
                raise DataError(f"the spans of {string[:40]!r} are {kind(spans)}, not a list", where=where)
            for span in spans:
                match span:
                    case [int(first), int(last)] if type(first) is type(last) is int:
                        yield name, string, (first, last)
                    case _:
                        raise DataError(f"a span of {string[:40]!r} isn't two whole numbers", where=where)


def _fields(value: Any, what: str, where: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict):
        raise DataError(f"{what} is {kind(value)}, not an object", where=where)
    for name, inner in value.items():
        if not name.strip():
            raise DataError(f"{what} holds an empty name", where=where)
        yield name, inner


def _within(text: str, entity: Entity, string: str) -> Entity | None:
    """The entity where it is said to be, or else where its string stands, if only once; without white space around."""
    start = entity.start
    if start < 0 or text[start : entity.end] != string:
        start = text.find(string) if text.count(string) == 1 else -1
    visible = string.strip()
    start += string.find(visible)
    return Entity(start, start + len(visible), entity.type) if start >= 0 and visible else None
