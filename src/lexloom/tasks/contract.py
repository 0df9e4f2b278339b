"""What a task is: a value, not a subclass.

It reads examples, encodes them, names the head of the model, gives the loss, turns the head's outputs into a prediction
for people, and says which metrics judge it. Fine-tuning is pre-training with another loss: `objective` makes of a task
what the training loop takes.
Axes: P pieces, T tokens (flattened), S spots, C columns of the head.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lexloom.base.ledger import Ledger
from lexloom.base.recipe import Settings
from lexloom.metrics.contract import Metric
from lexloom.objectives.contract import Batch, Loss
from lexloom.text.tokenizers import Tokenizer

Floats = NDArray[np.float32]
Prediction = dict[str, Any]
"""Plain values, as they stand in predictions.jsonl and in a server's answer."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One sequence of tokens for the encoder, special tokens included.

    `spots` are the places in it where the head is applied; `notes` is what decoding needs (offsets, say).
    """

    ids: list[int]
    types: list[int]
    spots: list[int]
    notes: Any = None


@dataclass(frozen=True, slots=True)
class Encoded:
    """An example as the model sees it: one piece, or several (windows of a long text, candidates, two towers).

    `target` is what the task's loss needs, None if there is no label.
    """

    pieces: tuple[Piece, ...]
    target: Any

    @property
    def tokens(self) -> int:
        """What it costs."""
        return sum(len(piece.ids) for piece in self.pieces)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What encoding, loss and decoding stand on: fixed before training and stored with the model."""

    tokenizer: Tokenizer
    settings: Any
    """The task's own settings."""
    labels: tuple[str, ...]
    """In the order of the head's columns; empty for tasks without labels."""
    max_tokens: int
    """Longest piece, special tokens included."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task; every one is a file and a line in TASKS."""

    settings: type[Settings]
    """The `[task]` section of a recipe: columns, and what the task can vary."""
    read: Callable[[Sequence[str], Any, Ledger], list[Any]]
    """(sources, settings, ledger) → examples (see lexloom.labelled); what can't be used is counted and located."""
    labels: Callable[[Sequence[Any], Any], tuple[str, ...]]
    """(training examples, settings) → the labels, in an order that doesn't depend on that of the examples."""
    head: str
    """Which head the model gets: sequence, token, span, choice or none."""
    columns: Callable[[Sequence[str]], int]
    """How many columns the head has for these labels."""
    encode: Callable[[Any, Setting, Ledger], Encoded]
    """An example's pieces; what is cut at the limit is counted in the ledger."""
    collate: Callable[[Sequence[Encoded]], Batch]
    """Encoded examples → one packed batch."""
    loss: Callable[[Any, Batch, Any], Loss]
    """(model, batch, weights of the labels or None) → sum and count."""
    decode: Callable[[Any, Encoded, Sequence[Floats], Setting], Prediction]
    """(example, its encoding, for each piece the head's outputs at its spots (S, C)) → the prediction. Pure."""
    judge: Callable[[Setting], tuple[Metric, ...]]
    """The metrics, the main one first."""
    plain: Callable[[Prediction], Any]
    """What the metrics take of a prediction."""
    reference: Callable[[Any, Setting], Any]
    """What the metrics take of an example."""
