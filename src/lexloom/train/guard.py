"""The guard: a non-finite loss or gradient never reaches the weights, and is never hidden in the log.

It looks before the optimizer's step, so a refused step leaves parameters and optimizer state as they were, bit for bit.
There are no statistics of past steps that a bad value could poison (reliability T8, T9).
"""

import math
from collections.abc import Sequence

from lexloom.base.errors import RunStopped
from lexloom.train.parallel import Gradient


def problem(gradient: Gradient, norm: float, names: Sequence[str]) -> str | None:
    """Why a step must not be taken, or None. `norm` is that of the whole gradient, `names` those of its tensors."""
    if gradient.count == 0:
        return "the batch has no targets"
    if not math.isfinite(gradient.loss_sum):
        return f"the loss is {gradient.loss_sum}"
    if not math.isfinite(norm):
        culprits = (name for name, tensor in zip(names, gradient.tensors, strict=True) if not tensor.isfinite().all())
        return f"the gradient of {next(culprits, 'all parameters together')} is not finite"
    return None


def check_skipped(in_a_row: int, allowed: int, *, step: int, reason: str) -> None:
    """Raise RunStopped once `allowed` steps in a row had to be skipped."""
    if in_a_row >= allowed:
        raise RunStopped(
            f"stopped at step {step}: {in_a_row} steps in a row had to be skipped, the last because {reason}",
            fix="Lower train.lr, or look at the batches that metrics.jsonl names under kind=skipped.",
        )
