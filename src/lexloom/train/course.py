"""What a run trains on: which units belong to which step, as a pure function of the seed and the step.

A unit is what the data is counted in and drawn by: a window of a corpus, a labelled example.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from typing import Protocol

import numpy as np
from torch import nn

from lexloom.base.rng import generator
from lexloom.data.order import shuffled_many
from lexloom.nn.dropout import seed_dropout
from lexloom.objectives.contract import Batch, Loss, Objective
from lexloom.train.parallel import rank_and_size
from lexloom.train.settings import LoopSettings


class Units(Protocol):
    """What is trained on, by number."""

    def __len__(self) -> int: ...

    def tokens(self, index: int) -> int:
        """What a unit costs the model."""
        ...

    def share(self, count: int) -> "Units":
        """`count` of the units, as units of their own."""
        ...


@dataclass(frozen=True, kw_only=True)
class Course:
    """An objective on the units of a training split, in the order and portions that the settings name.

    `steps` optimizer steps take `total_units` units; the last step may be a short one.
    """

    objective: Objective
    units: Units
    settings: LoopSettings
    steps: int
    total_units: int

    @cached_property
    def mean_tokens(self) -> float:
        """Tokens of a unit, on average."""
        return sum(map(self.units.tokens, range(len(self.units)))) / len(self.units)

    def positions(self, step: int) -> range:
        """The positions in the endless shuffled stream of units that `step` (from 0) takes."""
        portion = self.settings.batch_units
        return range(step * portion, min((step + 1) * portion, self.total_units))

    def chosen(self, step: int) -> list[int]:
        """The units of a step."""
        return self._units_at(self.positions(step))

    def epoch(self, steps_done: int) -> float:
        """How many times the split has been read."""
        return min(steps_done * self.settings.batch_units, self.total_units) / len(self.units)

    def tokens(self, step: int) -> int:
        """Tokens that a step reads."""
        return sum(map(self.units.tokens, self.chosen(step)))

    def is_measured_after(self, steps_done: int) -> bool:
        """Whether the validation split is to be measured after so many steps."""
        every = self.settings.evaluate_every
        if every is None:
            due = math.floor(self.epoch(steps_done)) > math.floor(self.epoch(steps_done - 1))
        else:
            due = steps_done % every == 0
        return due or steps_done == self.steps

    def losses(self, model: nn.Module, step: int) -> list[Callable[[], Loss]]:
        """One function per micro-batch of the step; each makes its batch and its loss when called.

        The micro-batches have as equal numbers of tokens as can be, so that all replicas and processes have the same to
        do; each has units of about one length, which attention can take together.
        """
        positions, chosen = self.positions(step), self.chosen(step)
        workers = self.settings.worker_threads * rank_and_size()[1]
        portions = even_portions([self.units.tokens(unit) for unit in chosen], self.settings.micro_tokens, workers)
        return [
            partial(self._loss, model, [positions[row] for row in rows], [chosen[row] for row in rows])
            for rows in portions
        ]

    def heaviest(self, model: nn.Module) -> Callable[[], Loss]:
        """A micro-batch of the longest units: none of any step needs more memory."""
        longest = sorted(range(len(self.units)), key=self.units.tokens, reverse=True)
        chosen = next(bounded_portions(self.units, longest, self.settings.micro_tokens))
        return partial(self._loss, model, list(range(len(chosen))), chosen)

    def _loss(self, model: nn.Module, positions: list[int], chosen: list[int]) -> Loss:
        def rng(row: int) -> np.random.Generator:
            return generator("row", self.settings.seed, positions[row] // len(self.units), chosen[row])

        batch = self.objective.make_batch(self.units, chosen, rng)
        # Named anew for each micro-batch: there is no state of a generator to save.
        seed_dropout(self.settings.seed, positions[0])
        return self.objective.loss(model, to_device_of(model, batch))

    def _units_at(self, positions: range) -> list[int]:
        """The units at these positions; each epoch has a shuffle of its own."""
        count, seed = len(self.units), self.settings.seed
        chosen: list[int] = []
        for epoch in range(positions[0] // count, positions[-1] // count + 1):
            within = np.array([position - epoch * count for position in positions if position // count == epoch])
            chosen += shuffled_many(within, count, seed=seed, epoch=epoch).tolist()
        return chosen


def plan_course(
    objective: Objective, units: Units, settings: LoopSettings, *, seconds_per_step: float | None = None
) -> Course:
    """Turn the recipe's budget into steps.

    A budget in minutes needs a measured `seconds_per_step`.
    """
    course = Course(objective=objective, units=units, settings=settings, steps=0, total_units=0)
    total = _units_to_read(course, seconds_per_step)
    return replace(course, steps=math.ceil(total / settings.batch_units), total_units=total)


def _units_to_read(course: Course, seconds_per_step: float | None) -> int:
    settings = course.settings
    if settings.steps is not None:
        return settings.steps * settings.batch_units
    if settings.tokens is not None:
        return max(1, round(settings.tokens / course.mean_tokens))
    if settings.minutes is not None:
        assert seconds_per_step is not None, "a budget in minutes is planned with a measured step"
        return max(1, int(settings.minutes * 60 / seconds_per_step)) * settings.batch_units
    epochs = settings.default_epochs if settings.epochs is None else settings.epochs
    return max(1, round(epochs * len(course.units)))


def even_portions(tokens: Sequence[int], most_tokens: int, workers: int) -> list[list[int]]:
    """The rows that have so many `tokens`, sorted by them and cut into portions of about equal sums.

    There are as many portions for each worker; none is much above `most_tokens`, unless a single row is. Of rows of one
    length, those that come first stay first.
    """
    rows = sorted(range(len(tokens)), key=lambda row: tokens[row])
    total, ends = sum(tokens), np.cumsum([tokens[row] for row in rows])
    count = min(len(rows), workers * math.ceil(total / (workers * most_tokens)))
    cuts = [int(np.searchsorted(ends, total * place // count, side="right")) for place in range(count + 1)]
    return [rows[start:stop] for start, stop in itertools.pairwise(cuts) if stop > start]


def bounded_portions(units: Units, chosen: Sequence[int], most_tokens: int) -> Iterator[list[int]]:
    """These units in their order, in portions of at most so many tokens, or of one unit."""
    portion: list[int] = []
    filled = 0
    for unit in chosen:
        tokens = units.tokens(unit)
        if portion and filled + tokens > most_tokens:
            yield portion
            portion, filled = [], 0
        portion.append(unit)
        filled += tokens
    if portion:
        yield portion


def to_device_of(model: nn.Module, batch: Batch) -> Batch:
    """The batch where the model's parameters are."""
    device = next(model.parameters()).device
    tensors = {name: value for name in BATCH_TENSORS if (value := getattr(batch, name)) is not None}
    return replace(batch, **{name: tensor.to(device) for name, tensor in tensors.items()})


BATCH_TENSORS = [field.name for field in fields(Batch) if field.name not in ("runs", "source_runs", "past", "count")]


def evenly_spread(count: int, wanted: int | None) -> list[int]:
    """`wanted` of `count` units, evenly spread and always the same ones; all if `wanted` is None or too many."""
    if wanted is None or wanted >= count:
        return list(range(count))
    return [index * count // wanted for index in range(wanted)]
