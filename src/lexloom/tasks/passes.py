"""Packed portions of pieces through a model without gradient.

Axes: S spots, C columns of the head, D width.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
from torch import Tensor

from lexloom.base.parallel import available_cores
from lexloom.nn.passes import in_passes
from lexloom.tasks.batches import pack
from lexloom.tasks.contract import Encoded, Floats, Piece, Setting

PORTION_TOKENS = 1024
"""Enough for full speed on a CPU: more tokens leave its caches."""


def head_outputs(
    model: Any, encoded: Sequence[Encoded], setting: Setting, batch_tokens: int, threads: int | None = None
) -> Iterator[list[Floats]]:
    """For each encoded example in turn, the head's outputs at the spots of its pieces (S, C)."""
    return _at_spots(model, model.scores, encoded, batch_tokens, threads)


def hidden_states(
    model: Any, encoded: Sequence[Encoded], setting: Setting, batch_tokens: int, threads: int | None = None
) -> Iterator[list[Floats]]:
    """The same without a head: the states themselves (S, D)."""
    return _at_spots(model, lambda x_SD: x_SD, encoded, batch_tokens, threads)


def portions(pieces: Iterable[Piece], tokens: int = PORTION_TOKENS) -> Iterator[list[Piece]]:
    """Neighbouring pieces of at most `tokens` in all; a longer piece is a portion of its own."""
    portion: list[Piece] = []
    filled = 0
    for piece in pieces:
        if portion and filled + len(piece.ids) > tokens:
            yield portion
            portion, filled = [], 0
        portion.append(piece)
        filled += len(piece.ids)
    if portion:
        yield portion


def fair_portions(
    pieces: Sequence[Piece], tokens: int = PORTION_TOKENS, threads: int | None = None
) -> list[list[Piece]]:
    """The same, of few pieces smaller ones, so that every thread (every core if None) has one to compute."""
    threads = available_cores() if threads is None else threads
    share = math.ceil(sum(len(piece.ids) for piece in pieces) / threads)
    return list(portions(pieces, min(tokens, share)))


def _at_spots(
    model: Any, head: Callable[[Tensor], Tensor], encoded: Sequence[Encoded], batch_tokens: int, threads: int | None
) -> Iterator[list[Floats]]:
    def forward(pieces: Sequence[Piece]) -> list[Floats]:
        packed = pack(pieces)
        x_BLD = model.hidden(packed.ids_BL, runs=packed.runs, types_BL=packed.types_BL)
        outputs_SC = head(x_BLD.flatten(0, 1)[packed.spots_S.to(x_BLD.device)]).float().cpu().numpy()
        return np.split(outputs_SC, np.cumsum([len(piece.spots) for piece in pieces])[:-1])

    pieces = [piece for example in encoded for piece in example.pieces]
    outputs = chain.from_iterable(in_passes(forward, fair_portions(pieces, batch_tokens, threads), threads))
    for example in encoded:
        yield [next(outputs) for _ in example.pieces]
