"""What a fine-tuned model said to each labelled example (`predictions.jsonl`), for figures by label and pictures."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lexloom.metrics import entities_of
from lexloom.report.read import Row, Run


@dataclass(frozen=True)
class Kind:
    """A form of answer, known by the field of a prediction that holds it."""

    field: str
    things: Callable[[Any], Iterable[Hashable]] | None = None
    """The labelled things in an answer, for figures by label; None where there are no labels."""
    class_of: Callable[[Any], str] = str


KINDS = (
    Kind("label", lambda label: [label]),
    Kind("labels", lambda labels: labels),
    Kind("tags", entities_of, lambda entity: str(entity[2])),
    Kind("choice"),
    Kind("text"),
    Kind("score"),
)


@dataclass(frozen=True)
class Answers:
    """The labelled examples of the split that was predicted last."""

    kind: Kind
    lines: Sequence[Row]
    """Of predictions.jsonl: where, texts, reference, prediction."""

    @cached_property
    def predictions(self) -> list[Any]:
        """The answers themselves."""
        return [line["prediction"][self.kind.field] for line in self.lines]

    @cached_property
    def references(self) -> list[Any]:
        """What is right."""
        return [line["reference"] for line in self.lines]


def answers_of(run: Run) -> Answers | None:
    """The answers of a fine-tuning run; None if none of a known kind has a label."""
    lines = [line for line in run.predictions if line.get("reference") is not None]
    found = [kind for kind in KINDS if lines and kind.field in lines[0]["prediction"]]
    return Answers(found[0], lines) if found else None
