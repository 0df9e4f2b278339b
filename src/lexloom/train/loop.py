"""The training loop: a generator with one report per optimizer step.

Logging, evaluation, checkpoints and the progress bar are its consumers (stages/pretrain.py); between two reports the
model is at rest and may be measured or saved. The loop's whole state is in the model, the optimizer and `Progress`:
the order of the data and every random draw are pure functions of the seed and the position.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from lexloom.base.rng import generator
from lexloom.objectives.contract import Objective
from lexloom.train import guard, parallel
from lexloom.train.compiling import Compiled
from lexloom.train.course import Course, Units, bounded_portions, evenly_spread, to_device_of
from lexloom.train.optim import Optimizer
from lexloom.train.parallel import Gradient
from lexloom.train.schedule import lr_share
from lexloom.train.settings import LoopSettings

NORM_EPSILON = 1e-6


@dataclass(frozen=True)
class Progress:
    """Where a run is: steps done, tokens read in them, and how many in a row were skipped at the end."""

    step: int = 0
    tokens: int = 0
    skipped_in_a_row: int = 0


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """One optimizer step: `loss` in nats per target, `lr` as taken, `grad_norm` before clipping.

    `skipped` says why the weights were left alone, and `units` with which batch; None and empty if they were not.
    """

    progress: Progress
    loss: float
    lr: float
    grad_norm: float
    units: list[int]
    seconds: float
    skipped: str | None


def train(
    model: nn.Module,
    course: Course,
    optimizer: Optimizer,
    progress: Progress | None = None,
    *,
    compiled: bool = False,
) -> Iterator[StepReport]:
    """Take the steps that are left of `course`, one report each.

    Raises RunStopped after `max_skipped_steps` non-finite steps in a row, having reported each of them.
    """
    settings = course.settings
    progress = Progress() if progress is None else progress
    pool = parallel.replica_pool(settings.worker_threads, torch.get_num_threads())
    forward = Compiled(model) if compiled else model
    while progress.step < course.steps:
        started = time.monotonic()
        model.train()
        share = lr_share(progress.step, course.steps, settings)
        gradient = parallel.gradient_of(
            course.losses(forward, progress.step), list(optimizer.parameters.values()), pool
        )
        norm, reason = take_step(optimizer, gradient, share, settings.grad_clip)
        report = StepReport(
            progress=_advanced(progress, course, skipped=reason is not None),
            loss=gradient.loss_sum / max(1, gradient.count),
            lr=optimizer.peak_lr * share,
            grad_norm=norm,
            units=[] if reason is None else course.chosen(progress.step),
            seconds=time.monotonic() - started,
            skipped=reason,
        )
        progress = report.progress
        yield report
        if reason is not None:
            guard.check_skipped(
                progress.skipped_in_a_row, settings.max_skipped_steps, step=progress.step, reason=reason
            )


def take_step(
    optimizer: Optimizer, gradient: Gradient, lr_share: float, grad_clip: float | None
) -> tuple[float, str | None]:
    """Divide, clip and apply a gradient, unless the guard objects; returns its norm and the guard's reason."""
    norm = float(torch.nn.utils.get_total_norm(gradient.tensors)) / max(1, gradient.count)
    reason = guard.problem(gradient, norm, list(optimizer.parameters))
    if reason is None:
        clip = 1.0 if grad_clip is None else min(1.0, grad_clip / (norm + NORM_EPSILON))
        torch._foreach_mul_(gradient.tensors, clip / gradient.count)
        optimizer.step(gradient.tensors, lr_share)
    return norm, reason


@torch.no_grad()
def mean_loss(
    model: nn.Module, objective: Objective, units: Units, settings: LoopSettings, *, most: int | None = None
) -> float:
    """Nats per target over all `units`, or `most` of them, evenly spread; without dropout."""
    model.eval()
    total, count = 0.0, 0
    for indices in bounded_portions(units, evenly_spread(len(units), most), settings.micro_tokens):
        batch = objective.make_batch(units, indices, lambda row: generator("evaluate", settings.seed, indices[row]))  # noqa: B023
        loss = objective.loss(model, to_device_of(model, batch))
        total, count = total + float(loss.sum), count + loss.count
    return total / max(1, count)


def _advanced(progress: Progress, course: Course, *, skipped: bool) -> Progress:
    tokens = progress.tokens + course.tokens(progress.step)
    return Progress(progress.step + 1, tokens, progress.skipped_in_a_row + 1 if skipped else 0)
