"""What models that read are asked, in batches: the functions that `Engine.run` calls in its thread.

Axes: N texts, D width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lexloom.base.ledger import Ledger
from lexloom.evaluate.embedding import Vectors, embed
from lexloom.models.sentences import Pooling
from lexloom.tasks import Prediction
from lexloom.tasks.contract import Encoded
from lexloom.tasks.encoding import CUT, STAGE
from lexloom.tasks.folder import TaskModel
from lexloom.tasks.given import example_of
from lexloom.tasks.masks import Candidate, fill
from lexloom.tasks.predict import predict
from lexloom.text.tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class Asked:
    """An example of a task, encoded."""

    model: TaskModel
    example: Any
    encoded: Encoded
    cut_characters: int

    @property
    def tokens(self) -> int:
        """What it costs."""
        return self.encoded.tokens


@dataclass(frozen=True, slots=True)
class ToEmbed:
    """A text to become a vector."""

    module: Any
    tokenizer: Tokenizer
    pooling: Pooling
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class ToFill:
    """A text with masks."""

    module: Any
    tokenizer: Tokenizer
    text: str
    top: int
    tokens: int


def encode(model: TaskModel, parts: Sequence[str], where: str) -> Asked:
    """What a model is asked about a text, or texts that belong together. Raises UserError if they don't fit."""
    ledger = Ledger()
    example = example_of(model.name, tuple(parts), where)
    [encoded] = model.task.encode([example], model.setting, ledger)
    return Asked(model, example, encoded, ledger[STAGE, CUT].characters)


def predict_all(asked: Sequence[Asked]) -> list[Prediction]:
    """What the models say, as `lexloom predict` has it."""
    found: dict[int, Prediction] = {}
    for numbers in _alike(asked):
        model = asked[numbers[0]].model
        predictions = predict(
            model.model,
            model.task,
            [asked[number].example for number in numbers],
            model.setting,
            ledger=Ledger(),
            encoded=[asked[number].encoded for number in numbers],
        )
        found.update(zip(numbers, predictions, strict=True))
    return [found[number] for number in range(len(asked))]


def _alike(asked: Sequence[Asked]) -> list[list[int]]:
    """The numbers of those that are asked under the same settings."""
    groups: dict[int, list[int]] = {}
    for number, one in enumerate(asked):
        groups.setdefault(id(one.model.setting), []).append(number)
    return list(groups.values())


def embed_all(asked: Sequence[ToEmbed]) -> list[Vectors]:
    """A vector (D) for each text; all are of one model."""
    first = asked[0]
    return list(embed(first.module, first.tokenizer, [one.text for one in asked], first.pooling))


def fill_all(asked: Sequence[ToFill]) -> list[list[list[Candidate]]]:
    """The candidates for each mask of each text."""
    return [fill(one.module, one.tokenizer, one.text, top=one.top) for one in asked]
