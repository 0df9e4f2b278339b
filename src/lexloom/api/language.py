"""Models that write, from Python.

Axes: B batch, L length, V vocabulary.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

import torch
from torch import Tensor

from lexloom.base.errors import UserError
from lexloom.base.recipe import check
from lexloom.evaluate.scoring import score_documents
from lexloom.generate.constraints import Constraint
from lexloom.generate.prompts import check_ids
from lexloom.generate.reply import (
    Found,
    answer,
    chat_format,
    continue_texts,
    search_texts,
    start_id,
    tokenizer_of,
)
from lexloom.generate.settings import BeamSettings, SamplingSettings
from lexloom.generate.text import Piece
from lexloom.models.folder import ModelFolder
from lexloom.text.chat import Message
from lexloom.text.tokenizers import Tokenizer

Ids = Sequence[int] | Sequence[Sequence[int]] | Tensor
Turn = Message | Mapping[str, str]


@dataclass(frozen=True)
class Score:
    """How probable a model finds a text."""

    bits_per_byte: float
    """Of the text's UTF-8; comparable between models with different tokenizers."""
    tokens: list[int]
    logprobs: list[float]
    """The natural log-probability of each token; the first one follows the bos or else the eos token."""


class LanguageModel:
    """A model that writes and scores text; get one from `lexloom.load`."""

    def __init__(self, contents: ModelFolder, path: Path) -> None:
        self.path = path
        self._contents = contents

    @property
    def tokenizer(self) -> Tokenizer:
        """Text to ids and back."""
        return tokenizer_of(self._contents)

    @property
    def config(self) -> Any:
        """The frozen Config of the model's family: `vocab_size`, `context`, `width`, `layers` and so on."""
        return self._contents.model.config

    @property
    def family(self) -> str:
        """The architecture, such as `gpt` or `llama`."""
        return self._contents.family

    @property
    def module(self) -> Any:
        """The torch module."""
        return self._contents.model

    @torch.no_grad()
    def logits(self, ids: Ids) -> Tensor:
        """The score of every possible next token after each token: ids (L) or (B, L) → float32 (B, L, V).

        `ids` are lists or an integer tensor; rows must have one length. Raises UserError for anything that isn't an id
        of the vocabulary and for more tokens than the context.
        """
        logits_BLV: Tensor = self._contents.model(_as_batch(ids, self.config.vocab_size))
        return logits_BLV

    @overload
    def generate(
        self, text: str, *, stream: Literal[False] = False, constraint: Constraint | None = None, **settings: Any
    ) -> str: ...
    @overload
    def generate(
        self, text: str, *, stream: Literal[True], constraint: Constraint | None = None, **settings: Any
    ) -> Iterator[str]: ...
    def generate(
        self, text: str, *, stream: bool = False, constraint: Constraint | None = None, **settings: Any
    ) -> str | Iterator[str]:
        """Continue a text; returns the new text only, or with `stream` its pieces as they come.

        `settings` are the fields of `SamplingSettings`: max_tokens, temperature, top_k, top_p, min_p,
        repetition_penalty, seed, stop, min_tokens, no_repeat_ngram. `constraint` is a form that the new text keeps,
        from `generate.constraints`: choices, regex, json_schema. An empty text begins a document.
        Example: `model.generate("明月", max_tokens=40, temperature=0.7, seed=1, stop=["\\n"])`.
        Raises UserError for settings out of range and for a prompt and reply longer than the context.
        """
        pieces = continue_texts(self._contents, [text], _sampling(settings), constraint=constraint)
        return _texts(pieces) if stream else "".join(_texts(pieces))

    def search(self, text: str, **settings: Any) -> list[Found]:
        """The most probable continuations that a beam search finds, the best one first, with their scores.

        `settings` are the fields of `BeamSettings`: beams, n_best, length_penalty, max_tokens, min_tokens,
        no_repeat_ngram. Raises what `generate` raises.
        """
        (found,) = search_texts(self._contents, [text], check(BeamSettings, settings, where="search"))
        return found

    @overload
    def chat(
        self, messages: Sequence[Turn], *, format: str | None = None, stream: Literal[False] = False, **settings: Any
    ) -> str: ...
    @overload
    def chat(
        self, messages: Sequence[Turn], *, format: str | None = None, stream: Literal[True], **settings: Any
    ) -> Iterator[str]: ...
    def chat(
        self, messages: Sequence[Turn], *, format: str | None = None, stream: bool = False, **settings: Any
    ) -> str | Iterator[str]:
        """Answer a conversation of `{"role": "user", "content": "…"}` messages.

        `format` names the chat format; left out, the one that the folder was made for. Nothing inside a message can
        become a control token. Otherwise as `generate`.
        """
        turns = [turn if isinstance(turn, Message) else _message(turn) for turn in messages]
        pieces = answer(self._contents, turns, chat_format(self.path, format), _sampling(settings))
        return _texts(pieces) if stream else "".join(_texts(pieces))

    def score(self, text: str) -> Score:
        """How probable the model finds a text: bits per byte, and the log-probability of each token.

        A text longer than the context is read in overlapping windows, see `evaluate.scoring`.
        """
        tokens = self.tokenizer.encode(text)
        if not tokens:
            raise UserError("there is nothing to score in an empty text")
        (scored,) = score_documents(self._contents.model, [tokens], start_id=start_id(self._contents))
        logprobs = scored.tolist()
        return Score(-math.fsum(logprobs) / math.log(2) / len(text.encode()), tokens, logprobs)

    def __repr__(self) -> str:
        return f"LanguageModel({str(self.path)!r}, family={self.family!r})"


def _as_batch(ids: Ids, vocab_size: int) -> Tensor:
    rows: Any = ids.tolist() if isinstance(ids, Tensor) else ids
    if isinstance(rows, Sequence) and rows and not isinstance(rows[0], Sequence):
        rows = [rows]
    if not isinstance(rows, Sequence) or not rows or not rows[0]:
        raise UserError("there are no ids", fix="Give a list of ids, or a list of such lists.")
    if len({len(row) for row in rows}) > 1:
        raise UserError("the rows have different lengths", fix="Give rows of one length, or one row at a time.")
    for row in rows:
        check_ids(row, vocab_size)
    return torch.tensor(rows)


def _sampling(settings: Mapping[str, Any]) -> SamplingSettings:
    return check(SamplingSettings, dict(settings), where="generate")


def _message(turn: Mapping[str, str]) -> Message:
    if turn.keys() != {"role", "content"}:
        raise UserError(f"a message has a role and a content, not {', '.join(turn)}")
    role: Any = turn["role"]
    return Message(role, turn["content"])


def _texts(pieces: Iterator[Piece]) -> Iterator[str]:
    return (piece.text for piece in pieces if piece.text)
