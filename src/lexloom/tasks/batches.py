"""Encoded examples as packed batches, and a task as an objective of the training loop.

Axes: T tokens (flattened), P pieces, S spots, C columns.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn

from lexloom.objectives.contract import Batch, Loss, Objective, RowGenerator
from lexloom.tasks.augment import Augmentation, Augmenter
from lexloom.tasks.contract import Encoded, Piece, Setting, Task, Weighing


class EncodedExamples:
    """The examples of a split, as units of a course."""

    def __init__(self, encoded: Sequence[Encoded]) -> None:
        self.encoded = encoded

    def __len__(self) -> int:
        return len(self.encoded)

    def tokens(self, index: int) -> int:
        """What an example costs."""
        return self.encoded[index].tokens

    def share(self, count: int) -> "EncodedExamples":
        """`count` of the examples, evenly spread."""
        whole = len(self.encoded)
        return EncodedExamples([self.encoded[place * whole // count] for place in range(count)])


def objective(
    task: Task, setting: Setting, weighing: Weighing = Weighing(), *, augmentation: Augmentation | None = None
) -> Objective:
    """What the training loop takes of a task.

    Examples are augmented where the task allows it (`task.augmentable`), else read as they are.
    """
    augment = Augmenter(setting.tokenizer, augmentation) if augmentation is not None and task.augmentable else None

    def make_batch(units: EncodedExamples, indices: list[int], rng: RowGenerator) -> Batch:
        encoded = [units.encoded[index] for index in indices]
        if augment is not None:
            encoded = [augment(example, rng(row)) for row, example in enumerate(encoded)]
        return task.collate(encoded, setting)

    def loss(model: nn.Module, batch: Batch) -> Loss:
        return task.loss(model, batch, setting, weighing)

    return Objective(make_batch, loss)


@dataclass(frozen=True, slots=True)
class Packed:
    """Pieces behind one another: `ids_BL` and `types_BL` (1, T), `runs` the pieces' lengths, ascending.

    `spots_S` are in the order of the pieces as given, whatever the order in which they are packed.
    """

    ids_BL: Tensor  # noqa: N815
    types_BL: Tensor  # noqa: N815
    runs: tuple[int, ...]
    spots_S: Tensor  # noqa: N815


def pack(pieces: Sequence[Piece]) -> Packed:
    """Pack pieces by length: attention takes neighbours of equal length together."""
    lengths = np.array([len(piece.ids) for piece in pieces])
    order = np.argsort(lengths, kind="stable")
    starts = np.empty(len(pieces), np.int64)
    starts[order] = np.cumsum(lengths[order]) - lengths[order]
    spots = [np.asarray(piece.spots, np.int64) + start for piece, start in zip(pieces, starts, strict=True)]
    return Packed(
        ids_BL=_row((pieces[place].ids for place in order), lengths.sum()),
        types_BL=_row((pieces[place].types for place in order), lengths.sum()),
        runs=tuple(lengths[order].tolist()),
        spots_S=torch.from_numpy(np.concatenate(spots)),
    )


def _row(parts: Iterable[Sequence[int]], length: int) -> Tensor:
    """The parts behind one another, (1, T)."""
    return torch.from_numpy(np.fromiter(chain.from_iterable(parts), np.int64, length))[None]


def batch_of(encoded: Sequence[Encoded], targets: Tensor, count: int, groups_S: Tensor | None = None) -> Batch:
    """The packed batch of all pieces of these examples."""
    packed = pack([piece for example in encoded for piece in example.pieces])
    return Batch(
        ids_BL=packed.ids_BL,
        types_BL=packed.types_BL,
        runs=packed.runs,
        spots_S=packed.spots_S,
        targets=targets,
        count=count,
        groups_S=groups_S,
    )


def by_example(encoded: Sequence[Encoded]) -> Tensor:
    """The example (from 0) that each spot belongs to, (S)."""
    counts = [sum(len(piece.spots) for piece in example.pieces) for example in encoded]
    return torch.repeat_interleave(torch.arange(len(encoded)), torch.tensor(counts))


def by_piece(encoded: Sequence[Encoded]) -> Tensor:
    """The piece (from 0) that each spot belongs to, (S)."""
    counts = [len(piece.spots) for example in encoded for piece in example.pieces]
    return torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))


def states_at_spots(model: nn.Module, batch: Batch) -> Tensor:
    """The encoder's states where the head is applied, (S, D)."""
    assert batch.spots_S is not None, "a task's batch has spots"
    x_BLD: Tensor = model.hidden(batch.ids_BL, runs=batch.runs, types_BL=batch.types_BL)  # type: ignore[operator]
    return x_BLD.flatten(0, 1)[batch.spots_S.to(x_BLD.device)]


def scores_at_spots(model: nn.Module, batch: Batch) -> Tensor:
    """The head's scores, (S, C)."""
    scores_SC: Tensor = model.scores(states_at_spots(model, batch))  # type: ignore[operator]
    return scores_SC
