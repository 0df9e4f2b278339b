"""The learning rate's course, as pure functions from a step to a share of the peak.

Steps count from 0. Phases are half-open, [start, stop): step `warmup` is the first at the full rate, and the final
share belongs to step `steps`, which is never taken, so that no step is wasted at a rate of zero.
"""

import math
from collections.abc import Callable

from lexloom.train.settings import LoopSettings


def lr_share(step: int, steps: int, settings: LoopSettings) -> float:
    """The share of the peak learning rate at `step` of `steps`: linear warm-up, then the schedule."""
    warmup = warmup_steps(steps, settings)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(1, steps - warmup)
    stable = 1 - settings.decay_share * steps / max(1, steps - warmup)
    height = SCHEDULES[settings.schedule](min(1.0, progress), max(0.0, stable))
    return settings.final_lr_share + (1 - settings.final_lr_share) * height


def warmup_steps(steps: int, settings: LoopSettings) -> int:
    """How many steps warm up."""
    if settings.warmup_steps is not None:
        return min(settings.warmup_steps, steps)
    return round(settings.warmup_share * steps)


def _constant(progress: float, stable: float) -> float:
    return 1.0


def _cosine(progress: float, stable: float) -> float:
    """Loshchilov & Hutter 2017 (arXiv:1608.03983), one cycle."""
    return (1 + math.cos(math.pi * progress)) / 2


def _linear(progress: float, stable: float) -> float:
    return 1 - progress


def _warmup_stable_decay(progress: float, stable: float) -> float:
    """Full height, then 1 − √: the better cooldown in Hägele et al. 2024 (arXiv:2405.18392)."""
    if progress < stable:
        return 1.0
    return 1 - math.sqrt((progress - stable) / max(1e-12, 1 - stable))


SCHEDULES: dict[str, Callable[[float, float], float]] = {
    "constant": _constant,
    "cosine": _cosine,
    "linear": _linear,
    "wsd": _warmup_stable_decay,
}
"""Each takes the progress after the warm-up, in [0, 1), and where the decay begins; it gives a height in [0, 1]."""
