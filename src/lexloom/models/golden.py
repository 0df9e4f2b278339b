"""Golden inputs: a model folder carries a few inputs with their outputs, replayed whenever it is loaded.

Axes: B batch, L length, V vocabulary.
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
TOLERANCE_NATS = 1e-3  # other threads and machines differ by 1e-5; a wrong tensor by whole nats


def make_golden(model: Any) -> dict[str, Any]:
    """A few inputs, the same for every model of this vocabulary and context, with their log-probabilities.

    Returns `{"ids": B × L, "log_probs": B × (L − 1)}`; raises UserError if the model gives non-finite scores.
    """
    length = min(INPUT_TOKENS, model.config.context)
    rng = generator("golden", model.config.vocab_size, length)
    ids: list[list[int]] = rng.integers(model.config.vocab_size, size=(INPUTS, length)).tolist()
    log_probs = _token_log_probs(model, ids)
    if not all(math.isfinite(value) for row in log_probs for value in row):
        raise UserError("the model gives non-finite scores", fix="Go back to an earlier checkpoint.")
    return {"ids": ids, "log_probs": log_probs}


def check_golden(model: Any, golden: Any, *, where: str) -> None:
    """Replay golden inputs, or raise DamagedError saying how far the model is off."""
    if not _well_formed(golden, model.config):
        raise DamagedError("has malformed golden inputs", where=where)
    found = _token_log_probs(model, golden["ids"])
    pairs = zip(found, golden["log_probs"], strict=True)
    errors = [abs(a - b) for ours, stored in pairs for a, b in zip(ours, stored, strict=True)]
    if not all(error <= TOLERANCE_NATS for error in errors):
        raise DamagedError(
            f"the model is not the one that was saved: a stored log-probability is off by {max(errors):.3g}",
            where=where,
            fix="Copy the folder again from where it was whole.",
        )


def _token_log_probs(model: Any, ids: Sequence[Sequence[int]]) -> list[list[float]]:
    """log p(ids[t] | ids[:t]) in nats for t = 1 … L − 1 of every row, without dropout."""
    training = model.training
    model.eval()
    with torch.inference_mode():
        ids_BL = torch.tensor(ids, dtype=torch.int64, device=next(model.parameters()).device)
        log_probs_BLV = torch.log_softmax(model(ids_BL)[:, :-1], dim=-1)
        values: list[list[float]] = log_probs_BLV.gather(2, ids_BL[:, 1:, None]).squeeze(2).tolist()
    model.train(training)
    return values


def _well_formed(golden: Any, config: Any) -> bool:
    """The file may be anybody's: bound everything before the model sees it."""
    if not isinstance(golden, dict) or not all(isinstance(golden.get(key), list) for key in ("ids", "log_probs")):
        return False
    ids, log_probs = golden["ids"], golden["log_probs"]
    if not 1 <= len(ids) == len(log_probs) <= MAX_INPUTS or not all(isinstance(row, list) for row in ids + log_probs):
        return False
    length = len(ids[0])
    return (
        1 <= length <= config.context
        and all(len(row) == length for row in ids)
        and all(len(row) == length - 1 for row in log_probs)
        and all(type(token) is int and 0 <= token < config.vocab_size for row in ids for token in row)
        and all(type(value) in (int, float) for row in log_probs for value in row)
    )
