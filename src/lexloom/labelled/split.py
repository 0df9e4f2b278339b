"""Which side or fold an example is on, decided by its own content: adding rows moves none of the others.

Examples that share a text go together: all questions about a passage, all pairs with the same first text, all
conversations that begin alike, all copies.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from lexloom.base.errors import DataError
from lexloom.labelled.examples import (
    Choices,
    Conversation,
    Example,
    Labelled,
    Preference,
    Question,
    Related,
    Tagged,
)
from lexloom.text.duplicates import content_hash
from lexloom.text.split import side_of_hash

E = TypeVar("E", bound=Example)


def group_of(example: Example) -> str:
    """The text that decides for an example, and so for all that share it."""
    for form, text in GROUPS.items():
        if isinstance(example, form):
            return text(example)
    raise AssertionError("every form of example has a line in GROUPS")


def _first_turn(example: Conversation | Preference) -> str:
    return next(message.content for message in example.messages if message.role == "user")


GROUPS: dict[type, Callable[..., str]] = {
    Labelled: lambda example: example.texts[0],
    Tagged: lambda example: example.text,
    Related: lambda example: example.text,
    Question: lambda example: example.passage,
    Choices: lambda example: example.texts[0],
    Conversation: _first_turn,
    Preference: _first_turn,
}


def by_hash(examples: Sequence[E], validation_share: float) -> tuple[list[E], list[E]]:
    """(training, validation): each group decides for itself, so the share is met on average.

    Raises DataError if a side is left empty.
    """
    training, validation = list[E](), list[E]()
    for example in examples:
        side = side_of_hash(content_hash(group_of(example)), validation_share)
        (validation if side == "validation" else training).append(example)
    if not training or not validation:
        raise DataError(
            f"of {len(examples)} examples none is left for {'validation' if training else 'training'}",
            where=examples[0].where.rpartition(":")[0] if examples else None,
            fix="Give more examples with different texts, another share, or a file of its own for each side.",
        )
    return training, validation


def fold_of(example: Example, folds: int) -> int:
    """The fold of an example, from 0; independent of its side under `by_hash`."""
    assert folds >= 2, "cross-validation needs two folds"
    # `by_hash` looks at the other half of the digest.
    return int.from_bytes(content_hash(group_of(example))[:8], "big") * folds >> 64


def in_folds(examples: Sequence[E], folds: int) -> list[tuple[list[E], list[E]]]:
    """(training, validation) for each fold. Raises DataError if a fold is empty."""
    numbers = [fold_of(example, folds) for example in examples]
    if missing := set(range(folds)) - set(numbers):
        what = f"of {len(examples)} examples none is in {len(missing)} of the {folds} folds"
        raise DataError(what, fix="Use fewer folds, or give more examples with different texts.")
    numbered = list(zip(examples, numbers, strict=True))
    return [
        ([example for example, own in numbered if own != fold], [example for example, own in numbered if own == fold])
        for fold in range(folds)
    ]
