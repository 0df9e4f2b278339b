"""Relations between two marked stretches of a text, as classification of the marked text.

The first stretch stands between `$` signs, the second between `#` signs (as R-BERT marks them: Wu and He 2019), so that
the vocabulary stays as it is; the sequence is judged at its first token. Of a long text the part around both stretches
stays.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import torch
from torch import nn

from lexloom.base.errors import DataError
from lexloom.base.ledger import Ledger
from lexloom.data.batches import IGNORE
from lexloom.labelled import semeval, tables
from lexloom.labelled.examples import Related
from lexloom.metrics import Metric, accuracy, f1, semeval_macro_f1
from lexloom.objectives.contract import Batch, Loss
from lexloom.tasks.batches import batch_of, scores_at_spots
from lexloom.tasks.contract import Encoded, Floats, Prediction, Setting, Task, Weighing
from lexloom.tasks.encoding import CUT, STAGE, UNKNOWN_LABEL, framed, room_in
from lexloom.tasks.losses import classes
from lexloom.tasks.passes import head_outputs
from lexloom.tasks.scores import softmax

FIRST_MARK, SECOND_MARK = "$", "#"
DIRECTED = "(e1,e2)"
"""How SemEval's labels say which of the two comes first."""


class RelationSettings(tables.RelationSettings):
    """In which form the marked texts are."""

    format: Literal["table", "semeval"] = "table"
    """`table`: rows with named columns; `semeval`: the blocks of lines of SemEval-2010 Task 8."""


def stream(sources: Sequence[str], settings: RelationSettings, ledger: Ledger) -> Iterable[Related]:
    """Texts with two marked stretches."""
    if settings.format == "semeval":
        return semeval.read_related(sources, settings, ledger)
    return tables.stream_related(sources, settings, ledger)


def labels(examples: Sequence[Related], settings: RelationSettings) -> tuple[str, ...]:
    """All relations that occur, sorted."""
    found = sorted({example.target for example in examples if example.target is not None})
    if not found:
        raise DataError("no example has a relation", fix="Name the column that holds the relations.")
    return tuple(found)


def encode(examples: Sequence[Related], setting: Setting, ledger: Ledger) -> list[Encoded]:
    """One piece for each marked text."""
    columns = {label: column for column, label in enumerate(setting.labels)}
    marked = [marked_text(example) for example in examples]
    encoded = setting.tokenizer.encode_with_offsets([text for text, _ in marked])
    frame = setting.tokenizer.frame(1)
    result = []
    for example, (text, marks), (ids, offsets) in zip(examples, marked, encoded, strict=True):
        start, stop = stretch_around(offsets, marks, room_in(frame, setting))
        if stop - start < len(ids):
            seen = offsets[stop - 1][1] - offsets[start][0]
            ledger.count(STAGE, CUT, characters=len(text) - seen, where=example.where)
        target = None if example.target is None else columns.get(example.target)
        if example.target is not None and target is None:
            ledger.count(STAGE, UNKNOWN_LABEL, where=example.where)
        result.append(Encoded((framed(frame, [ids[start:stop]]),), target))
    return result


def marked_text(example: Related) -> tuple[str, tuple[int, int]]:
    """The text with its marks, and the characters (start, end) from the first mark to the last."""
    edges = [(*example.first, FIRST_MARK), (*example.second, SECOND_MARK)]
    # Closing marks come before opening ones at the same place
    inserts = sorted(
        [(start, 1, f"{mark} ") for start, _, mark in edges] + [(end, 0, f" {mark}") for _, end, mark in edges]
    )
    text, done, first = "", 0, None
    for place, _, mark in inserts:
        text += example.text[done:place]
        first = len(text) if first is None else first
        text, done = text + mark, place
    assert first is not None, "there are four marks"
    return text + example.text[done:], (first, len(text))


def stretch_around(offsets: Sequence[tuple[int, int]], marks: tuple[int, int], room: int) -> tuple[int, int]:
    """The tokens (start, stop), at most `room`, with the marked characters in their middle as far as that can be."""
    if len(offsets) <= room:
        return 0, len(offsets)
    inside = [token for token, (start, end) in enumerate(offsets) if start < marks[1] and end > marks[0]]
    spare = max(0, room - (inside[-1] + 1 - inside[0]))
    start = min(max(0, inside[0] - spare // 2), len(offsets) - room)
    return start, start + room


def collate(encoded: Sequence[Encoded], setting: Setting) -> Batch:
    """Targets are columns (N)."""
    targets = [IGNORE if example.target is None else example.target for example in encoded]
    count = sum(example.target is not None for example in encoded)
    return batch_of(encoded, torch.tensor(targets), count)


def loss(model: nn.Module, batch: Batch, setting: Setting, weighing: Weighing) -> Loss:
    """Cross entropy of the relation."""
    return classes(scores_at_spots(model, batch), batch.targets, weighing)


def decode(example: Related, encoded: Encoded, outputs: Sequence[Floats], setting: Setting) -> Prediction:
    """The relation, its probability and every other's."""
    shares_C = softmax(outputs[0][0])
    best = int(np.argmax(outputs[0][0]))
    return {
        "label": setting.labels[best],
        "probability": float(shares_C[best]),
        "probabilities": dict(zip(setting.labels, shares_C.tolist(), strict=True)),
    }


def judge(setting: Setting) -> tuple[Metric, ...]:
    """SemEval's macro F1 where the labels have directions, macro F1, accuracy."""
    directed = any(label.endswith(DIRECTED) for label in setting.labels)
    return (*([semeval_macro_f1()] if directed else []), f1("macro"), accuracy())


def plain(prediction: Prediction) -> str:
    """The relation."""
    return str(prediction["label"])


def reference(example: Related, setting: Setting) -> str | None:
    """The relation."""
    return example.target


RELATION = Task(
    settings=RelationSettings,
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
)
