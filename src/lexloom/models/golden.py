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


def make_golden(model: Any) -> list[dict[str, Any]]:
    """A few inputs, the same for every model of this vocabulary and context, with their log-probabilities.

    Raises UserError if the model gives non-finite scores.
    """
    length = min(INPUT_TOKENS, model.config.context)
    rng = generator("golden", model.config.vocab_size, length)
    inputs: list[list[int]] = rng.integers(model.config.vocab_size, size=(INPUTS, length)).tolist()
    outputs = [token_log_probs(model, ids) for ids in inputs]
    if not all(math.isfinite(value) for log_probs in outputs for value in log_probs):
        raise UserError("the model gives non-finite scores", fix="Go back to an earlier checkpoint.")
    return [{"ids": ids, "log_probs": log_probs} for ids, log_probs in zip(inputs, outputs, strict=True)]


def check_golden(model: Any, golden: Any, *, where: str) -> None:
    """Replay golden inputs, or raise DamagedError saying how far the model is off."""
    _check_form(golden, model.config, where)
    for entry in golden:
        found, expected = token_log_probs(model, entry["ids"]), entry["log_probs"]
        error = max((abs(a - b) for a, b in zip(found, expected, strict=True)), default=0.0)
        if not error <= TOLERANCE_NATS:
            raise DamagedError(
                f"the model is not the one that was saved: a stored log-probability is off by {error:.3g}",
                where=where,
                fix="Copy the folder again from where it was whole.",
            )


def token_log_probs(model: Any, ids: Sequence[int]) -> list[float]:
    """log p(ids[t] | ids[:t]) in nats for t = 1 … len − 1, without dropout."""
    training = model.training
    model.eval()
    with torch.inference_mode():
        ids_BL = torch.tensor([list(ids)], dtype=torch.int64)
        log_probs_BLV = torch.log_softmax(model(ids_BL)[:, :-1], dim=-1)
        values: list[float] = log_probs_BLV.gather(2, ids_BL[:, 1:, None]).flatten().tolist()
    model.train(training)
    return values


def _check_form(golden: Any, config: Any, where: str) -> None:
    """The file may be anybody's: bound everything before the model sees it."""
    sound = isinstance(golden, list) and len(golden) <= MAX_INPUTS
    for entry in golden if sound else ():
        sound = sound and isinstance(entry, dict) and entry.keys() >= {"ids", "log_probs"}
        sound = sound and all(isinstance(entry[key], list) for key in ("ids", "log_probs"))
        sound = sound and 1 <= len(entry["ids"]) <= config.context and len(entry["log_probs"]) == len(entry["ids"]) - 1
        sound = sound and all(type(token) is int and 0 <= token < config.vocab_size for token in entry["ids"])
        sound = sound and all(type(value) in (int, float) for value in entry["log_probs"])
    if not sound:
        raise DamagedError("has malformed golden inputs", where=where)
