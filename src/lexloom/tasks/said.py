"""Conversations as pieces for a decoder, of which it foretells what the assistant says and nothing else.

Axes: S said tokens, D width.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from lexloom.base.ledger import Ledger
from lexloom.base.recipe import choose
from lexloom.labelled.conversations import ConversationSettings
from lexloom.nn.likelihood import target_nats
from lexloom.nn.passes import in_passes
from lexloom.objectives.contract import Batch
from lexloom.tasks.batches import batch_of
from lexloom.tasks.contract import Encoded, Piece, Setting
from lexloom.tasks.encoding import CUT, STAGE
from lexloom.tasks.passes import fair_portions
from lexloom.text.chat import CHAT_FORMATS, ChatFormat, Message, template_format, with_template
from lexloom.text.tokenizers import Tokenizer

NO_ROOM = "no room for an answer at the limit of tokens"
TURNS_DROPPED = "turns dropped at the limit of tokens"

Messages = Sequence[Message]
Nats = NDArray[np.float64]
Shorten = Callable[[Messages], Messages]
"""A conversation without a whole exchange; the conversation itself where only one is left."""


class TalkSettings(ConversationSettings):
    """Files of conversations, and how they become tokens."""

    format: str | None = Field(default=None)
    """The chat format, one of chatml, smollm2, llama3 and plain; unset: the model folder's own, else plain. A format
    whose control tokens the tokenizer lacks is refused."""


@dataclass(frozen=True, slots=True)
class Said:
    """What is to be foretold at a piece's spots, and how many bytes of text that is."""

    ids: tuple[int, ...]
    utf8_bytes: int


def chat_format(tokenizer: Tokenizer, settings: TalkSettings) -> ChatFormat:
    """The format that the settings name, or else the tokenizer's own."""
    name = template_format(tokenizer) if settings.format is None else settings.format
    found: ChatFormat = choose(CHAT_FORMATS, name, field="task.format")
    return found


def speaking(tokenizer: Tokenizer, settings: TalkSettings) -> Tokenizer:
    """The tokenizer with the format's template, so that others talk with the model as it was trained."""
    form = chat_format(tokenizer, settings)
    keeps_its_own = settings.format is None and "chat_template" in tokenizer.config
    return tokenizer if keeps_its_own else with_template(tokenizer, form.template)


def said_pieces(
    talks: Sequence[Messages],
    places: Sequence[str],
    setting: Setting,
    ledger: Ledger,
    *,
    shorten: Shorten,
    only_last: bool = False,
) -> list[Piece]:
    """For each conversation the piece that ends where the last said token is foretold; its notes are what is `Said`.

    A conversation over the limit loses whole exchanges first (`shorten`), then the end of what is left; both are
    counted. With `only_last` the last answer alone is foretold. Where nothing is said, a single token is left to read.
    """
    form, tokenizer = chat_format(setting.tokenizer, setting.settings), setting.tokenizer
    whole = form.encode_all(talks, tokenizer, reply=False)
    pieces = []
    for talk, where, tokens in zip(talks, places, whole, strict=True):
        kept, spoken = talk, _ended(tokens, talk, form, tokenizer)
        while len(spoken.ids) > setting.max_tokens + 1 and (shorter := shorten(kept)) is not kept:
            kept = shorter
            spoken = _ended(form.encode(kept, tokenizer, reply=False), kept, form, tokenizer)
        count_dropped(talk, kept, where, ledger)
        pieces.append(_piece(spoken, kept, setting, where, ledger, only_last=only_last))
    return pieces


def count_dropped(talk: Messages, kept: Messages, where: str, ledger: Ledger) -> None:
    """Tell the ledger of whole exchanges that the model doesn't see."""
    if kept is not talk:
        lost = sum(len(message.content) for message in talk) - sum(len(message.content) for message in kept)
        ledger.count(STAGE, TURNS_DROPPED, characters=lost, where=where)


def without_last(talk: Messages) -> Messages:
    """Without the last exchange; the conversation itself if it has one only."""
    starts = [place for place, message in enumerate(talk) if message.role == "user"]
    return talk[: starts[-1]] if len(starts) > 1 else talk


def without_first(talk: Messages) -> Messages:
    """Without the first exchange, but with the system's message; the conversation itself if it has one only."""
    starts = [place for place, message in enumerate(talk) if message.role == "user"]
    return [*talk[: starts[0]], *talk[starts[1] :]] if len(starts) > 1 else talk


def said_ids(encoded: Iterable[Encoded]) -> Tensor:
    """What is to be foretold at the spots of all pieces, (S)."""
    ids = chain.from_iterable(piece.notes.ids for example in encoded for piece in example.pieces)
    return torch.tensor(list(ids), dtype=torch.int64)


def said_states(model: Any, batch: Batch) -> Tensor:
    """The states from which the said tokens are foretold, (S, D)."""
    assert batch.spots_S is not None, "the batch of a conversation has spots"
    x_BLD: Tensor = model.hidden(batch.ids_BL, runs=batch.runs)
    return x_BLD.flatten(0, 1)[batch.spots_S.to(x_BLD.device)]


def said_nats(
    model: Any, encoded: Sequence[Encoded], batch_tokens: int, threads: int | None = None
) -> Iterator[list[Nats]]:
    """For each encoded example in turn and each of its pieces, −log p of every said token in nats, (S)."""

    def forward(pieces: Sequence[Piece]) -> list[Nats]:
        alone = [Encoded((piece,), None) for piece in pieces]
        batch = batch_of(alone, said_ids(alone), 0)
        x_SD = said_states(model, batch)
        nats_S = target_nats(x_SD, model.head_weight_VD, batch.targets.to(x_SD.device)).double().cpu().numpy()
        return np.split(nats_S, np.cumsum([len(piece.spots) for piece in pieces])[:-1])

    pieces = [piece for example in encoded for piece in example.pieces]
    nats = chain.from_iterable(in_passes(forward, fair_portions(pieces, batch_tokens, threads), threads))
    for example in encoded:
        yield [next(nats) for _ in example.pieces]


@dataclass(frozen=True, slots=True)
class _Spoken:
    """A conversation's ids, and which of them the assistant says; none follows the last of those."""

    ids: list[int]
    said: list[bool]


def _ended(tokens: tuple[list[int], list[bool]], talk: Messages, form: ChatFormat, tokenizer: Tokenizer) -> _Spoken:
    """Where the format has no token that ends an answer, the end of the text is said too."""
    ids, said = tokens
    if form.end is None and tokenizer.eos_id is not None and talk[-1].role == "assistant":
        return _Spoken([*ids, tokenizer.eos_id], [*said, True])
    end = max((place + 1 for place, own in enumerate(said) if own), default=len(ids))
    return _Spoken(ids[:end], said[:end])


def _piece(spoken: _Spoken, talk: Messages, setting: Setting, where: str, ledger: Ledger, *, only_last: bool) -> Piece:
    ids, said, limit = spoken.ids, spoken.said, setting.max_tokens
    first = max((place + 1 for place, own in enumerate(said) if not own), default=0) if only_last else 0
    spots = [place - 1 for place in range(max(1, first), min(len(ids), limit + 1)) if said[place]]
    targets = tuple(ids[spot + 1] for spot in spots)
    utf8_bytes = sum(len(message.content.encode()) for message in talk if message.role == "assistant")
    if len(ids) > limit + 1:
        ledger.count(STAGE, CUT, characters=len(setting.tokenizer.decode(ids[limit + 1 :])), where=where)
        utf8_bytes = len(setting.tokenizer.decode(targets).encode())
        if any(said) and not spots:
            ledger.count(STAGE, NO_ROOM, where=where)
    end = spots[-1] + 1 if spots else 1
    return Piece(ids[:end], [0] * end, spots, Said(targets, utf8_bytes))
