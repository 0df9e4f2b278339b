"""Texts as vectors: the encoder's states, averaged over a text's tokens or taken at its first one.

Source: Reimers and Gurevych 2019 (Sentence-BERT); the numbers are those of sentence-transformers.
Axes: N texts, D width, T tokens of a portion (flattened).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from lexloom.base.ledger import Ledger
from lexloom.models.sentences import Pooling
from lexloom.nn.passes import in_passes
from lexloom.tasks.batches import pack
from lexloom.tasks.contract import Piece, Setting
from lexloom.tasks.encoding import cut_pieces
from lexloom.tasks.passes import fair_portions
from lexloom.text.tokenizers import Tokenizer

Vectors = NDArray[np.float32]

PLAIN = Pooling(mode="mean", normalise=False)
"""For an encoder whose folder doesn't say how its states are pooled."""


def embed(
    model: Any,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    pooling: Pooling = PLAIN,
    *,
    ledger: Ledger | None = None,
    places: Sequence[str] | None = None,
    tick: Callable[[int], None] | None = None,
) -> Vectors:
    """One vector for each text, (N, D), in float32.

    Texts longer than `pooling.max_tokens` (or the model's context) are cut; `ledger` counts what is lost, at `places`.
    `tick` is told how many texts are done. The model must be in evaluation mode.
    """
    setting = Setting(tokenizer=tokenizer, settings=None, labels=(), max_tokens=limit_of(model, pooling))
    where = [f"text {number}" for number in range(1, len(texts) + 1)] if places is None else places
    pieces = cut_pieces([(text,) for text in texts], where, setting, Ledger() if ledger is None else ledger)
    order = sorted(range(len(pieces)), key=lambda number: len(pieces[number].ids))
    vectors_ND = np.empty((len(pieces), model.config.width), np.float32)
    done = 0
    for some_RD in _vectors(model, [pieces[number] for number in order], pooling):
        vectors_ND[order[done : done + len(some_RD)]] = some_RD
        done += len(some_RD)
        if tick is not None:
            tick(done)
    return vectors_ND


def limit_of(model: Any, pooling: Pooling) -> int:
    """Tokens, special ones included, beyond which a text is cut."""
    context: int = model.config.context
    return context if pooling.max_tokens is None else min(pooling.max_tokens, context)


def _vectors(model: Any, pieces: Sequence[Piece], pooling: Pooling) -> Iterator[Vectors]:
    def forward(portion: list[Piece]) -> Vectors:
        vectors: Vectors = _pooled(model, portion, pooling).float().cpu().numpy()
        return vectors

    return in_passes(forward, fair_portions(pieces))


def _pooled(model: Any, pieces: Sequence[Piece], pooling: Pooling) -> Tensor:
    """The vectors of a portion of pieces, shortest first, (N, D)."""
    packed = pack(pieces)
    x_TD: Tensor = model.hidden(packed.ids_BL, runs=packed.runs, types_BL=packed.types_BL).flatten(0, 1)
    texts = torch.split(x_TD, list(packed.runs))
    x_ND = torch.stack([x_LD[0] if pooling.mode == "cls" else x_LD.mean(0) for x_LD in texts])
    return functional.normalize(x_ND, dim=-1) if pooling.normalise else x_ND
