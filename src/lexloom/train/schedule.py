"""The learning rate's course, as pure functions from a step to a share of the peak.

Steps count from 0. Phases are half-open, [start, stop): step `warmup` is the first at the full rate, and the final
share belongs to step `steps`, which is never taken, so that no step is wasted at a rate of zero.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from lexloom.train.settings import LoopSettings


@dataclass(frozen=True, slots=True)
class Shape:
    """Lengths that some schedules need, as shares of the steps after the warm-up: where the decay begins, and how long
    the warm-up was (one step at least)."""

    stable: float
    warmup: float


def lr_share(step: int, steps: int, settings: LoopSettings) -> float:
    """The share of the peak learning rate at `step` of `steps`: linear warm-up, then the schedule."""
    warmup = warmup_steps(steps, settings)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    after = max(1, steps - warmup)
    stable = 1 - settings.decay_share * steps / after
    shape = Shape(stable=max(0.0, stable), warmup=max(1, warmup) / after)
    height = SCHEDULES[settings.schedule](min(1.0, (step - warmup) / after), shape)
    return settings.final_lr_share + (1 - settings.final_lr_share) * height


def warmup_steps(steps: int, settings: LoopSettings) -> int:
    """How many steps warm up."""
    if settings.warmup_steps is not None:
        return min(settings.warmup_steps, steps)
    return round(settings.warmup_share * steps)


def _constant(progress: float, shape: Shape) -> float:
    return 1.0


def _cosine(progress: float, shape: Shape) -> float:
    """Loshchilov & Hutter 2017 (arXiv:1608.03983), one cycle."""
    return (1 + math.cos(math.pi * progress)) / 2


def _linear(progress: float, shape: Shape) -> float:
    return 1 - progress


def _warmup_stable_decay(progress: float, shape: Shape) -> float:
    """Full height, then 1 − √: the better cooldown in Hägele et al. 2024 (arXiv:2405.18392)."""
    if progress < shape.stable:
        return 1.0
    return 1 - math.sqrt((progress - shape.stable) / max(1e-12, 1 - shape.stable))


def _inverse_sqrt(progress: float, shape: Shape) -> float:
    """By the root of the steps (Vaswani et al. 2017, section 5.3): at four times the warm-up half of the peak."""
    return math.sqrt(shape.warmup / (shape.warmup + progress))


SCHEDULES: dict[str, Callable[[float, Shape], float]] = {
    "constant": _constant,
    "cosine": _cosine,
    "linear": _linear,
    "wsd": _warmup_stable_decay,
    "inverse_sqrt": _inverse_sqrt,
}
"""Each takes the progress after the warm-up, in [0, 1), and the lengths it needs; it gives a height in [0, 1]."""
