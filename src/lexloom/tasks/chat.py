"""Chat: a decoder learns to answer as the assistant of given conversations does (supervised fine-tuning).

A whole conversation is one piece, of which what the assistant says is foretold and nothing else (tasks/said.py). Models
are judged by how probable they find the answers that people gave, or by what they write themselves (`answers`).
Source: Ouyang et al. 2022 (InstructGPT), arXiv:2203.02155, section 3.4.
Axes: S said tokens.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import Field

from lexloom.base.ledger import Ledger
from lexloom.generate.settings import SamplingSettings
from lexloom.generate.text import Reply, collect, generate_text
from lexloom.labelled.conversations import stream_conversations
from lexloom.labelled.examples import Conversation
from lexloom.metrics import Likelihood, Metric, bits_per_byte, chrf, distinct, nats_per_token, repetition
from lexloom.nn.loss import vocabulary_loss
from lexloom.objectives.contract import Batch, Loss
from lexloom.tasks.batches import batch_of
from lexloom.tasks.contract import Encoded, Piece, Prediction, Setting, Task, Weighing
from lexloom.tasks.encoding import CUT, STAGE
from lexloom.tasks.passes import portions
from lexloom.tasks.said import (
    Messages,
    TalkSettings,
    chat_format,
    count_dropped,
    said_ids,
    said_nats,
    said_pieces,
    said_states,
    speaking,
    without_first,
    without_last,
)
from lexloom.text.chat import Message

GREEDY = SamplingSettings.model_validate({"temperature": 0})


class ChatSettings(TalkSettings):
    """Conversations to learn from, and how answers are judged."""

    answers: Literal["scored", "written"] = "scored"
    """`scored`: how probable the model finds the answers in the data. `written`: the model writes the last answer
    itself, always the best token, and it is compared with the one in the data."""
    reply_tokens: int = Field(default=256, gt=0)
    """The longest answer that is written."""


def encode(examples: Sequence[Conversation], setting: Setting, ledger: Ledger) -> list[Encoded]:
    """One piece for each conversation: of all of it, or where answers are to be written, of what precedes the last.

    Of a conversation that is to be learned later exchanges are dropped first, of one that is to be answered earlier.
    """
    if setting.settings.answers == "written":
        return [Encoded((_prompt(example, setting, ledger),), None) for example in examples]
    talks, places = [example.messages for example in examples], [example.where for example in examples]
    pieces = said_pieces(talks, places, setting, ledger, shorten=without_last)
    return [Encoded((piece,), piece.notes if piece.spots else None) for piece in pieces]


def collate(encoded: Sequence[Encoded], setting: Setting) -> Batch:
    """Targets are the said tokens (S)."""
    targets_S = said_ids(encoded)
    return batch_of(encoded, targets_S, len(targets_S))


def loss(model: Any, batch: Batch, setting: Setting, weighing: Weighing) -> Loss:
    """The sum of −log p over the said tokens, in nats. There are no labels to weigh or to smooth."""
    x_SD = said_states(model, batch)
    return Loss(vocabulary_loss(x_SD, model.head_weight_VD, batch.targets.to(x_SD.device)), batch.count)


def answer(
    model: Any, encoded: Sequence[Encoded], setting: Setting, batch_tokens: int, threads: int | None = None
) -> Iterator[list[Any]]:
    """For each conversation −log p of every said token (S), or the `Reply` that was written."""
    if setting.settings.answers == "scored":
        yield from said_nats(model, encoded, batch_tokens, threads)
        return
    for prompts in portions((example.pieces[0] for example in encoded), batch_tokens):
        yield from ([reply] for reply in _written(model, prompts, setting))


def decode(example: Conversation, encoded: Encoded, outputs: Sequence[Any], setting: Setting) -> Prediction:
    """The likelihood of the answers (none without answers); or what was written, and why it ends."""
    if setting.settings.answers == "written":
        [reply] = outputs
        return {"reply": reply.text.strip(), "finish": reply.finish}
    [nats_S] = outputs
    if encoded.target is None:
        return {}
    return {"nats": float(nats_S.sum()), "tokens": len(encoded.target.ids), "utf8_bytes": encoded.target.utf8_bytes}


def judge(setting: Setting) -> tuple[Metric, ...]:
    """What the answers of the data cost; or how near what was written comes to them, and how varied it is."""
    if setting.settings.answers == "written":
        return chrf(), distinct(2), repetition(4)
    return bits_per_byte(), nats_per_token()


def plain(prediction: Prediction) -> Any:
    """The likelihood, or the written text."""
    if "reply" in prediction:
        return prediction["reply"]
    return Likelihood(prediction["nats"], prediction["tokens"], prediction["utf8_bytes"])


def reference(example: Conversation, setting: Setting) -> Any:
    """All answers, or the last one where it is to be written."""
    if not example.answers:
        return None
    if setting.settings.answers == "scored":
        return list(example.answers)
    return example.answers[-1] if example.messages[-1].role == "assistant" else None


def _prompt(example: Conversation, setting: Setting, ledger: Ledger) -> Piece:
    """What precedes the last answer, up to where the assistant speaks."""
    form, talk = chat_format(setting.tokenizer, setting.settings), example.messages

    def ids_of(some: Messages) -> list[int]:
        return form.encode(some, setting.tokenizer, reply=True)[0]

    asked: Messages = talk[:-1] if talk[-1].role == "assistant" else talk
    kept, ids = asked, ids_of(asked)
    while len(ids) > setting.max_tokens and (shorter := without_first(kept)) is not kept:
        kept, ids = shorter, ids_of(shorter)
    count_dropped(asked, kept, example.where, ledger)
    lost = 0
    while len(ids) > setting.max_tokens and kept[-1].content:
        before = kept[-1].content
        kept = [*kept[:-1], Message("user", _shorter(before, len(ids) - setting.max_tokens, setting))]
        ids, lost = ids_of(kept), lost + len(before) - len(kept[-1].content)
    if lost:
        ledger.count(STAGE, CUT, characters=lost, where=example.where)
    return Piece(ids[-setting.max_tokens :], [0] * min(len(ids), setting.max_tokens), [])


def _shorter(text: str, tokens: int, setting: Setting) -> str:
    """The text without at least so many of its last tokens."""
    [(ids, offsets)] = setting.tokenizer.encode_with_offsets([text])
    return text[: offsets[len(ids) - tokens][0]] if tokens < len(ids) else ""


def _written(model: Any, prompts: Sequence[Piece], setting: Setting) -> list[Reply]:
    """What the model answers; nothing where a prompt fills its context."""
    form, tokenizer = chat_format(setting.tokenizer, setting.settings), setting.tokenizer
    rooms = [min(setting.settings.reply_tokens, model.config.context - len(prompt.ids)) for prompt in prompts]
    asked = [number for number, room in enumerate(rooms) if room > 0]
    sampling = [GREEDY.model_copy(update={"max_tokens": rooms[number], "stop": form.stop}) for number in asked]
    ids, ends = [prompts[number].ids for number in asked], form.end_ids(tokenizer)
    pieces = generate_text(model, tokenizer, ids, sampling, eos_ids=ends)
    replies = dict(zip(asked, collect(pieces, len(asked)), strict=True))
    return [replies.get(number, Reply(finish="length")) for number in range(len(prompts))]


CHAT = Task(
    settings=ChatSettings,
    when_predicting={"answers": "written"},
    tokenizer=speaking,
    stream=stream_conversations,
    labels=lambda examples, settings: (),
    needs=("decoder",),
    head="none",
    columns=lambda labels: 0,
    encode=encode,
    collate=collate,
    loss=loss,
    answer=answer,
    decode=decode,
    judge=judge,
    plain=plain,
    reference=reference,
)
