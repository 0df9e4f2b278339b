"""What an objective is: it makes a batch, and gives the loss as sum and count.

Sums and counts can be added: over micro-batches, threads and machines. A mean can't, which is how so many trainers came
to weigh a short micro-batch as much as a long one (reliability T10).
Axes: B batch, L length, S spots, R runs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from lexloom.models import Kind

RowGenerator = Callable[[int], np.random.Generator]
"""`rng(i)` is the generator of the batch's i-th row, named by (seed, epoch, window) and by nothing else."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One micro-batch: what the model reads, and what it is to foretell.

    `ids_BL` and `types_BL` (segments, for encoders that have them) are B × L; `runs` are the lengths of the sequences
    packed in them, None if rows are read as they are. `spots_S` are the places among the flattened B·L tokens where
    scores are wanted, None for all. `targets` and `count`, the number of targets, are as the objective needs them.
    """

    ids_BL: Tensor  # noqa: N815
    targets: Tensor
    runs: tuple[int, ...] | None
    count: int
    types_BL: Tensor | None = None  # noqa: N815
    spots_S: Tensor | None = None  # noqa: N815
    labels_R: Tensor | None = None  # noqa: N815
    """One label for each run, for objectives that also judge whole sequences."""
    source_BL: Tensor | None = None  # noqa: N815
    """What an encoder-decoder reads before it foretells `ids_BL`; `source_runs` are the lengths of the texts in it."""
    source_runs: tuple[int, ...] | None = None
    before_N: Tensor | None = None  # noqa: N815
    """What the model said of each example before training, for losses that compare with it."""
    past: tuple[Tensor, ...] | None = None
    """The tokens before each row, which a model that remembers has read; for training on windows of a corpus."""
    groups_S: Tensor | None = None  # noqa: N815
    """Which group each spot belongs to, for tasks that join the scores of several; groups stand in order."""


@dataclass(frozen=True, slots=True)
class Loss:
    """The sum of the losses (a scalar with a gradient) and how many targets it is a sum of."""

    sum: Tensor
    count: int


def _all_of_it(context: int) -> int:
    return context


@dataclass(frozen=True, slots=True)
class Objective:
    """`make_batch(units, indices, rng)` takes what it draws for row i from `rng(i)`, so that splitting a batch over
    micro-batches, threads or machines can't change it. `loss(model, batch)` needs scores at target positions only.
    Units are what the data is counted in (train/course.py): windows of a corpus, labelled examples.
    """

    make_batch: Callable[[Any, list[int], RowGenerator], Batch]
    loss: Callable[[nn.Module, Batch], Loss]
    kind: Kind = "decoder"
    """The kind of family that it trains."""
    head: str | None = None
    """The head that an encoder needs for it; None for objectives of others, and where the task names the head."""
    blank_id: int | None = None
    """The token that stands for what the model is to fill in; None if it writes on."""
    in_one_go: bool = False
    """Only for families with a `fit`, whose model has no loss of its own: `make_batch` and `loss` are never called."""
    window_tokens: Callable[[int], int] = _all_of_it
    """Tokens of the longest window of which `make_batch` makes something that fits into a context of so many tokens.
    Raises RecipeError if there is none."""
    scored_share: float = 1.0
    """Share of the tokens at which scores are computed, for the plan; in encoder-decoders the decoder's."""
    source_share: float | None = None
    """Share of the tokens that an encoder-decoder's encoder reads, for the plan; None: half of them, and the decoder
    the others."""
