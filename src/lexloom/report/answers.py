"""What a fine-tuned model said to each labelled example, from `predictions.jsonl`, in the form that figures need."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lexloom.metrics import (
    Metric,
    accuracy,
    answer_f1,
    entities_of,
    entity_f1,
    exact_match,
    spearman,
    subset_accuracy,
)
from lexloom.report.read import Row, Run

Rights = NDArray[np.bool_]


@dataclass(frozen=True)
class Kind:
    """A form of answer, known by the field of a prediction that holds it."""

    field: str
    metric: Callable[[str], Metric]
    """By language; what slices of the data are judged by."""
    things: Callable[[Any], Iterable[Hashable]] | None = None
    """The labelled things in an answer, for figures by label; None where there are no labels."""
    class_of: Callable[[Any], str] = str


KINDS = (
    Kind("label", lambda language: accuracy(), lambda label: [label]),
    Kind("labels", lambda language: subset_accuracy(), lambda labels: labels),
    Kind("tags", lambda language: entity_f1(), entities_of, lambda entity: str(entity[2])),
    Kind("answer", lambda language: answer_f1("zh" if language == "zh" else "en")),
    Kind("choice", lambda language: accuracy()),
    Kind("score", lambda language: spearman()),
)


@dataclass(frozen=True)
class Answers:
    """The labelled examples of the split that was predicted last."""

    kind: Kind
    language: str
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

    @cached_property
    def confidences(self) -> list[float] | None:
        """The probability of each answer, if the task gives it."""
        found = [line["prediction"].get("probability") for line in self.lines]
        return None if None in found else found

    @cached_property
    def right(self) -> list[bool]:
        """Whether each answer is right; answers in a passage as the scorers compare them."""
        if self.kind.field == "answer":
            match = exact_match("zh" if self.language == "zh" else "en")
            return [bool(row[0] > 0) for row in match.rows(self.predictions, self.references)]
        if self.kind.field == "labels":
            return [set(found) == set(wanted) for found, wanted in zip(self.predictions, self.references, strict=True)]
        return [found == wanted for found, wanted in zip(self.predictions, self.references, strict=True)]

    @property
    def metric(self) -> Metric:
        """What parts of the data are judged by."""
        return self.kind.metric(self.language)

    @cached_property
    def texts(self) -> list[str] | None:
        """Each example's texts in a line; None if the file doesn't hold them."""
        if not all("texts" in line for line in self.lines):
            return None
        return [" ‖ ".join(line["texts"]) for line in self.lines]


def answers_of(run: Run) -> Answers | None:
    """The answers of a fine-tuning run; None if it has none with a label."""
    lines = [line for line in run.predictions if line.get("reference") is not None]
    found = [kind for kind in KINDS if lines and kind.field in lines[0]["prediction"]]
    if not found:
        return None
    settings = (run.facts.get("task") or {}).get("settings") or {}
    return Answers(found[0], settings.get("language") or "en", lines)
