"""Preference: a decoder learns which of two answers people prefer, by direct preference optimization.

The reward of an answer is β times how much more probable it became than the model found it before training; that of the
chosen answer is to exceed that of the rejected one. What the model found before is computed once (`prepare`), so that
no second model is kept. Source: Rafailov et al. 2023, arXiv:2305.18290, equation 7.
Axes: N pairs, P pieces (2·N: chosen, rejected, chosen, …), S said tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from lexloom.base.ledger import Ledger
from lexloom.labelled.conversations import stream_preferences
from lexloom.labelled.examples import Preference
from lexloom.metrics import (
    Metric,
    Preferring,
    chosen_log_probability,
    preference_accuracy,
    rejected_log_probability,
    reward_margin,
)
from lexloom.nn.likelihood import target_nats
from lexloom.objectives.contract import Batch, Loss
from lexloom.tasks.batches import batch_of, by_piece
from lexloom.tasks.contract import Encoded, Prediction, Setting, Task, Weighing
from lexloom.tasks.passes import PORTION_TOKENS
from lexloom.tasks.said import (
    Messages,
    Nats,
    TalkSettings,
    said_ids,
    said_nats,
    said_pieces,
    said_states,
    speaking,
    without_first,
)
from lexloom.text.chat import Message


class PreferenceSettings(TalkSettings):
    """Pairs of answers, and how far the model may go from what it was."""

    beta: float = Field(default=0.1, gt=0, allow_inf_nan=False)
    """What changes of log-probability are worth: the larger, the nearer the model stays to what it was."""


def encode(examples: Sequence[Preference], setting: Setting, ledger: Ledger) -> list[Encoded]:
    """A piece for each answer, of which the answer alone is foretold; a piece of nothing said without answers.

    The target is the margin that the model before training gave, 0 until `prepare` has asked it.
    """
    talks = [talk for example in examples for talk in _talks(example)]
    places = [example.where for example in examples for _ in _talks(example)]
    pieces = iter(said_pieces(talks, places, setting, ledger, shorten=without_first, only_last=True))
    pairs = [tuple(next(pieces) for _ in _talks(example)) for example in examples]
    return [Encoded(pair, 0.0 if all(piece.spots for piece in pair) else None) for pair in pairs]


def prepare(model: Any, encoded: list[Encoded], setting: Setting) -> list[Encoded]:
    """The targets are the margins of this model, in nats."""
    margins = (_margin(nats) for nats in said_nats(model, encoded, PORTION_TOKENS))
    return [
        example if example.target is None else replace(example, target=margin)
        for example, margin in zip(encoded, margins, strict=True)
    ]


def collate(encoded: Sequence[Encoded], setting: Setting) -> Batch:
    """Targets are the said tokens (S), groups the pieces of pairs with both answers."""
    known = [example for example in encoded if example.target is not None]
    margins_N = torch.tensor([example.target for example in known], dtype=torch.float64)
    some = known if known else encoded
    return replace(batch_of(some, said_ids(some), len(known), by_piece(some)), before_N=margins_N)


def loss(model: Any, batch: Batch, setting: Setting, weighing: Weighing) -> Loss:
    """The sum of −log σ(β · (margin now − margin before)); there are no labels to weigh or to smooth."""
    assert batch.groups_S is not None, "each said token belongs to an answer"
    assert batch.before_N is not None, "each pair had a margin before training"
    x_SD = said_states(model, batch)
    nats_S = target_nats(x_SD, model.head_weight_VD, batch.targets.to(x_SD.device))
    if batch.count == 0:
        return Loss(0.0 * nats_S.sum(), 0)
    nats_P = nats_S.new_zeros(2 * batch.count).index_add_(0, batch.groups_S.to(x_SD.device), nats_S)
    margins_N = nats_P[1::2] - nats_P[::2]
    grown_N: Tensor = margins_N - batch.before_N.to(margins_N)
    return Loss(-functional.logsigmoid(setting.settings.beta * grown_N).sum(), batch.count)


def answer(
    model: Any, encoded: Sequence[Encoded], setting: Setting, batch_tokens: int, threads: int | None = None
) -> Iterator[list[Nats]]:
    """For each pair −log p of every token of the chosen answer (S), and of the rejected one."""
    return said_nats(model, encoded, batch_tokens, threads)


def decode(example: Preference, encoded: Encoded, outputs: Sequence[Nats], setting: Setting) -> Prediction:
    """The log-probabilities of both answers, and the margin of rewards; nothing without answers.

    Where the model before training isn't known, the reward is β times the log-probability itself.
    """
    if encoded.target is None:
        return {}
    chosen, rejected = (-float(nats_S.sum()) for nats_S in outputs)
    return {
        "chosen": chosen,
        "rejected": rejected,
        "reward_margin": setting.settings.beta * (chosen - rejected - encoded.target),
    }


def judge(setting: Setting) -> tuple[Metric, ...]:
    """How often the chosen answer has the higher reward, by how much, and what both are worth."""
    return preference_accuracy(), reward_margin(), chosen_log_probability(), rejected_log_probability()


def plain(prediction: Prediction) -> Preferring:
    """The numbers."""
    return Preferring(prediction["chosen"], prediction["rejected"], prediction["reward_margin"])


def reference(example: Preference, setting: Setting) -> Any:
    """Both answers, the chosen one first."""
    return None if example.chosen is None else [example.chosen, example.rejected]


def _talks(example: Preference) -> list[Messages]:
    """The conversation with each answer, or without any."""
    answers = [answer for answer in (example.chosen, example.rejected) if answer is not None]
    return [[*example.messages, Message("assistant", answer)] for answer in answers] or [example.messages]


def _margin(nats: Sequence[Nats]) -> float:
    return float(nats[-1].sum() - nats[0].sum())


PREFERENCE = Task(
    settings=PreferenceSettings,
    tokenizer=speaking,
    stream=stream_preferences,
    labels=lambda examples, settings: (),
    needs=("decoder",),
    head="none",
    columns=lambda labels: 0,
    encode=encode,
    collate=collate,
    loss=loss,
    prepare=prepare,
    answer=answer,
    decode=decode,
    judge=judge,
    plain=plain,
    reference=reference,
)
