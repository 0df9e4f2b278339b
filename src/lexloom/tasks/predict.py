"""Predictions for examples, in batches of about equal tokens, whatever the lengths.

Axes: S spots, C columns.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from lexloom.base.ledger import Ledger
from lexloom.tasks.batches import pack
from lexloom.tasks.contract import Encoded, Floats, Piece, Prediction, Setting, Task
from lexloom.tasks.passes import PORTION_TOKENS, in_passes, portions

SORTED_EXAMPLES = 4096
"""Examples encoded and sorted by length at once; the bound of memory."""


def predict(
    model: Any,
    task: Task,
    examples: Sequence[Any],
    setting: Setting,
    *,
    ledger: Ledger,
    tick: Callable[[int], None] | None = None,
    batch_tokens: int = PORTION_TOKENS,
    threads: int | None = None,
) -> list[Prediction]:
    """One prediction per example, in their order; none depends on what else is in its batch.

    `tick(done)` is called after each with the number of examples that are done. `threads` portions are computed at a
    time, as many as there are cores if None.
    """
    model.eval()
    predictions: list[Prediction] = []
    for start in range(0, len(examples), SORTED_EXAMPLES):
        some = examples[start : start + SORTED_EXAMPLES]
        encoded = task.encode(some, setting, ledger)
        order = sorted(range(len(some)), key=lambda index: max(len(piece.ids) for piece in encoded[index].pieces))
        outputs = head_outputs(model, task, [encoded[index] for index in order], batch_tokens, threads)
        found: dict[int, Prediction] = {}
        for index, output in zip(order, outputs, strict=True):
            found[index] = task.decode(some[index], encoded[index], output, setting)
            if tick is not None:
                tick(start + len(found))
        predictions += [found[index] for index in range(len(some))]
    return predictions


def head_outputs(
    model: Any, task: Task, encoded: Sequence[Encoded], batch_tokens: int, threads: int | None = None
) -> Iterator[list[Floats]]:
    """For each encoded example in turn, the head's outputs of its pieces."""

    def forward(some: Sequence[Piece]) -> list[Floats]:
        return _outputs(model, task, some)

    pieces = [piece for example in encoded for piece in example.pieces]
    outputs = chain.from_iterable(in_passes(forward, list(portions(pieces, batch_tokens)), threads))
    for example in encoded:
        yield [next(outputs) for _ in example.pieces]


def _outputs(model: Any, task: Task, pieces: Sequence[Piece]) -> list[Floats]:
    packed = pack(pieces)
    x_BLD = model.hidden(packed.ids_BL, runs=packed.runs, types_BL=packed.types_BL)
    x_SD = x_BLD.flatten(0, 1)[packed.spots_S.to(x_BLD.device)]
    outputs_SC = (x_SD if task.head == "none" else model.scores(x_SD)).float().cpu().numpy()
    return np.split(outputs_SC, np.cumsum([len(piece.spots) for piece in pieces])[:-1])
