"""Tags of words and the entities they mean: BIO, IOB1, BIOES and BMES, both ways.

Entities are found as the conlleval script (CoNLL-2000) finds them, which reads all four schemes: an entity starts at B
or S, and at any other tag that doesn't go on from the one before; so nothing tagged is ever lost.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Literal

from lexloom.labelled.examples import Entity, Tagged

Scheme = Literal["BIO", "IOB1", "BIOES", "BMES"]
Span = tuple[int, int]
Tag = tuple[str, str]
"""(prefix, type): ("B", "PER"), ("O", "")."""

OUTSIDE: Tag = ("O", "")
PREFIXES: dict[Scheme, frozenset[str]] = {
    "BIO": frozenset("BI"),
    "IOB1": frozenset("BI"),
    "BIOES": frozenset("BIES"),
    "BMES": frozenset("BMES"),
}
INNER = frozenset("IME")
ENDED = frozenset("ESO")


def bio_of(tagged: Tagged) -> list[str]:
    """One BIO tag for each word: `B-PER`, `I-PER`, `O`."""
    assert tagged.entities is not None, "tags need entities"
    begins = {entity.start: entity for entity in tagged.entities}
    tags, current = list[str](), None
    for start, _ in tagged.spans:
        if start in begins:
            current = begins[start]
            tags.append(f"B-{current.type}")
        else:
            inside = current is not None and start < current.end
            tags.append(f"I-{current.type}" if current is not None and inside else "O")
    return tags


def entities_of(tags: Sequence[str], spans: Sequence[Span]) -> tuple[Entity, ...]:
    """The entities that tags of any scheme mean; `spans[i]` is where word i lies. Raises ValueError for an unknown tag.

    Inverse of `bio_of`.
    """
    parsed = [parse_tag(tag) for tag in tags]
    entities, begin = list[Entity](), 0
    for index, (prefix, type) in enumerate(parsed):  # noqa: A001
        if _starts(parsed[index - 1] if index else OUTSIDE, (prefix, type)):
            begin = index
        after = parsed[index + 1] if index + 1 < len(parsed) else OUTSIDE
        if prefix != "O" and (after[0] == "O" or _starts((prefix, type), after)):
            entities.append(Entity(spans[begin][0], spans[index][1], type))
    return tuple(entities)


@lru_cache(maxsize=4096)
def parse_tag(tag: str) -> Tag:
    """`B-PER` → ("B", "PER"). Raises ValueError for what is no tag of any scheme."""
    if tag == "O":
        return OUTSIDE
    prefix, dash, type = tag.partition("-")  # noqa: A001
    if not dash or prefix not in PREFIX_LETTERS or not type:
        raise ValueError(f"{tag[:80]!r} is no tag: O, or one of B I M E S, a hyphen and a type")
    return prefix, type


PREFIX_LETTERS = frozenset("BIMES")


def recognise(sentences: Iterable[Sequence[Tag]]) -> Scheme:
    """The scheme that tags are written in; what they leave open counts as BIO.

    IOB1 (Ramshaw and Marcus 1995) writes B only where an entity touches one of its own type before it: there most
    entities start with I. Files are written by hand, so the majority decides.
    """
    prefixes, bare_starts, free = set[str](), 0, 0
    for tags in sentences:
        for before, tag in zip([OUTSIDE, *tags], tags, strict=False):
            prefixes.add(tag[0])
            bare_starts += tag[0] == "I" and before[1] != tag[1]
            free += tag[0] == "B" and before[1] != tag[1]
    if "M" in prefixes:
        return "BMES"
    if prefixes & {"E", "S"}:
        return "BIOES"
    return "IOB1" if bare_starts > free else "BIO"


def flaws_of(tags: Sequence[Tag], scheme: Scheme) -> list[tuple[int, str]]:
    """(word, what) of every tag that its scheme doesn't allow where it stands."""
    flaws = []
    for index, (before, tag) in enumerate(zip([OUTSIDE, *tags], tags, strict=False)):
        if tag[0] in INNER and scheme != "IOB1" and (before[0] in ENDED or before[1] != tag[1]):
            inside = before[0] not in ENDED
            flaws.append(
                (index, "the type changes inside an entity" if inside else "an entity starts with a tag inside")
            )
        if tag[0] == "B" and scheme == "IOB1" and before[1] != tag[1]:
            flaws.append((index, "an entity starts with B without touching one of its type"))
    if scheme in ("BIOES", "BMES"):
        pairs = zip(tags, [*tags[1:], OUTSIDE], strict=True)
        for index, (tag, after) in enumerate(pairs):
            if tag[0] not in ENDED and (after[0] not in INNER or after[1] != tag[1]):
                flaws.append((index, "an entity doesn't end"))
    return flaws


def _starts(before: Tag, tag: Tag) -> bool:
    if tag[0] == "O":
        return False
    return tag[0] in "BS" or before[0] in ENDED or before[1] != tag[1]
