"""An answer and why it was given: the one function that explains an example of any task."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from lexloom.base.errors import UserError
from lexloom.base.ledger import Ledger
from lexloom.explain.attention import AttentionMaps, attention_maps
from lexloom.explain.attributions import GRADIENTS, OCCLUSION, Attribution, blank_id, integrated_gradients, occlusion
from lexloom.explain.targets import EXPLAINABLE, Answered
from lexloom.explain.words import Word, words_of
from lexloom.tasks import TASKS, Prediction, Setting
from lexloom.tasks.passes import PORTION_TOKENS

ATTENTION = "attention"
METHODS = (GRADIENTS, OCCLUSION, ATTENTION)
MOST_TARGETS = 8
"""Entities or labels of one text that are explained; each takes many passes through the model."""
ATTRIBUTE = {GRADIENTS: integrated_gradients, OCCLUSION: occlusion}


@dataclass(frozen=True)
class Explained:
    """One target, and what each of these words adds to it."""

    name: str
    measure: str
    words: tuple[Word, ...]
    attribution: Attribution


@dataclass(frozen=True)
class Explanation:
    """What a model said to an example, and what it rests on."""

    texts: tuple[str, ...]
    """All that it read."""
    prediction: Prediction
    words: tuple[Word, ...]
    """All words that it read."""
    blank: str
    """The token that stood for masked words."""
    explained: tuple[Explained, ...]
    left_out: tuple[str, ...]
    """Further targets, beyond MOST_TARGETS, that were not explained."""
    attention: tuple[AttentionMaps, ...]
    """Of each piece."""


def explain(
    model: Any,
    task: str,
    example: Any,
    setting: Setting,
    *,
    label: str | None = None,
    methods: Collection[str] = METHODS,
) -> Explanation:
    """Explain the model's answer, or what speaks for `label` (an entity's type, a candidate) instead.

    Of the `methods` those are used that suit the model (`suiting`). Raises UserError for a label that the task
    doesn't have, where none of the methods suits, and where there is nothing to explain.
    """
    model.eval()
    methods = suiting(model, methods)
    how, tokenizer = EXPLAINABLE[task], setting.tokenizer
    answered = answer(model, task, example, setting)
    texts = how.texts(example, tokenizer)
    pieces = answered.encoded.pieces
    words = words_of(pieces, how.reads(answered), [tokens for _, tokens in texts], tokenizer)
    if not words:
        raise UserError("there is no word in it, so nothing to explain", where=example.where)
    blank = blank_id(tokenizer)
    wanted = [ATTRIBUTE[method] for method in methods if method in ATTRIBUTE]
    explained = []
    targets = how.targets(answered, setting, label) if wanted else []
    for target in targets[:MOST_TARGETS]:
        some = tuple(word for word in words if target.texts is None or word.text in target.texts)
        for attribute in wanted:
            found = attribute(model, pieces, some, target, blank=blank)
            explained.append(Explained(target.name, target.measure, some, found))
    maps = [attention_maps(model, piece, tokenizer) for piece in pieces] if ATTENTION in methods else []
    return Explanation(
        texts=tuple(text for text, _ in texts),
        prediction=answered.prediction,
        words=tuple(words),
        blank=str(tokenizer.token(blank)),
        explained=tuple(explained),
        left_out=tuple(target.name for target in targets[MOST_TARGETS:]),
        attention=tuple(maps),
    )


def suiting(model: Any, methods: Collection[str]) -> list[str]:
    """Those of the methods that suit a model: gradients need embeddings to go along, attention needs heads that look.

    Raises UserError if there is none.
    """
    suit = [OCCLUSION, *([GRADIENTS] if hasattr(model, "embed") else []), *([ATTENTION] if _attends(model) else [])]
    found = [method for method in methods if method in suit]
    if not found:
        raise UserError(f"this model can't be explained by {', '.join(methods)}", fix=f"Ask for {' or '.join(suit)}.")
    return found


def _attends(model: Any) -> bool:
    return getattr(model.config, "heads", None) is not None


def answer(model: Any, task: str, example: Any, setting: Setting) -> Answered:
    """What the model says to one example, and the outputs that it says it from."""
    (encoded,) = TASKS[task].encode([example], setting, Ledger())
    (outputs,) = TASKS[task].answer(model, [encoded], setting, PORTION_TOKENS, None)
    return Answered(example, encoded, outputs, TASKS[task].decode(example, encoded, outputs, setting))
