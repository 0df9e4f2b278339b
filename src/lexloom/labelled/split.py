"""Which side or fold an example is on, decided by its own content: adding rows moves none of the others.

Examples that share a text go together: all questions about a passage, all pairs with the same first text, all copies.
Of a pair to be translated both sides count, so that no sentence stands on both sides of a split; a row that joins two
such groups makes them one.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from lexloom.base.errors import DataError
from lexloom.labelled.examples import (
    Choices,
    Conversation,
    Example,
    Labelled,
    Pair,
    Preference,
    Question,
    Related,
    Tagged,
)
from lexloom.text.duplicates import content_hash
from lexloom.text.split import side_of_hash

E = TypeVar("E", bound=Example)


def groups_of(examples: Sequence[Example]) -> list[bytes]:
    """For each example its group, named by the hash of one of the texts that hold it together."""
    leaders = _Leaders()
    hashes = [[content_hash(text) for text in TEXTS[type(example)](example)] for example in examples]
    for first, *others in hashes:
        for other in others:
            leaders.join(first, other)
    return [leaders.of(first) for first, *_ in hashes]


def _first_turn(example: Conversation | Preference) -> tuple[str, ...]:
    return (next(message.content for message in example.messages if message.role == "user"),)


TEXTS: dict[type, Callable[..., tuple[str, ...]]] = {
    Labelled: lambda example: example.texts[:1],
    Tagged: lambda example: (example.text,),
    Related: lambda example: (example.text,),
    Question: lambda example: (example.passage,),
    Choices: lambda example: example.texts[:1],
    Conversation: _first_turn,
    Preference: _first_turn,
    Pair: lambda example: (example.source, *example.targets),
}
"""The texts of an example that may not stand on the other side as well."""


def by_hash(examples: Sequence[E], validation_share: float) -> tuple[list[E], list[E]]:
    """(training, validation): each group decides for itself, so the share is met on average.

    Raises DataError if a side is left empty.
    """
    training, validation = list[E](), list[E]()
    for example, group in zip(examples, groups_of(examples), strict=True):
        (validation if side_of_hash(group, validation_share) == "validation" else training).append(example)
    if not training or not validation:
        raise DataError(
            f"of {len(examples)} examples none is left for {'validation' if training else 'training'}",
            where=examples[0].where.rpartition(":")[0] if examples else None,
            fix="Give more examples with different texts, another share, or a file of its own for each side.",
        )
    return training, validation


def folds_of(examples: Sequence[Example], folds: int) -> list[int]:
    """The fold of each example, from 0; independent of its side under `by_hash`."""
    assert folds >= 2, "cross-validation needs two folds"
    # `by_hash` looks at the other half of the digest.
    return [int.from_bytes(group[:8], "big") * folds >> 64 for group in groups_of(examples)]


def in_folds(examples: Sequence[E], folds: int) -> list[tuple[list[E], list[E]]]:
    """(training, validation) for each fold. Raises DataError if a fold is empty."""
    numbers = folds_of(examples, folds)
    if missing := set(range(folds)) - set(numbers):
        what = f"of {len(examples)} examples none is in {len(missing)} of the {folds} folds"
        raise DataError(what, fix="Use fewer folds, or give more examples with different texts.")
    numbered = list(zip(examples, numbers, strict=True))
    return [
        ([example for example, own in numbered if own != fold], [example for example, own in numbered if own == fold])
        for fold in range(folds)
    ]


class _Leaders:
    """Which hashes are in one group: each leads to another, and in the end all to the same one (union-find)."""

    def __init__(self) -> None:
        self._next: dict[bytes, bytes] = {}

    def of(self, digest: bytes) -> bytes:
        path = []
        while (further := self._next.get(digest, digest)) != digest:
            path.append(digest)
            digest = further
        self._next.update(dict.fromkeys(path, digest))
        return digest

    def join(self, one: bytes, two: bytes) -> None:
        # The least digest would be a biased draw of a fold or side; the least hash of a digest is a fair one
        leader, other = sorted((self.of(one), self.of(two)), key=lambda digest: content_hash(digest.hex()))
        if leader != other:
            self._next[other] = leader
