"""A look at labelled data before training: balance, copies, contradictions, lengths, odd characters, with their places.

Everything works on views (labelled/views.py), so that every form of example is checked in the same way.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lexloom.labelled.examples import Example
from lexloom.labelled.looks import LOOKS, Finding, Views, finding
from lexloom.labelled.views import View, view
from lexloom.text.frames import TEXTS
from lexloom.text.tokenizers import Tokenizer

QUANTILES = (0.5, 0.9, 0.99, 1.0)
TEXTS_AT_ONCE = 4096

Lengths = NDArray[np.int64]


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
    findings = [found for look in LOOKS for found in look(views)]
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


def _too_long(views: Views, lengths: Mapping[str, Lengths], limit: int) -> Iterator[Finding]:
    for split, own in views.items():
        long = np.flatnonzero(lengths[split] > limit)
        places = [f"{own[at].where} ({lengths[split][at]:,})" for at in long.tolist()]
        yield from finding(f"longer than {limit:,} tokens, in {split}", places)
