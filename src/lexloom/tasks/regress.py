"""Regression: a number for a text or a pair.

The model foretells standard scores, so that the scale of the numbers (stars, prices) doesn't matter to the learning
rate; the mean and the scale of the training targets are kept in the task's settings.
Axes: N examples.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from pydantic import Field
from torch import nn

from lexloom.base.errors import DataError
from lexloom.base.ledger import Ledger
from lexloom.labelled.columns import TableSettings
from lexloom.labelled.examples import Labelled
from lexloom.labelled.tables import stream_labelled
from lexloom.metrics import Metric, mean_absolute_error, mean_squared_error, pearson, spearman
from lexloom.objectives.contract import Batch, Loss
from lexloom.tasks.batches import batch_of, by_example, scores_at_spots
from lexloom.tasks.contract import Encoded, Floats, Prediction, Setting, Task, Weighing
from lexloom.tasks.encoding import LongTexts, text_pieces
from lexloom.tasks.losses import group_means, squares
from lexloom.tasks.passes import head_outputs


class RegressSettings(TableSettings, LongTexts):
    """Which columns hold texts and numbers."""

    mean: float | None = Field(default=None, allow_inf_nan=False)
    """What the model's 0 stands for; unset: the mean of the training targets."""
    scale: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """What the model's 1 stands for above that; unset: the standard deviation of the training targets."""


def settle(examples: Sequence[Labelled], settings: RegressSettings) -> RegressSettings:
    """Fill in mean and scale where they aren't given."""
    targets = [example.target for example in examples if example.target is not None]
    if not targets:
        raise DataError("no example has a number", fix="Name the column that holds the numbers.")
    values = np.array(targets, np.float64)
    mean = float(values.mean()) if settings.mean is None else settings.mean
    scale = (float(values.std()) or 1.0) if settings.scale is None else settings.scale
    return settings.model_copy(update={"mean": mean, "scale": scale})


def encode(examples: Sequence[Labelled], setting: Setting, ledger: Ledger) -> list[Encoded]:
    """A piece for each text or pair, or its windows."""
    pieces = text_pieces(examples, setting, ledger)
    return [Encoded(some, _standard(example, setting)) for example, some in zip(examples, pieces, strict=True)]


def collate(encoded: Sequence[Encoded], setting: Setting) -> Batch:
    """Targets are standard scores (N), NaN where there is none."""
    targets = [np.nan if example.target is None else example.target for example in encoded]
    count = sum(example.target is not None for example in encoded)
    return batch_of(encoded, torch.tensor(targets), count, by_example(encoded))


def loss(model: nn.Module, batch: Batch, setting: Setting, weighing: Weighing) -> Loss:
    """Squared differences of standard scores; there are no labels to weigh."""
    assert batch.groups_S is not None, "each spot belongs to an example"
    scores_NC = group_means(scores_at_spots(model, batch), batch.groups_S)
    return squares(scores_NC[:, 0], batch.targets)


def decode(example: Labelled, encoded: Encoded, outputs: Sequence[Floats], setting: Setting) -> Prediction:
    """The number, the mean over windows."""
    standard = float(np.mean([output[0, 0] for output in outputs]))
    return {"score": setting.settings.mean + setting.settings.scale * standard}


def judge(setting: Setting) -> tuple[Metric, ...]:
    """Correlations and errors."""
    return spearman(), pearson(), mean_squared_error(), mean_absolute_error()


def plain(prediction: Prediction) -> float:
    """The number."""
    return float(prediction["score"])


def reference(example: Labelled, setting: Setting) -> float | None:
    """The number."""
    return None if example.target is None else float(example.target)  # type: ignore[arg-type]


def _standard(example: Labelled, setting: Setting) -> float | None:
    number = reference(example, setting)
    return None if number is None else (number - setting.settings.mean) / setting.settings.scale


REGRESS = Task(
    settings=RegressSettings,
    settle=settle,
    stream=partial(stream_labelled, kind="number"),
    labels=lambda examples, settings: (),
    head="sequence",
    columns=lambda labels: 1,
    encode=encode,
    collate=collate,
    loss=loss,
    answer=head_outputs,
    decode=decode,
    judge=judge,
    plain=plain,
    reference=reference,
    augmentable=True,
)
