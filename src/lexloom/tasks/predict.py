"""Predictions for examples, in batches of about equal tokens, whatever the lengths.

Axes: S spots, C columns.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from lexloom.base.ledger import Ledger
from lexloom.tasks.batches import pack
from lexloom.tasks.contract import Encoded, Floats, Piece, Prediction, Setting, Task

BATCH_TOKENS = 4096
"""Enough for full speed on a CPU: more tokens leave its caches."""
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
    batch_tokens: int = BATCH_TOKENS,
) -> list[Prediction]:
    """One prediction per example, in their order; none depends on what else is in its batch.

    `tick(done)` is called after each with the number of examples that are done.
    """
    model.eval()
    predictions: list[Prediction] = []
    for start in range(0, len(examples), SORTED_EXAMPLES):
        some = examples[start : start + SORTED_EXAMPLES]
        encoded = task.encode(some, setting, ledger)
        order = sorted(range(len(some)), key=lambda index: max(len(piece.ids) for piece in encoded[index].pieces))
        outputs = head_outputs(model, task, [encoded[index] for index in order], batch_tokens)
        found: dict[int, Prediction] = {}
        for index, output in zip(order, outputs, strict=True):
            found[index] = task.decode(some[index], encoded[index], output, setting)
            if tick is not None:
                tick(start + len(found))
        predictions += [found[index] for index in range(len(some))]
    return predictions


def head_outputs(model: Any, task: Task, encoded: Sequence[Encoded], batch_tokens: int) -> Iterator[list[Floats]]:
    """For each encoded example in turn, the head's outputs of its pieces."""
    pieces = [piece for example in encoded for piece in example.pieces]
    outputs = (output for batch in _batches(pieces, batch_tokens) for output in _forward(model, task, batch))
    for example in encoded:
        yield [next(outputs) for _ in example.pieces]


def _batches(pieces: Sequence[Piece], batch_tokens: int) -> Iterator[list[Piece]]:
    batch: list[Piece] = []
    tokens = 0
    for piece in pieces:
        if batch and tokens + len(piece.ids) > batch_tokens:
            yield batch
            batch, tokens = [], 0
        batch.append(piece)
        tokens += len(piece.ids)
    if batch:
        yield batch


@torch.inference_mode()
def _forward(model: Any, task: Task, pieces: Sequence[Piece]) -> list[Floats]:
    packed = pack(pieces)
    x_BLD = model.hidden(packed.ids_BL, runs=packed.runs, types_BL=packed.types_BL)
    x_SD = x_BLD.flatten(0, 1)[packed.spots_S.to(x_BLD.device)]
    outputs_SC = (x_SD if task.head == "none" else model.scores(x_SD)).float().cpu().numpy()
    return np.split(outputs_SC, np.cumsum([len(piece.spots) for piece in pieces])[:-1])
