"""Passes through a model without gradient: packed portions of pieces, one portion on each core at a time.

Two passes of one thread each take less time than one after the other on two threads: nobody waits for anybody
(benchmarks/encode.py).
Axes: S spots, C columns of the head, D width.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from lexloom.base.parallel import available_cores
from lexloom.tasks.batches import pack
from lexloom.tasks.contract import Encoded, Floats, Piece, Setting

PORTION_TOKENS = 1024
"""Enough for full speed on a CPU: more tokens leave its caches."""
AHEAD = 2
"""Portions under way for each thread; the bound of memory."""

P = TypeVar("P")
R = TypeVar("R")


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


def in_passes(forward: Callable[[P], R], some: Sequence[P], threads: int | None = None) -> Iterator[R]:
    """`forward` of each portion, in order, without gradient; on `threads` threads (as many as there are cores if None).

    A portion alone, and everything on a GPU, is computed where it is.
    """
    threads = available_cores() if threads is None else threads
    if len(some) <= 1 or threads == 1 or torch.cuda.is_available():
        for portion in some:
            yield _without_gradient(forward, portion)
        return
    with ThreadPoolExecutor(threads, "pass", torch.set_num_threads, (1,)) as pool:
        left = iter(some)
        under_way: deque[Future[R]] = deque()
        while True:
            wanted = AHEAD * threads - len(under_way)
            under_way.extend(pool.submit(_without_gradient, forward, portion) for portion in islice(left, wanted))
            if not under_way:
                return
            yield under_way.popleft().result()


def _at_spots(
    model: Any, head: Callable[[Tensor], Tensor], encoded: Sequence[Encoded], batch_tokens: int, threads: int | None
) -> Iterator[list[Floats]]:
    def forward(pieces: Sequence[Piece]) -> list[Floats]:
        packed = pack(pieces)
        x_BLD = model.hidden(packed.ids_BL, runs=packed.runs, types_BL=packed.types_BL)
        outputs_SC = head(x_BLD.flatten(0, 1)[packed.spots_S.to(x_BLD.device)]).float().cpu().numpy()
        return np.split(outputs_SC, np.cumsum([len(piece.spots) for piece in pieces])[:-1])

    pieces = [piece for example in encoded for piece in example.pieces]
    outputs = chain.from_iterable(in_passes(forward, list(portions(pieces, batch_tokens)), threads))
    for example in encoded:
        yield [next(outputs) for _ in example.pieces]


def _without_gradient(forward: Callable[[P], R], portion: P) -> R:
    with torch.inference_mode():
        return forward(portion)
