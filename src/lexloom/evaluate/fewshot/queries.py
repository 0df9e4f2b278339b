"""Labelled examples as questions that a decoder can be asked, and what it answers as predictions of their task."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lexloom.base.errors import DataError, RecipeError
from lexloom.evaluate.fewshot.likelihood import Likelihood
from lexloom.evaluate.fewshot.prompts import Query, Score
from lexloom.labelled.examples import Choices, Labelled, Pair
from lexloom.tasks.contract import Prediction, Setting
from lexloom.tasks.scores import softmax

Floats = npt.NDArray[np.float64]
Words = Mapping[str, str]
"""What the model reads for a label."""


@dataclass(frozen=True)
class Answered:
    """What a model makes of a question's answers (A)."""

    scores: Mapping[Score, Floats]
    """By each way of comparing answers, their scores (A)."""
    likelihoods: Sequence[Likelihood]
    """Of each answer after the prompt."""


@dataclass(frozen=True)
class Asking:
    """How a task is asked; every one that can be is a line in ASKING."""

    query: Callable[[Any, Setting, Words], Query]
    """(example, setting, words for labels) → the question."""
    prediction: Callable[[Any, Setting, Answered, Score], Prediction]
    """(example, setting, what the model makes of the answers, which score decides) → the task's prediction."""
    kind: Callable[[Sequence[Any]], str]
    """Examples → which of prompts.TEMPLATES is usual for them."""
    compares: bool = True
    """Whether several answers are compared, or the only one is foretold or not."""


def check_words(words: Words, labels: Sequence[str]) -> None:
    """Raise RecipeError for words of labels that don't occur, and for two labels with the same words."""
    for label in words:
        if label not in labels:
            known = ", ".join(labels) or "none"
            raise RecipeError(f"names {label!r}, which is no label of the data; they are {known}", where="prompt.words")
    said = [words.get(label, label) for label in labels]
    if twice := next((one for one in said if said.count(one) > 1), None):
        raise RecipeError(f"{twice!r} stands for two labels", where="prompt.words")


def _query_of_label(example: Labelled, setting: Setting, words: Words) -> Query:
    target = None if example.target is None else setting.labels.index(str(example.target))
    answers = tuple(words.get(label, label) for label in setting.labels)
    return _checked(Query(example.where, example.texts, example.row, answers, target))


def _query_of_choice(example: Choices, setting: Setting, words: Words) -> Query:
    return _checked(Query(example.where, example.texts, example.row, example.candidates, example.target))


def _query_of_pair(example: Pair, setting: Setting, words: Words) -> Query:
    known = example.target is not None
    return Query(example.where, (example.source,), example.row, example.targets[:1], 0 if known else None)


def _checked(query: Query) -> Query:
    if not all(answer.strip() for answer in query.answers):
        raise DataError("an answer is empty", where=query.where, fix="Give every candidate a text.")
    return query


def _label_said(example: Labelled, setting: Setting, answered: Answered, score: Score) -> Prediction:
    best, shares = _best(answered.scores[score])
    probabilities = dict(zip(setting.labels, shares, strict=True))
    return {"label": setting.labels[best], "probability": shares[best], "probabilities": probabilities}


def _choice_said(example: Choices, setting: Setting, answered: Answered, score: Score) -> Prediction:
    best, shares = _best(answered.scores[score])
    text = example.candidates[best]
    return {"choice": best, "text": text, "probability": shares[best], "probabilities": shares}


def _pair_said(example: Pair, setting: Setting, answered: Answered, score: Score) -> Prediction:
    (found,) = answered.likelihoods
    text = setting.tokenizer.decode(found.said).strip()
    return {"text": text, "score": found.log_probability, "foretold": found.greedy, "tokens": found.tokens}


def _best(scores_A: Floats) -> tuple[int, list[float]]:
    """The best answer, the first among equals, and every answer's share."""
    shares: list[float] = softmax(scores_A.astype(np.float32)).tolist()
    return int(scores_A.argmax()), shares


ASKING: dict[str, Asking] = {
    "classify": Asking(_query_of_label, _label_said, lambda examples: "classify"),
    "choice": Asking(
        _query_of_choice,
        _choice_said,
        lambda examples: "candidates first" if examples[0].candidates_first else "choice",
    ),
    "text2text": Asking(_query_of_pair, _pair_said, lambda examples: "text2text", compares=False),
}
