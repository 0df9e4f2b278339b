"""Golden inputs: a model folder carries a few inputs with their outputs, replayed whenever it is loaded.

Axes: B batch, L length, C columns of the output (words, labels, or the width of a model without a head).
"""

import math
from collections.abc import Sequence
from typing import Any

import torch

from lexloom.base.errors import DamagedError, UserError
from lexloom.base.rng import generator

INPUTS = 3
INPUT_TOKENS = 16
MAX_INPUTS = 64
TOLERANCE = 1e-3  # of the largest output or of 1; other threads and machines differ by 1e-5, a wrong tensor by wholes


def make_golden(model: Any) -> dict[str, Any]:
    """A few inputs, the same for every model of this vocabulary and context, with an output at every token.

    Returns `{"ids": B × L, "outputs": B × L}`; raises UserError if the model gives non-finite scores.
    """
    length = min(INPUT_TOKENS, model.config.context)
    rng = generator("golden", model.config.vocab_size, length)
    ids: list[list[int]] = rng.integers(model.config.vocab_size, size=(INPUTS, length)).tolist()
    outputs = _outputs(model, ids)
    if not all(math.isfinite(value) for row in outputs for value in row):
        raise UserError("the model gives non-finite scores", fix="Go back to an earlier checkpoint.")
    return {"ids": ids, "outputs": outputs}


def check_golden(model: Any, golden: Any, *, where: str) -> None:
    """Replay golden inputs, or raise DamagedError saying how far the model is off."""
    if not _well_formed(golden, model.config):
        raise DamagedError("has malformed golden inputs", where=where)
    pairs = zip(_outputs(model, golden["ids"]), golden["outputs"], strict=True)
    errors = [abs(a - b) for ours, stored in pairs for a, b in zip(ours, stored, strict=True)]
    largest = max(abs(value) for row in golden["outputs"] for value in row)
    if not all(error <= TOLERANCE * max(1.0, largest) for error in errors):
        raise DamagedError(
            f"the model is not the one that was saved: a stored output is off by {max(errors):.3g}",
            where=where,
            fix="Copy the folder again from where it was whole.",
        )


def _outputs(model: Any, ids: Sequence[Sequence[int]]) -> list[list[float]]:
    """Of the output at token t, which has C columns, the one of number ids[t] modulo C; without dropout."""
    training = model.training
    model.eval()
    with torch.inference_mode():
        ids_BL = torch.tensor(ids, dtype=torch.int64, device=next(model.parameters()).device)
        outputs_BLC = model(ids_BL)
        columns_BL1 = (ids_BL % outputs_BLC.shape[-1]).unsqueeze(-1)
        values: list[list[float]] = outputs_BLC.gather(2, columns_BL1).squeeze(2).tolist()
    model.train(training)
    return values


def _well_formed(golden: Any, config: Any) -> bool:
    """The file may be anybody's: bound everything before the model sees it."""
    if not isinstance(golden, dict) or not all(isinstance(golden.get(key), list) for key in ("ids", "outputs")):
        return False
    ids, outputs = golden["ids"], golden["outputs"]
    if not 1 <= len(ids) == len(outputs) <= MAX_INPUTS or not all(isinstance(row, list) for row in ids + outputs):
        return False
    length = len(ids[0])
    return (
        1 <= length <= config.context
        and all(len(row) == length for row in ids + outputs)
        and all(type(token) is int and 0 <= token < config.vocab_size for row in ids for token in row)
        and all(type(value) in (int, float) for row in outputs for value in row)
    )
