"""What a task is: a value, not a subclass.

It reads examples, encodes them, names the head of the model, gives the loss, turns what the model answers into a
prediction for people, and says which metrics judge it. Fine-tuning is pre-training with another loss:
`batches.objective` makes of a task what the training loop takes.
Axes: P pieces, T tokens (flattened), S spots, C columns of the head.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lexloom.base.errors import RecipeError
from lexloom.base.ledger import Ledger
from lexloom.base.recipe import Settings
from lexloom.metrics.contract import Metric
from lexloom.objectives.contract import Batch, Loss
from lexloom.text.tokenizers import Tokenizer

Floats = NDArray[np.float32]
Prediction = dict[str, Any]
"""Plain values, as they stand in predictions.jsonl and in a server's answer."""

LEAST_ROOM = 4
"""Tokens of text that the shortest `max_tokens` leaves room for, beside the special ones of a pair."""


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


@dataclass(frozen=True)
class Weighing:
    """How the targets weigh in a loss: a weight for each label (None: all alike), and label smoothing's share."""

    labels_C: Tensor | None = None  # noqa: N815
    smoothing: float = 0.0


@dataclass(frozen=True)
class Baseline:
    """What can be said of an example without a model; a model is worth something where it says more."""

    name: str
    predict: Callable[[Any], Prediction]


def no_baseline(setting: Setting) -> Baseline | None:
    """For tasks where nothing can be said without a model."""
    return None


def as_trained(tokenizer: Tokenizer, settings: Any) -> Tokenizer:
    """The tokenizer of a task that changes nothing about it."""
    return tokenizer


def as_given(examples: Sequence[Any], settings: Any) -> Any:
    """The settings of a task that leaves nothing to the data."""
    return settings


def as_it_is(setting: Setting) -> Setting:
    """The setting of a task that knows no quicker way."""
    return setting


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task; every one is a file and a line in TASKS."""

    settings: type[Settings]
    """The `[task]` section of a recipe: columns, and what the task can vary."""
    settle: Callable[[Sequence[Any], Any], Any] = as_given
    """(training examples, settings) → the settings, with what they leave to the data filled in."""
    when_predicting: Mapping[str, Any] = field(default_factory=dict)
    """Settings that are others where a user asks the model instead of judging it."""
    tokenizer: Callable[[Tokenizer, Any], Tokenizer] = as_trained
    """(the model's tokenizer, settings) → the one to be written beside the model that was tuned."""
    stream: Callable[[Sequence[str], Any, Ledger], Iterable[Any]]
    """(sources, settings, ledger) → examples (see lexloom.labelled), of tables one after the other as they are read.

    What can't be used is counted and located.
    """
    labels: Callable[[Sequence[Any], Any], tuple[str, ...]]
    """(training examples, settings) → the labels, in an order that doesn't depend on that of the examples."""
    needs: tuple[str, ...] = ("encoder",)
    """The kinds of model that can do it (see models.Family.kind)."""
    head: str
    """Which head an encoder gets: sequence, token, span, choice or none. Models that write have none."""
    columns: Callable[[Sequence[str]], int]
    """How many columns the head has for these labels."""
    encode: Callable[[Sequence[Any], Setting, Ledger], list[Encoded]]
    """The examples' pieces; what is cut at the limit is counted in the ledger."""
    collate: Callable[[Sequence[Encoded], Setting], Batch]
    """Encoded examples → one packed batch."""
    loss: Callable[[Any, Batch, Setting, Weighing], Loss]
    """(model, batch, setting, weighing) → sum and count."""
    prepare: Callable[[Any, list[Encoded], Setting], list[Encoded]] | None = None
    """(model before training, encoded examples, setting) → the examples with what the loss needs of that model."""
    draft: Callable[[Setting], Setting] = as_it_is
    """The setting under which training measures itself: one that takes less time, where there is one."""
    answer: Callable[[Any, Sequence[Encoded], Setting, int, int | None], Iterator[list[Any]]]
    """(model, encoded examples, setting, tokens of a batch, threads) → what the model says to each in turn: for each of
    its pieces the head's outputs (passes.head_outputs), or for tasks that write what was written."""
    decode: Callable[[Any, Encoded, Sequence[Any], Setting], Prediction]
    """(example, its encoding, what `answer` gave for it) → the prediction. Pure."""
    judge: Callable[[Setting], tuple[Metric, ...]]
    """The metrics, the main one first."""
    plain: Callable[[Prediction], Any]
    """What the metrics take of a prediction."""
    reference: Callable[[Any, Setting], Any]
    """What the metrics take of an example, None if it has no label."""
    baseline: Callable[[Setting], Baseline | None] = no_baseline
    """What `lexloom evaluate` judges beside the models."""
    augmentable: bool = False
    """Whether words can be left out and swapped without the target losing its place or its sense."""

    def read(self, sources: Sequence[str], settings: Any, ledger: Ledger) -> list[Any]:
        """All examples that `stream` gives."""
        return list(self.stream(sources, settings, ledger))


def fit_setting(
    task: Task, settings: Any, examples: Sequence[Any], *, tokenizer: Tokenizer, max_tokens: int
) -> Setting:
    """What a task learns from its training examples before training: its labels, and settings left to the data.

    Raises DataError if they can't be learned from, RecipeError if `max_tokens` leaves no room for text.
    """
    least = LEAST_ROOM + tokenizer.frame(2).special_tokens
    if max_tokens < least:
        raise RecipeError(f"pieces of {max_tokens} tokens have no room for text; the least is {least}")
    settled = task.settle(examples, settings)
    return Setting(
        tokenizer=task.tokenizer(tokenizer, settled),
        settings=settled,
        labels=task.labels(examples, settled),
        max_tokens=max_tokens,
    )
