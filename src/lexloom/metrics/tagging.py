"""Metrics for tagged text: which entities a sequence of tags names, and precision, recall and F1 over entities.

Tags are `B-PER`, `I-PER`, `O` and the like; M (as in BMES) is read as I. Equal to seqeval's in both modes: the default
(as conlleval.pl, Tjong Kim Sang and De Meulder 2003) reads invalid sequences as well as it can, the strict one leaves
out what breaks the scheme.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from lexloom.base.errors import DataError
from lexloom.metrics.contract import Metric, Rows, ratio_of_sums
from lexloom.metrics.counts import Average, Score, counted, f1_of, precision_of, recall_of

Mode = Literal["default", "strict"]
SchemeName = Literal["BIO", "IOB1", "BIOES"]
TaggedEntity = tuple[int, int, str]
"""First word, word after the last, type."""
Types = Sequence[str] | None


def entity_f1(
    mode: Mode = "default", *, scheme: SchemeName = "BIO", average: Average = "micro", types: Types = None
) -> Metric:
    """The harmonic mean of entity precision and recall; an entity is right if its type and both its ends are.

    Predictions and references are sequences of tags, equally long. `scheme` matters in strict mode only. `types`
    limits the entities that count: `types=["PER"]` gives the figure of one type.
    """
    return _entities_counted("F1", f1_of, mode, scheme, average, types)


def entity_precision(
    mode: Mode = "default", *, scheme: SchemeName = "BIO", average: Average = "micro", types: Types = None
) -> Metric:
    """Of the entities predicted, the share that is right. Arguments as in `entity_f1`."""
    return _entities_counted("precision", precision_of, mode, scheme, average, types)


def entity_recall(
    mode: Mode = "default", *, scheme: SchemeName = "BIO", average: Average = "micro", types: Types = None
) -> Metric:
    """Of the true entities, the share that is found. Arguments as in `entity_f1`."""
    return _entities_counted("recall", recall_of, mode, scheme, average, types)


def token_accuracy() -> Metric:
    """The share of words with the right tag."""

    def rows(predictions: Sequence[Any], references: Sequence[Any]) -> Rows:
        _check_lengths(predictions, references)
        return np.array(
            [
                (sum(tag == wanted for tag, wanted in zip(tags, gold, strict=True)), len(gold))
                for tags, gold in zip(predictions, references, strict=True)
            ],
            np.float64,
        ).reshape(len(references), 2)

    return Metric("token accuracy", rows, ratio_of_sums)


def entities_of(tags: Sequence[str], mode: Mode = "default", scheme: SchemeName = "BIO") -> list[TaggedEntity]:
    """The entities that the tags name, in order. DataError for what is no tag, and in strict mode for a letter that
    the scheme doesn't know."""
    read = [_read_tag(tag) for tag in tags]
    if mode == "default":
        return _joined(read)
    rules = SCHEMES[scheme]
    for number, tag in enumerate(read):
        if tag.letter not in rules.letters:
            raise DataError(f"{tags[number]!r} is no tag of {scheme}", where=f"tag {number + 1}")
    return _strictly(read, rules)


class Tag(NamedTuple):
    """A tag in its two parts; `_` is the type of a tag without one."""

    letter: str
    type: str


OUTSIDE = Tag("O", "_")
Rule = Callable[[Tag, Tag], bool]
"""(tag before, tag) → whether."""


@dataclass(frozen=True)
class Scheme:
    """What strict mode asks of neighbouring tags."""

    letters: str
    starts: Rule
    """Whether an entity starts here."""
    goes_on: Rule
    """Whether the entity that the tag before is in goes on here."""
    ended: Rule
    """Whether the entity that doesn't go on here was complete."""


def _same(before: Tag, tag: Tag) -> bool:
    return before.type == tag.type


def _goes_on(before: Tag, tag: Tag) -> bool:
    return before.letter in "BI" and tag.letter in "IE" and _same(before, tag)


def _starts_iob1(before: Tag, tag: Tag) -> bool:
    if tag.letter == "B":
        return before.letter in "BI" and _same(before, tag)
    return tag.letter == "I" and (before.letter in "OB" or not _same(before, tag))


def _ended_iob1(before: Tag, tag: Tag) -> bool:
    return not (before.letter == tag.letter == "B") or _same(before, tag)


SCHEMES: dict[SchemeName, Scheme] = {
    "BIO": Scheme("BIO", lambda before, tag: tag.letter == "B", _goes_on, lambda before, tag: True),
    "IOB1": Scheme("BIO", _starts_iob1, _goes_on, _ended_iob1),
    "BIOES": Scheme(
        "BIOES", lambda before, tag: tag.letter in "BS", _goes_on, lambda before, tag: before.letter in "ES"
    ),
}


def _read_tag(tag: str) -> Tag:
    letter, _, type_ = tag.partition("-")
    letter = "I" if letter == "M" else letter
    if letter == "O" and not type_:
        return OUTSIDE
    if letter not in ("B", "I", "E", "S"):
        raise DataError(f"{tag!r} is no tag", fix="Tags are O, or B-, I-, E-, S- or M- and a type.")
    return Tag(letter, type_ or "_")


def _joined(tags: Sequence[Tag]) -> list[TaggedEntity]:
    """Runs of tags that go on from one another, whatever they begin and end with."""
    entities: list[TaggedEntity] = []
    before = OUTSIDE
    for place, tag in enumerate(tags):
        if _goes_on(before, tag):
            start, _, type_ = entities.pop()
            entities.append((start, place + 1, type_))
        elif tag.letter != "O":
            entities.append((place, place + 1, tag.type))
        before = tag
    return entities


def _strictly(tags: Sequence[Tag], scheme: Scheme) -> list[TaggedEntity]:
    padded = [*tags, OUTSIDE]
    entities: list[TaggedEntity] = []
    place, before = 0, OUTSIDE
    while place < len(tags):
        start, place = place, place + 1
        if scheme.starts(before, padded[start]):
            while scheme.goes_on(padded[place - 1], padded[place]):
                place += 1
            if scheme.ended(padded[place - 1], padded[place]):
                entities.append((start, place, padded[start].type))
        before = padded[place - 1]
    return entities


def _entities_counted(
    name: str, score: Score, mode: Mode, scheme: SchemeName, average: Average, types: Types
) -> Metric:
    notes = ", ".join(["strict"] * (mode == "strict") + list(types if types is not None else ()))
    title = f"entity {name}" if average == "micro" else f"{average} entity {name}"

    def entities(tags: Sequence[str]) -> Iterable[Hashable]:
        return entities_of(tags, mode, scheme)

    plain = counted(
        f"{title} ({notes})" if notes else title,
        score,
        average,
        things=entities,
        class_of=lambda entity: str(entity[2]),
        classes=types,
    )

    def rows(predictions: Sequence[Any], references: Sequence[Any]) -> Rows:
        _check_lengths(predictions, references)
        return plain.rows(predictions, references)

    return Metric(plain.name, rows, plain.value)


def _check_lengths(predictions: Sequence[Any], references: Sequence[Any]) -> None:
    for number, (tags, gold) in enumerate(zip(predictions, references, strict=True)):
        if len(tags) != len(gold):
            raise DataError(
                f"{len(tags)} predicted tags stand against {len(gold)} true ones",
                where=f"text {number + 1}",
                fix="Predict one tag for every word.",
            )
