"""What of a model's answer is explained: one number that its states decide.

For a label it is the log-odds, log p / (1 − p): unlike a score it doesn't change when all scores rise together.
Axes: K copies of an example, L tokens of a piece, D width, C columns, S spots.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lexloom.base.errors import UserError
from lexloom.explain.words import TextTokens, tagged_tokens, text_tokens
from lexloom.tasks.choice import readings
from lexloom.tasks.contract import Encoded, Floats, Prediction, Setting
from lexloom.tasks.encoding import FIRST
from lexloom.tasks.paths import BEGINS
from lexloom.tasks.relation import marked_text
from lexloom.tasks.span import END, START, best_stretch
from lexloom.text.tokenizers import Tokenizer

LOG_ODDS, SCORE, COSINE = "log-odds", "score", "cosine"


@dataclass(frozen=True)
class Target:
    """One number to be explained."""

    name: str
    """What it speaks for: a label, `LOC: Paris`, `start of 1843`."""
    measure: str
    """LOG_ODDS, SCORE or COSINE."""
    pieces: tuple[int, ...]
    """The pieces of the example that decide it."""
    value: Callable[[Any, Sequence[Tensor]], Tensor]
    """(model, for each of these pieces the states of K copies (K, L, D)) → (K)."""
    texts: tuple[int, ...] | None = None
    """The texts whose words are to account for it, the others staying as they are; None for all."""


@dataclass(frozen=True)
class Answered:
    """An example, and what the model said to it."""

    example: Any
    encoded: Encoded
    outputs: Sequence[Floats]
    """For each piece the head's outputs at its spots (S, C)."""
    prediction: Prediction


@dataclass(frozen=True)
class Explainable:
    """How a task is explained."""

    texts: Callable[[Any, Tokenizer], list[tuple[str, TextTokens]]]
    """The texts that the model read for an example."""
    reads: Callable[[Answered], list[tuple[int, ...]]]
    """For each piece, which of these texts it holds."""
    targets: Callable[[Answered, Setting, str | None], list[Target]]
    """What can be explained; the last argument is the label that the user asks about, None for the model's answer.

    Raises UserError for a label that isn't there.
    """


def log_odds(scores: Tensor, column: int) -> Tensor:
    """log p / (1 − p) of a column's softmax: (…, C) → (…); with one column the score, a sigmoid's log-odds."""
    if scores.shape[-1] == 1:
        return scores[..., 0]
    others = [other for other in range(scores.shape[-1]) if other != column]
    return scores[..., column] - scores[..., others].logsumexp(dim=-1)


# ---- labels, numbers ----


def classify_targets(answered: Answered, setting: Setting, wanted: str | None) -> list[Target]:
    """The label: the given one, or the one asked about. With several labels each that was given, or the likeliest."""
    if wanted is not None:
        names = [_known(wanted, setting.labels)]
    elif "labels" in answered.prediction:
        probabilities = answered.prediction["probabilities"]
        names = answered.prediction["labels"] or [max(probabilities, key=probabilities.get)]
    else:
        names = [answered.prediction["label"]]
    pieces = tuple(range(len(answered.encoded.pieces)))
    alone = "labels" in answered.prediction
    return [Target(name, LOG_ODDS, pieces, _label_value(setting.labels.index(name), alone=alone)) for name in names]


def regress_targets(answered: Answered, setting: Setting, wanted: str | None) -> list[Target]:
    """The number."""
    _no_label(wanted)
    settings = setting.settings

    def value(model: Any, states: Sequence[Tensor]) -> Tensor:
        number_K: Tensor = settings.mean + settings.scale * _first_scores(model, states)[:, 0]
        return number_K

    return [Target(SCORE, SCORE, tuple(range(len(answered.encoded.pieces))), value)]


def _label_value(column: int, *, alone: bool) -> Callable[[Any, Sequence[Tensor]], Tensor]:
    def value(model: Any, states: Sequence[Tensor]) -> Tensor:
        scores_KC = _first_scores(model, states)
        return scores_KC[:, column] if alone else log_odds(scores_KC, column)

    return value


def _first_scores(model: Any, states: Sequence[Tensor]) -> Tensor:
    """The head's scores at first tokens, (K, C), averaged over pieces."""
    return torch.stack([model.scores(x_KLD[:, FIRST]) for x_KLD in states]).mean(dim=0)


# ---- entities ----


def tag_targets(answered: Answered, setting: Setting, wanted: str | None) -> list[Target]:
    """The tag at the first word of each entity found; of a type asked about, else of the likeliest word."""
    begins = [(word, tag) for word, tag in enumerate(answered.prediction["tags"]) if tag.startswith(BEGINS)]
    starts = [(word, tag.removeprefix(BEGINS)) for word, tag in begins if wanted in (None, tag.removeprefix(BEGINS))]
    if not starts and wanted is not None:
        column = setting.labels.index(BEGINS + _known(wanted, _types(setting.labels)))
        scores_WC = np.concatenate(answered.outputs)
        starts = [(int((scores_WC[:, column] - scores_WC.max(axis=1)).argmax()), wanted)] if len(scores_WC) else []
    if not starts:
        raise UserError(
            "no entity was found in the text, so there is none to explain",
            fix=f"Ask about a type with --label: {', '.join(_types(setting.labels))}.",
        )
    return [_tag_target(answered, setting, word, kind) for word, kind in starts]


def _tag_target(answered: Answered, setting: Setting, word: int, kind: str) -> Target:
    spots = [(number, spot) for number, piece in enumerate(answered.encoded.pieces) for spot in piece.spots]
    (piece, spot), column = spots[word], setting.labels.index(BEGINS + kind)

    def value(model: Any, states: Sequence[Tensor]) -> Tensor:
        return log_odds(model.scores(states[0][:, spot]), column)

    return Target(f"{kind}: {answered.example.words[word]}", LOG_ODDS, (piece,), value)


def _types(labels: Sequence[str]) -> list[str]:
    return [label.removeprefix(BEGINS) for label in labels if label.startswith(BEGINS)]


# ---- answers in a passage ----


def span_targets(answered: Answered, setting: Setting, wanted: str | None) -> list[Target]:
    """The start and the end of the answer, each among all places of its window; the first token if there is none."""
    _no_label(wanted)
    answer, longest = answered.prediction["answer"], setting.settings.max_answer_tokens
    found = [
        best_stretch(scores_SC, piece.notes, longest).score
        for piece, scores_SC in zip(answered.encoded.pieces, answered.outputs, strict=True)
    ]
    nothing = [-float(scores_SC[0].sum()) for scores_SC in answered.outputs]
    number = int(np.argmax(found if answer else nothing))
    piece = answered.encoded.pieces[number]
    if not answer:
        return [_place_target("no answer", number, piece.spots, FIRST, START)]
    starts, ends = ([place[side] for place in piece.notes] for side in (START, END))
    # The first spot is not of the passage; of tokens that stand for nothing visible, the outermost count
    first = 1 + starts.index(answered.prediction["start"])
    last = len(ends) - ends[::-1].index(answered.prediction["end"])
    return [
        _place_target(f"start: {answer}", number, piece.spots, first, START),
        _place_target(f"end: {answer}", number, piece.spots, last, END),
    ]


def _place_target(name: str, piece: int, spots: Sequence[int], place: int, side: int) -> Target:
    def value(model: Any, states: Sequence[Tensor]) -> Tensor:
        return log_odds(model.scores(states[0][:, list(spots)])[..., side], place)

    return Target(name, LOG_ODDS, (piece,), value)


# ---- pairs, candidates ----


def similarity_targets(answered: Answered, setting: Setting, wanted: str | None) -> list[Target]:
    """The cosine of the two texts' averaged states, as each text's words decide it beside the whole other text.

    Both are never masked at once: two texts of which nothing is left are alike.
    """
    _no_label(wanted)

    def value(model: Any, states: Sequence[Tensor]) -> Tensor:
        one_KD, two_KD = (x_KLD.mean(dim=1) for x_KLD in states)
        return functional.cosine_similarity(one_KD, two_KD, dim=-1)

    return [Target(name, COSINE, (0, 1), value, (text,)) for text, name in enumerate(("first text", "second text"))]


def choice_targets(answered: Answered, setting: Setting, wanted: str | None) -> list[Target]:
    """The chosen candidate against the others, or the one asked about."""
    candidates = answered.example.candidates
    name = answered.prediction["text"] if wanted is None else _known(wanted, candidates)
    column = candidates.index(name)

    def value(model: Any, states: Sequence[Tensor]) -> Tensor:
        scores_KP = torch.stack([model.scores(x_KLD[:, FIRST])[:, 0] for x_KLD in states], dim=-1)
        return log_odds(scores_KP, column)

    return [Target(name, LOG_ODDS, tuple(range(len(candidates))), value)]


# ---- every task ----


def _known(wanted: str, labels: Sequence[str]) -> str:
    if wanted not in labels:
        raise UserError(f"there is no label {wanted!r}", fix=f"The labels are {', '.join(labels)}.")
    return wanted


def _no_label(wanted: str | None) -> None:
    if wanted is not None:
        raise UserError("this task has no labels to ask about", fix="Leave --label out.")


def _plain_texts(*texts: str) -> Callable[[Tokenizer], list[tuple[str, TextTokens]]]:
    return lambda tokenizer: [(text, text_tokens(text, tokenizer)) for text in texts]


def _together(answered: Answered) -> list[tuple[int, ...]]:
    """Every piece holds the example's text, or both of them."""
    texts = len(getattr(answered.example, "texts", (None,)))
    return [tuple(range(texts))] * len(answered.encoded.pieces)


EXPLAINABLE: dict[str, Explainable] = {
    "classify": Explainable(lambda example, t: _plain_texts(*example.texts)(t), _together, classify_targets),
    "regress": Explainable(lambda example, t: _plain_texts(*example.texts)(t), _together, regress_targets),
    "tag": Explainable(lambda example, t: [(example.text, tagged_tokens(example, t))], _together, tag_targets),
    "relation": Explainable(lambda example, t: _plain_texts(marked_text(example)[0])(t), _together, classify_targets),
    "span": Explainable(
        lambda example, t: _plain_texts(example.question, example.passage)(t),
        lambda answered: [(0, 1)] * len(answered.encoded.pieces),
        span_targets,
    ),
    "similarity": Explainable(
        lambda example, t: _plain_texts(*example.texts)(t), lambda answered: [(0,), (1,)], similarity_targets
    ),
    "choice": Explainable(
        lambda example, t: _plain_texts(*_choice_texts(example))(t),
        lambda answered: [(0, 1 + number) for number in range(len(answered.encoded.pieces))],
        choice_targets,
    ),
}
"""How each task is explained. A new task is a line here."""


def _choice_texts(example: Any) -> list[str]:
    """What is read with every candidate, and behind it what is read with each one."""
    pairs = readings(example)
    return [pairs[0][0], *(pair[1] for pair in pairs)]
