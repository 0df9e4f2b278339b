"""Classification of a text or a pair: one of several labels, or any number of them (multi-label).

One label: softmax over the labels. Several: a sigmoid for each (`several` in the settings). Source of the head and of
the pairs: Devlin et al. 2018 (BERT), section 4.1.
Axes: N examples, S spots, C columns.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import nn

from lexloom.base.errors import DataError
from lexloom.base.ledger import Ledger
from lexloom.data.batches import IGNORE
from lexloom.labelled.columns import TableSettings
from lexloom.labelled.examples import Labelled
from lexloom.labelled.tables import stream_labelled
from lexloom.metrics import Metric, accuracy, f1, matthews, multilabel_f1, precision, recall, subset_accuracy
from lexloom.objectives.contract import Batch, Loss
from lexloom.tasks.batches import batch_of, by_example, scores_at_spots
from lexloom.tasks.contract import Encoded, Floats, Prediction, Setting, Task, Weighing
from lexloom.tasks.encoding import STAGE, UNKNOWN_LABEL, LongTexts, text_pieces
from lexloom.tasks.losses import classes, group_means, yes_or_no
from lexloom.tasks.passes import head_outputs
from lexloom.tasks.scores import sigmoid, softmax

Columns = Mapping[str, int]


class ClassifySettings(TableSettings, LongTexts):
    """Which columns hold texts and labels, and how many labels a text may have."""

    several: bool = False
    """A text may have several labels, or none."""
    threshold: float = Field(default=0.5, gt=0, lt=1)
    """With several labels: the probability from which on a label is given."""


def stream(sources: Sequence[str], settings: ClassifySettings, ledger: Ledger) -> Iterator[Labelled]:
    """Rows of labelled tables."""
    return stream_labelled(sources, settings, ledger, kind="labels" if settings.several else "label")


def labels(examples: Sequence[Labelled], settings: ClassifySettings) -> tuple[str, ...]:
    """All labels that occur, sorted."""
    found = sorted({label for example in examples for label in _labels_of(example)})
    if not found:
        raise DataError("no example has a label", fix="Name the column that holds the labels.")
    return tuple(found)


def encode(examples: Sequence[Labelled], setting: Setting, ledger: Ledger) -> list[Encoded]:
    """A piece for each text or pair, or its windows."""
    columns = {label: column for column, label in enumerate(setting.labels)}
    target = _several_columns if setting.settings.several else _one_column
    pieces = text_pieces(examples, setting, ledger)
    return [Encoded(some, target(example, columns, ledger)) for example, some in zip(examples, pieces, strict=True)]


def collate(encoded: Sequence[Encoded], setting: Setting) -> Batch:
    """Targets are columns (N), with several labels 0 or 1 for every column (N, C), NaN without label."""
    unknown = [np.nan] * len(setting.labels) if setting.settings.several else IGNORE
    targets = [unknown if example.target is None else example.target for example in encoded]
    count = sum(example.target is not None for example in encoded)
    return batch_of(encoded, torch.tensor(targets), count, by_example(encoded))


def loss(model: nn.Module, batch: Batch, setting: Setting, weighing: Weighing) -> Loss:
    """Cross entropy of the label; with several labels the mean binary cross entropy of all columns."""
    assert batch.groups_S is not None, "each spot belongs to an example"
    scores_NC = group_means(scores_at_spots(model, batch), batch.groups_S)
    return (yes_or_no if setting.settings.several else classes)(scores_NC, batch.targets, weighing)


def decode(example: Labelled, encoded: Encoded, outputs: Sequence[Floats], setting: Setting) -> Prediction:
    """The label (or labels) and every label's probability; windows are averaged before."""
    scores_C = np.mean([output[0] for output in outputs], axis=0)
    if setting.settings.several:
        probabilities = dict(zip(setting.labels, sigmoid(scores_C).tolist(), strict=True))
        given = [label for label, share in probabilities.items() if share >= setting.settings.threshold]
        return {"labels": given, "probabilities": probabilities}
    shares_C = softmax(scores_C)
    best = int(scores_C.argmax())
    return {
        "label": setting.labels[best],
        "probability": float(shares_C[best]),
        "probabilities": dict(zip(setting.labels, shares_C.tolist(), strict=True)),
    }


def judge(setting: Setting) -> tuple[Metric, ...]:
    """Accuracy and macro figures, F1 of "1" among "0" and "1"; with several labels micro F1, macro F1, exact sets."""
    if setting.settings.several:
        return multilabel_f1("micro"), multilabel_f1("macro", setting.labels), subset_accuracy()
    found = [f1("binary", positive="1")] if setting.labels == ("0", "1") else []
    return accuracy(), f1("macro"), precision("macro"), recall("macro"), matthews(), *found


def plain(prediction: Prediction) -> Any:
    """The label, or the labels."""
    return prediction["label"] if "label" in prediction else prediction["labels"]


def reference(example: Labelled, setting: Setting) -> Any:
    """The label, or the labels."""
    if example.target is None:
        return None
    return list(_labels_of(example)) if setting.settings.several else str(example.target)


def _labels_of(example: Labelled) -> tuple[str, ...]:
    if example.target is None:
        return ()
    return example.target if isinstance(example.target, tuple) else (str(example.target),)


def _one_column(example: Labelled, columns: Columns, ledger: Ledger) -> int | None:
    if example.target is None:
        return None
    if example.target not in columns:
        ledger.count(STAGE, UNKNOWN_LABEL, where=example.where)
    return columns.get(str(example.target))


def _several_columns(example: Labelled, columns: Columns, ledger: Ledger) -> list[float] | None:
    if example.target is None:
        return None
    given = set(_labels_of(example))
    if not given <= columns.keys():
        ledger.count(STAGE, UNKNOWN_LABEL, where=example.where)
    return [float(label in given) for label in columns]


CLASSIFY = Task(
    settings=ClassifySettings,
    stream=stream,
    labels=labels,
    head="sequence",
    columns=len,
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
