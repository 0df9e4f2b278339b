"""What an objective is: it makes a batch, and gives the loss as sum and count.

Sums and counts can be added: over micro-batches, threads and machines. A mean can't, which is how so many trainers came
to weigh a short micro-batch as much as a long one (reliability T10).
Axes: B batch, L length.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from lexloom.data.batches import Windows

RowGenerator = Callable[[int], np.random.Generator]
"""`rng(i)` is the generator of the batch's i-th row, named by (seed, epoch, window) and by nothing else."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One micro-batch: ids B × L, targets B × L (IGNORE where there is none), document runs, number of targets."""

    ids_BL: Tensor  # noqa: N815
    targets_BL: Tensor  # noqa: N815
    runs: tuple[int, ...] | None
    count: int


@dataclass(frozen=True, slots=True)
class Loss:
    """The sum of the losses (a scalar with a gradient) and how many targets it is a sum of."""

    sum: Tensor
    count: int


@dataclass(frozen=True, slots=True)
class Objective:
    """`make_batch(windows, indices, rng)` takes what it draws for row i from `rng(i)`, so that splitting a batch over
    micro-batches, threads or machines can't change it. `loss(model, batch)` needs scores at target positions only.
    """

    make_batch: Callable[[Windows, list[int], RowGenerator], Batch]
    loss: Callable[[nn.Module, Batch], Loss]
