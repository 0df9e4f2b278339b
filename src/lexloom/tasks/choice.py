"""Multiple choice: the text is read once with each candidate, and one score per reading decides.

The head has one column; softmax over the candidates of an example. Source: Devlin et al. 2018 (BERT), section 4.4.
Axes: N examples, S spots (one per candidate).
"""

from collections.abc import Sequence
from itertools import islice

import numpy as np
import torch
from torch import nn

from lexloom.base.ledger import Ledger
from lexloom.data.batches import IGNORE
from lexloom.labelled.examples import Choices
from lexloom.labelled.tables import ChoiceSettings, stream_choices
from lexloom.metrics import Metric, accuracy
from lexloom.objectives.contract import Batch, Loss
from lexloom.tasks.batches import batch_of, by_example, scores_at_spots
from lexloom.tasks.contract import Encoded, Floats, Prediction, Setting, Task, Weighing
from lexloom.tasks.encoding import cut_pieces
from lexloom.tasks.losses import places
from lexloom.tasks.passes import head_outputs
from lexloom.tasks.scores import softmax


def encode(examples: Sequence[Choices], setting: Setting, ledger: Ledger) -> list[Encoded]:
    """A piece for each candidate: the first text, and behind it the others (the question) with the candidate."""
    texts = [pair for example in examples for pair in readings(example)]
    where = [example.where for example in examples for _ in example.candidates]
    pieces = iter(cut_pieces(texts, where, setting, ledger))
    return [Encoded(tuple(islice(pieces, len(example.candidates))), example.target) for example in examples]


def readings(example: Choices) -> list[tuple[str, ...]]:
    """The text or pair that is read for each candidate."""
    if example.candidates_first:
        return [(candidate, " ".join(example.texts)) for candidate in example.candidates]
    passage, rest = example.texts[:1], example.texts[1:]
    return [(*passage, " ".join((*rest, candidate))) for candidate in example.candidates]


def collate(encoded: Sequence[Encoded], setting: Setting) -> Batch:
    """Targets are the right candidates' places among all spots (N, 1)."""
    starts = np.cumsum([0, *(len(example.pieces) for example in encoded)])
    targets = [
        IGNORE if example.target is None else int(start) + example.target
        for example, start in zip(encoded, starts, strict=False)
    ]
    count = sum(example.target is not None for example in encoded)
    return batch_of(encoded, torch.tensor(targets)[:, None], count, by_example(encoded))


def loss(model: nn.Module, batch: Batch, setting: Setting, weighing: Weighing) -> Loss:
    """Cross entropy of the right candidate."""
    assert batch.groups_S is not None, "each candidate belongs to an example"
    return places(scores_at_spots(model, batch), batch.groups_S, batch.targets, weighing)


def decode(example: Choices, encoded: Encoded, outputs: Sequence[Floats], setting: Setting) -> Prediction:
    """The number of the best candidate (from 0), its text, and every candidate's probability."""
    scores = np.array([output[0, 0] for output in outputs])
    best = int(scores.argmax())
    shares = softmax(scores)
    return {
        "choice": best,
        "text": example.candidates[best],
        "probability": float(shares[best]),
        "probabilities": shares.tolist(),
    }


def judge(setting: Setting) -> tuple[Metric, ...]:
    """The share of right choices."""
    return (accuracy(),)


def plain(prediction: Prediction) -> int:
    """The number of the candidate."""
    return int(prediction["choice"])


def reference(example: Choices, setting: Setting) -> int | None:
    """The number of the candidate."""
    return example.target


CHOICE = Task(
    settings=ChoiceSettings,
    stream=stream_choices,
    labels=lambda examples, settings: (),
    head="choice",
    columns=lambda labels: 1,
    encode=encode,
    collate=collate,
    loss=loss,
    answer=head_outputs,
    decode=decode,
    judge=judge,
    plain=plain,
    reference=reference,
)
