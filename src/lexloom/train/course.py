"""What a run trains on: which windows belong to which step, as a pure function of the seed and the step."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial

import numpy as np
from torch import nn

from lexloom.base.rng import generator
from lexloom.data.batches import Windows
from lexloom.data.order import shuffled_many
from lexloom.nn.dropout import seed_dropout
from lexloom.objectives.contract import Batch, Loss, Objective
from lexloom.train.parallel import rank_and_size
from lexloom.train.settings import TrainSettings


@dataclass(frozen=True, kw_only=True)
class Course:
    """An objective on the windows of a training split, in the order and portions that the settings name.

    `steps` optimizer steps take `total_windows` windows; the last step may be a short one.
    """

    objective: Objective
    windows: Windows
    settings: TrainSettings
    steps: int
    total_windows: int

    def positions(self, step: int) -> range:
        """The positions in the endless shuffled stream of windows that `step` (from 0) takes."""
        portion = self.settings.batch_windows
        return range(step * portion, min((step + 1) * portion, self.total_windows))

    def chosen(self, step: int) -> list[int]:
        """The windows of a step."""
        return self._windows_at(self.positions(step))

    def epoch(self, steps_done: int) -> float:
        """How many times the split has been read."""
        return min(steps_done * self.settings.batch_windows, self.total_windows) / len(self.windows)

    def tokens(self, step: int) -> int:
        """Tokens that a step reads."""
        return len(self.positions(step)) * self.settings.context

    def losses(self, model: nn.Module, step: int) -> list[Callable[[], Loss]]:
        """One function per micro-batch of the step; each makes its batch and its loss when called.

        The micro-batches are as even as can be, so that all replicas and processes have the same to do.
        """
        positions, chosen = self.positions(step), self.chosen(step)
        return [partial(self._loss, model, positions[rows], chosen[rows]) for rows in self._portions(len(positions))]

    def _portions(self, rows: int) -> list[slice]:
        workers = self.settings.worker_threads * rank_and_size()[1]
        count = min(rows, workers * math.ceil(rows / (workers * self.settings.micro_batch)))
        return [slice(rows * place // count, rows * (place + 1) // count) for place in range(count)]

    def _loss(self, model: nn.Module, positions: range, chosen: list[int]) -> Loss:
        def rng(row: int) -> np.random.Generator:
            return generator("row", self.settings.seed, positions[row] // len(self.windows), chosen[row])

        batch = self.objective.make_batch(self.windows, chosen, rng)
        # Named anew for each micro-batch: there is no state of a generator to save.
        seed_dropout(self.settings.seed, positions[0])
        return self.objective.loss(model, to_device_of(model, batch))

    def _windows_at(self, positions: range) -> list[int]:
        """The windows at these positions; each epoch has a shuffle of its own."""
        count, seed = len(self.windows), self.settings.seed
        chosen: list[int] = []
        for epoch in range(positions[0] // count, positions[-1] // count + 1):
            within = np.array([position - epoch * count for position in positions if position // count == epoch])
            chosen += shuffled_many(within, count, seed=seed, epoch=epoch).tolist()
        return chosen


def plan_course(
    objective: Objective, windows: Windows, settings: TrainSettings, *, seconds_per_step: float | None = None
) -> Course:
    """Turn the recipe's budget into steps.

    A budget in minutes needs a measured `seconds_per_step`.
    """
    total = _windows_to_read(len(windows), settings, seconds_per_step)
    steps = math.ceil(total / settings.batch_windows)
    return Course(objective=objective, windows=windows, settings=settings, steps=steps, total_windows=total)


def _windows_to_read(available: int, settings: TrainSettings, seconds_per_step: float | None) -> int:
    if settings.steps is not None:
        return settings.steps * settings.batch_windows
    if settings.tokens is not None:
        return max(1, round(settings.tokens / settings.context))
    if settings.minutes is not None:
        assert seconds_per_step is not None, "a budget in minutes is planned with a measured step"
        return max(1, int(settings.minutes * 60 / seconds_per_step)) * settings.batch_windows
    epochs = 1.0 if settings.epochs is None else settings.epochs
    return max(1, round(epochs * available))


def to_device_of(model: nn.Module, batch: Batch) -> Batch:
    """The batch where the model's parameters are."""
    device = next(model.parameters()).device
    tensors = {name: value for name in BATCH_TENSORS if (value := getattr(batch, name)) is not None}
    return replace(batch, **{name: tensor.to(device) for name, tensor in tensors.items()})


BATCH_TENSORS = [field.name for field in fields(Batch) if field.name not in ("runs", "count")]


def evenly_spread(count: int, wanted: int | None) -> list[int]:
    """`wanted` of `count` windows, evenly spread and always the same ones; all if `wanted` is None or too many."""
    if wanted is None or wanted >= count:
        return list(range(count))
    return [index * count // wanted for index in range(wanted)]
