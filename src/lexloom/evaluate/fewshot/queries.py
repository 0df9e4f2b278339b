"""Labelled examples as questions that a decoder can be asked, and what it finds likely as predictions of their task."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lexloom.base.errors import DataError, RecipeError
from lexloom.evaluate.fewshot.prompts import Query
from lexloom.labelled.examples import Choices, Labelled
from lexloom.tasks.contract import Prediction, Setting
from lexloom.tasks.scores import softmax

Floats = npt.NDArray[np.float64]
Words = Mapping[str, str]
"""What the model reads for a label."""


@dataclass(frozen=True)
class Asking:
    """How a task is asked; every one that can be is a line in ASKING."""

    query: Callable[[Any, Setting, Words], Query]
    """(example, setting, words for labels) → the question."""
    prediction: Callable[[Any, Setting, Floats], Prediction]
    """(example, setting, a score for each answer) → the task's prediction."""
    kind: Callable[[Sequence[Any]], str]
    """Examples → which of prompts.TEMPLATES is usual for them."""


def query_of_label(example: Labelled, setting: Setting, words: Words) -> Query:
    """Every label is an answer."""
    target = None if example.target is None else setting.labels.index(str(example.target))
    answers = tuple(words.get(label, label) for label in setting.labels)
    return _checked(Query(example.where, example.texts, example.row, answers, target))


def query_of_choice(example: Choices, setting: Setting, words: Words) -> Query:
    """The candidates are the answers."""
    return _checked(Query(example.where, example.texts, example.row, example.candidates, example.target))


def label_said(example: Labelled, setting: Setting, scores: Floats) -> Prediction:
    """The prediction of `classify`."""
    shares = softmax(scores.astype(np.float32))
    best = int(scores.argmax())
    return {
        "label": setting.labels[best],
        "probability": float(shares[best]),
        "probabilities": dict(zip(setting.labels, shares.tolist(), strict=True)),
    }


def choice_said(example: Choices, setting: Setting, scores: Floats) -> Prediction:
    """The prediction of `choice`."""
    shares = softmax(scores.astype(np.float32))
    best = int(scores.argmax())
    return {
        "choice": best,
        "text": example.candidates[best],
        "probability": float(shares[best]),
        "probabilities": shares.tolist(),
    }


ASKING: dict[str, Asking] = {
    "classify": Asking(query_of_label, label_said, lambda examples: "classify"),
    "choice": Asking(
        query_of_choice,
        choice_said,
        lambda examples: "candidates first" if examples[0].candidates_first else "choice",
    ),
}


def check_words(words: Words, labels: Sequence[str]) -> None:
    """Raise RecipeError for words of labels that don't occur, and for two labels with the same words."""
    for label in words:
        if label not in labels:
            raise RecipeError(f"there is no label {label!r}, only {', '.join(labels)}", where="prompt.words")
    said = [words.get(label, label) for label in labels]
    if twice := next((one for one in said if said.count(one) > 1), None):
        raise RecipeError(f"{twice!r} stands for two labels", where="prompt.words")


def _checked(query: Query) -> Query:
    for answer in query.answers:
        if not answer.strip():
            raise DataError("an answer is empty", where=query.where, fix="Give every candidate a text.")
    return query
