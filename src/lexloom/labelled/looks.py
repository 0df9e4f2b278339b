"""What there is to find in labelled data: copies, contradictions, rare and absent labels, odd texts.

Each look is a function of the views of all splits (labelled/views.py) and a line in LOOKS, the most harmful first.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lexloom.labelled.views import ANSWERABLE, View
from lexloom.text.duplicates import content_hash

TRAIN = "train"
PLACES = 5
LEAST_TO_JUDGE = 10
FEW_DIFFERENT = 0.2

Views = Mapping[str, Sequence[View]]
Pair = tuple[str, View, str, View]

# UTF-8 read as Latin-1 or cp1252 (Ã©, â€™, ï»¿), GB 18030 read as UTF-8 and back (锟斤拷), debug memory (烫烫烫).
_MOJIBAKE = re.compile("Ã[\u0080-\u00bf]|â€|ï»¿|[Ââ][\u0080-\u00bf]|锟斤拷|烫烫烫")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff]")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to look at: what, how often, and the first few places."""

    what: str
    count: int
    places: tuple[str, ...]


def finding(what: str, places: Sequence[str]) -> Iterator[Finding]:
    """One finding, or none without a place."""
    if places:
        yield Finding(what, len(places), tuple(places[:PLACES]))


def _duplicates(views: Views) -> Iterator[Finding]:
    """Copies across splits, which make a test worthless, and within one."""
    groups = defaultdict[tuple[str, str], list[Pair]](list)
    for copies in _copies(views):
        first = dict[str, View]()
        for split, own in copies:
            for earlier, other in first.items():
                groups[earlier, split].append((earlier, other, split, own))
            first.setdefault(split, own)
    for (one, two), pairs in sorted(groups.items(), key=lambda item: item[0][0] == item[0][1]):
        what = f"copies within {one}" if one == two else f"copies of {one} in {two}"
        yield from finding(what, [_both(pair) for pair in pairs])


def _shared_texts(views: Views) -> Iterator[Finding]:
    """Texts of pairs that training has seen with another counterpart: a test half known beforehand."""
    known = {content_hash(text): item.where for item in views.get(TRAIN, ()) for text in item.alone}
    for split, own in views.items():
        if split != TRAIN:
            met = [(item.where, known.get(content_hash(text))) for item in own for text in item.alone]
            places = [f"{first} = {where}" for where, first in met if first is not None]
            yield from finding(f"texts of train in {split}", places)


def _conflicts(views: Views) -> Iterator[Finding]:
    """Copies whose targets differ: one of them is wrong, or the text doesn't say enough."""
    places = []
    for copies in _copies(views):
        known = [(split, own) for split, own in copies if own.target is not None]
        different = [item for item in known[1:] if item[1].target != known[0][1].target]
        places += [f"{_both((*known[0], *item))}: {known[0][1].said} or {item[1].said}" for item in different]
    yield from finding("same text, different label", places)


def _copies(views: Views) -> Iterator[list[tuple[str, View]]]:
    """Groups of two or more examples with the same input, in order."""
    groups = defaultdict[Hashable, list[tuple[str, View]]](list)
    for split, own in views.items():
        for item in own:
            groups[item.key].append((split, item))
    yield from (copies for copies in groups.values() if len(copies) > 1)


def _rare_labels(views: Views) -> Iterator[Finding]:
    places = _places_of_labels(views.get(TRAIN, ()))
    yield from finding("label seen once in train", [_at(label, places) for label in places if len(places[label]) == 1])


def _absent_labels(views: Views) -> Iterator[Finding]:
    """Labels of one split that another lacks: of test, nobody can learn them; of train, nobody tests them."""
    train = _places_of_labels(views.get(TRAIN, ()))
    for split, own in views.items():
        places = _places_of_labels(own)
        if split != TRAIN and train and places:
            unknown = [_at(label, places) for label in places if label not in train]
            yield from finding(f"label of {split} absent from train", unknown)
            missing = [_at(label, train) for label in train if label not in places]
            yield from finding(f"label of train absent from {split}", missing)


def _alike_labels(views: Views) -> Iterator[Finding]:
    places = _places_of_labels([item for own in views.values() for item in own])
    alike = defaultdict[str, list[str]](list)
    for label in places:
        alike[unicodedata.normalize("NFKC", label).casefold()].append(_at(label, places))
    groups = [" and ".join(group) for group in alike.values() if len(group) > 1]
    yield from finding("labels that differ only in case or width", groups)


def _single_labels(views: Views) -> Iterator[Finding]:
    """Splits where nothing is to be told apart; that all questions have an answer is as it should be."""
    for split, own in views.items():
        known = own[0].labels if own else None
        if known and known != (ANSWERABLE,) and all(item.labels == known for item in own):
            yield from finding(f"{split} has a single label", [f"{own[0].said} {own[0].where}"])


def _places_of_labels(views: Sequence[View]) -> dict[str, list[str]]:
    places = defaultdict[str, list[str]](list)
    for own in views:
        for label in own.labels or ():
            places[label].append(own.where)
    return dict(places)


def _constant_classes(views: Views) -> Iterator[Finding]:
    """Labels whose texts are few: the model learns those texts instead of the label."""
    keys = defaultdict[tuple[str, str], list[View]](list)
    for split, own in views.items():
        for item in own:
            for label in set(item.labels or ()):
                keys[split, label].append(item)
    for (split, label), items in keys.items():
        different = len({item.key for item in items})
        if len(items) >= LEAST_TO_JUDGE and different < FEW_DIFFERENT * len(items):
            what = f"label {label[:40]!r} in {split} has only {different} different texts"
            yield from finding(what, [item.where for item in items])


def _odd_texts(views: Views) -> Iterator[Finding]:
    """Empty texts, signs of a wrong encoding, and what each form calls wrong inside."""
    places = defaultdict[str, list[str]](list)
    for split, own in views.items():
        for item in own:
            for what in (*_oddities(item), *item.flaws):
                places[f"{what}, in {split}"].append(item.where)
            if item.target is None:
                places[f"without a label, in {split}"].append(item.where)
    for what, found in places.items():
        yield from finding(what, found)


def _oddities(item: View) -> Iterator[str]:
    if any(not text or text.isspace() for text in item.texts):
        yield "empty text"
    if any("\ufffd" in text for text in item.texts):
        yield "replacement character (U+FFFD): decoded with the wrong encoding"
    if any(_MOJIBAKE.search(text) for text in item.texts if not text.isascii()):
        yield "mojibake such as Ã© or 锟斤拷: decoded with the wrong encoding"
    if any(_CONTROL.search(text) for text in item.texts):
        yield "control character"


def _at(label: str, places: Mapping[str, Sequence[str]]) -> str:
    return f"{label[:40]!r} {places[label][0]}"


def _both(pair: Pair) -> str:
    return f"{pair[1].where} = {pair[3].where}"


LOOKS: tuple[Callable[[Views], Iterator[Finding]], ...] = (
    _duplicates,
    _shared_texts,
    _conflicts,
    _rare_labels,
    _absent_labels,
    _alike_labels,
    _single_labels,
    _constant_classes,
    _odd_texts,
)
