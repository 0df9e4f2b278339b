"""A look at labelled data before training: balance, copies, contradictions, lengths, odd characters, with their places.

Everything works on views (labelled/views.py), so that every form of example is checked in the same way.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lexloom.labelled.examples import Example
from lexloom.labelled.views import View, view
from lexloom.text.frames import TEXTS
from lexloom.text.tokenizers import Tokenizer

TRAIN = "train"
PLACES = 5
LEAST_TO_JUDGE = 10
FEW_DIFFERENT = 0.2
QUANTILES = (0.5, 0.9, 0.99, 1.0)
TEXTS_AT_ONCE = 4096

Views = Mapping[str, Sequence[View]]
Lengths = NDArray[np.int64]
Pair = tuple[str, View, str, View]

# UTF-8 read as Latin-1 or cp1252 (Ã©, â€™, ï»¿), GB 18030 read as UTF-8 and back (锟斤拷), debug memory (烫烫烫).
_MOJIBAKE = re.compile("Ã[\u0080-\u00bf]|â€|ï»¿|[Ââ][\u0080-\u00bf]|锟斤拷|烫烫烫|锘")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff]")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to look at: what, how often, and the first few places."""

    what: str
    count: int
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SplitFacts:
    """The numbers of one split; lengths at the quantiles 50 %, 90 %, 99 % and 100 %."""

    examples: int
    labelled: int
    lengths: tuple[int, int, int, int]
    over_limit: int
    labels: dict[str, int]
    """How often each label stands, the most frequent first."""
    numbers: tuple[float, float, float] | None
    """Smallest, median and largest, where the targets are numbers."""


@dataclass(frozen=True, slots=True)
class Report:
    """Numbers first, then what was found, then what reading counted."""

    unit: str
    """What lengths count: tokens or characters."""
    limit: int | None
    splits: dict[str, SplitFacts]
    findings: tuple[Finding, ...]
    ledger: tuple[dict[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def check(
    splits: Mapping[str, Sequence[Example]], *, tokenizer: Tokenizer | None = None, max_tokens: int | None = None
) -> Report:
    """Look at the examples of each split; `train` is the one that the others are compared with.

    Lengths are tokens, special tokens included, if a tokenizer is given, else characters; `max_tokens` is the limit of
    the model.
    """
    views = {name: [view(example) for example in examples] for name, examples in splits.items()}
    limit = max_tokens if tokenizer is not None else None
    lengths = {name: _lengths(own, tokenizer) for name, own in views.items()}
    findings = [finding for look in LOOKS for finding in look(views)]
    if limit is not None:
        findings += _too_long(views, lengths, limit)
    facts = {name: _facts(own, lengths[name], limit) for name, own in views.items()}
    return Report("tokens" if tokenizer is not None else "characters", limit, facts, tuple(findings))


def _facts(views: Sequence[View], lengths: Lengths, limit: int | None) -> SplitFacts:
    counts = Counter(label for own in views for label in own.labels or ())
    numbers = [own.number for own in views if own.number is not None]
    at = np.quantile(lengths, QUANTILES, method="higher") if len(lengths) else np.zeros(len(QUANTILES))
    return SplitFacts(
        examples=len(views),
        labelled=sum(own.target is not None for own in views),
        lengths=(int(at[0]), int(at[1]), int(at[2]), int(at[3])),
        over_limit=int((lengths > limit).sum()) if limit is not None else 0,
        labels=dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
        numbers=(min(numbers), float(np.median(numbers)), max(numbers)) if numbers else None,
    )


def _lengths(views: Sequence[View], tokenizer: Tokenizer | None) -> Lengths:
    """The length of each example's longest piece."""
    if tokenizer is None:
        return np.array([max(sum(map(len, piece)) for piece in own.pieces) for own in views], np.int64)
    sizes = _token_counts({text for own in views for text in own.texts}, tokenizer)

    def length(piece: tuple[str, ...]) -> int:
        return sum(sizes[text] for text in piece) + tokenizer.frame(min(len(piece), TEXTS)).special_tokens

    return np.array([max(map(length, own.pieces)) for own in views], np.int64)


def _token_counts(texts: Iterable[str], tokenizer: Tokenizer) -> dict[str, int]:
    ordered, sizes = sorted(texts), dict[str, int]()
    for start in range(0, len(ordered), TEXTS_AT_ONCE):
        batch = ordered[start : start + TEXTS_AT_ONCE]
        sizes |= zip(batch, map(len, tokenizer.encode_batch(batch)), strict=True)
    return sizes


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
        yield _finding(what, [_both(pair) for pair in pairs])


def _conflicts(views: Views) -> Iterator[Finding]:
    """Copies whose targets differ: one of them is wrong, or the text doesn't say enough."""
    places = []
    for copies in _copies(views):
        known = [(split, own) for split, own in copies if own.target is not None]
        different = [item for item in known[1:] if item[1].target != known[0][1].target]
        places += [f"{_both((*known[0], *item))}: {known[0][1].said} or {item[1].said}" for item in different]
    if places:
        yield _finding("same text, different label", places)


def _copies(views: Views) -> Iterator[list[tuple[str, View]]]:
    """Groups of two or more examples with the same input, in order."""
    groups = defaultdict[Hashable, list[tuple[str, View]]](list)
    for split, own in views.items():
        for item in own:
            groups[item.key].append((split, item))
    yield from (copies for copies in groups.values() if len(copies) > 1)


def _rare_labels(views: Views) -> Iterator[Finding]:
    """Labels seen once in training, and labels that a split lacks."""
    places = {split: _places_of_labels(own) for split, own in views.items()}
    train = places.get(TRAIN, {})
    once = [f"{label!r} {found[0]}" for label, found in train.items() if len(found) == 1]
    if once:
        yield _finding("label seen once in train", once)
    for split, own in places.items():
        if split == TRAIN or not own or not train:
            continue
        unknown = [f"{label!r} {found[0]}" for label, found in own.items() if label not in train]
        if unknown:
            yield _finding(f"label of {split} absent from train", unknown)
        missing = [f"{label!r} {found[0]}" for label, found in train.items() if label not in own]
        if missing:
            yield _finding(f"label of train absent from {split}", missing)
    for split, own in places.items():
        if len(own) == 1 and sum(map(len, own.values())) == len(views[split]):
            label, found = next(iter(own.items()))
            yield _finding(f"{split} has a single label", [f"{label!r} {found[0]}"])


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
            what = f"label {label!r} in {split} has only {different} different texts"
            yield _finding(what, [item.where for item in items])


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
        yield _finding(what, found)


def _oddities(item: View) -> Iterator[str]:
    if any(not text or text.isspace() for text in item.texts):
        yield "empty text"
    if any("\ufffd" in text for text in item.texts):
        yield "replacement character (U+FFFD): decoded with the wrong encoding"
    if any(_MOJIBAKE.search(text) for text in item.texts if not text.isascii()):
        yield "mojibake such as Ã© or 锟斤拷: decoded with the wrong encoding"
    if any(_CONTROL.search(text) for text in item.texts):
        yield "control character"


LOOKS: tuple[Callable[[Views], Iterator[Finding]], ...] = (
    _duplicates,
    _conflicts,
    _rare_labels,
    _constant_classes,
    _odd_texts,
)


def _too_long(views: Views, lengths: Mapping[str, Lengths], limit: int) -> Iterator[Finding]:
    for split, own in views.items():
        long = np.flatnonzero(lengths[split] > limit)
        if long.size:
            places = [f"{own[at].where} ({lengths[split][at]:,})" for at in long.tolist()]
            yield _finding(f"longer than {limit:,} tokens, in {split}", places)


def _finding(what: str, places: Sequence[str]) -> Finding:
    return Finding(what, len(places), tuple(places[:PLACES]))


def _both(pair: Pair) -> str:
    return f"{pair[1].where} = {pair[3].where}"
