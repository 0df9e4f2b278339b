"""Tagging: entities in a text, as B- and I- tags on its words (characters for Chinese).

A word is judged at its first token. A long text is read in overlapping windows, each word in the window that shows most
around it, so that nothing is cut. Source: Devlin et al. 2018 (BERT), section 5.3; tags as in Ramshaw and Marcus 1995.
Axes: W words, C columns.
"""

from collections.abc import Sequence
from itertools import chain, pairwise
from typing import Literal

import numpy as np
import torch
from torch import nn

from lexloom.base.errors import DataError
from lexloom.base.ledger import Ledger
from lexloom.data.batches import IGNORE
from lexloom.labelled import cluener, conll
from lexloom.labelled.examples import Tagged
from lexloom.labelled.tags import bio_of
from lexloom.metrics import Metric, entities_of, entity_f1, entity_precision, entity_recall, token_accuracy
from lexloom.objectives.contract import Batch, Loss
from lexloom.tasks.batches import batch_of, scores_at_spots
from lexloom.tasks.contract import Encoded, Floats, Piece, Prediction, Setting, Task, Weighing
from lexloom.tasks.encoding import STAGE, UNKNOWN_LABEL, WINDOWED, room_in, windows
from lexloom.tasks.losses import classes
from lexloom.tasks.passes import head_outputs
from lexloom.tasks.paths import BEGINS, GOES_ON, best_path
from lexloom.tasks.scores import log_softmax
from lexloom.tasks.words import words_and_tokens

OUTSIDE = "O"


class TagSettings(conll.ConllSettings):
    """In which form the tagged texts are."""

    format: Literal["conll", "cluener"] = "conll"
    """`conll`: columns of words and tags; `cluener`: json lines of texts and the entities in them."""


def stream(sources: Sequence[str], settings: TagSettings, ledger: Ledger) -> list[Tagged]:
    """Texts with their words and entities."""
    if settings.format == "cluener":
        return cluener.read_tagged(sources, settings, ledger)
    return conll.read_tagged(sources, settings, ledger)


def labels(examples: Sequence[Tagged], settings: TagSettings) -> tuple[str, ...]:
    """`O`, then `B-` and `I-` of every type, sorted by type."""
    types = sorted({entity.type for example in examples for entity in example.entities or ()})
    if not types:
        raise DataError("no example has an entity", fix="Check the form of the tags.")
    return (OUTSIDE, *chain.from_iterable((BEGINS + name, GOES_ON + name) for name in types))


def encode(examples: Sequence[Tagged], setting: Setting, ledger: Ledger) -> list[Encoded]:
    """The windows of each text; the spots of all of them, in order, are its words."""
    columns = {label: column for column, label in enumerate(setting.labels)}
    encoded = setting.tokenizer.encode_with_offsets([example.text for example in examples])
    result = []
    for example, (ids, offsets) in zip(examples, encoded, strict=True):
        ids, first_W = words_and_tokens(ids, offsets, example, setting.tokenizer)
        pieces = _pieces(ids, first_W, setting)
        if len(pieces) > 1:
            ledger.count(STAGE, WINDOWED, where=example.where)
        result.append(Encoded(pieces, _target(example, columns, ledger)))
    return result


def collate(encoded: Sequence[Encoded], setting: Setting) -> Batch:
    """Targets are the tags' columns at all words of all examples."""
    targets: list[int] = []
    for example in encoded:
        words = sum(len(piece.spots) for piece in example.pieces)
        targets += [IGNORE] * words if example.target is None else example.target
    count = sum(target != IGNORE for target in targets)
    return batch_of(encoded, torch.tensor(targets, dtype=torch.long), count)


def loss(model: nn.Module, batch: Batch, setting: Setting, weighing: Weighing) -> Loss:
    """Cross entropy of each word's tag."""
    return classes(scores_at_spots(model, batch), batch.targets, weighing)


def decode(example: Tagged, encoded: Encoded, outputs: Sequence[Floats], setting: Setting) -> Prediction:
    """The most probable valid tags, and the entities that they name: characters (start, end), type, text, probability.

    An entity's probability is the mean of its words'.
    """
    log_shares_WC = log_softmax(np.concatenate(outputs))
    path = best_path(log_shares_WC, setting.labels)
    tags = [setting.labels[column] for column in path]
    shares_W = np.exp(log_shares_WC[np.arange(len(path)), path])
    entities = []
    for first, last, kind in entities_of(tags):
        start, end = example.spans[first][0], example.spans[last - 1][1]
        probability = float(shares_W[first:last].mean())
        entities.append(
            {"start": start, "end": end, "type": kind, "text": example.text[start:end], "probability": probability}
        )
    return {"entities": entities, "tags": tags}


def judge(setting: Setting) -> tuple[Metric, ...]:
    """Entity F1 as conlleval and seqeval state it, then the strict one, precision, recall and words."""
    return entity_f1(), entity_f1("strict"), entity_precision(), entity_recall(), token_accuracy()


def plain(prediction: Prediction) -> list[str]:
    """The tags."""
    return list(prediction["tags"])


def reference(example: Tagged, setting: Setting) -> list[str] | None:
    """The tags."""
    return None if example.entities is None else bio_of(example)


def _pieces(ids: list[int], first_W: Sequence[int], setting: Setting) -> tuple[Piece, ...]:
    frame = setting.tokenizer.frame(1)
    stretches = windows(len(ids), room_in(frame, setting))
    # Neighbours share tokens; the border between their words is the middle of what they share
    borders = [(stop + start) // 2 for (_, stop), (start, _) in pairwise(stretches)]
    pieces = []
    for (start, stop), low, high in zip(stretches, [0, *borders], [*borders, len(ids)], strict=True):
        inner, types, (before,) = frame.fill([ids[start:stop]])
        spots = [before + first - start for first in first_W if low <= first < high]
        pieces.append(Piece(inner, types, spots))
    return tuple(pieces)


def _target(example: Tagged, columns: dict[str, int], ledger: Ledger) -> list[int] | None:
    if example.entities is None:
        return None
    tags = bio_of(example)
    if not columns.keys() >= set(tags):
        ledger.count(STAGE, UNKNOWN_LABEL, where=example.where)
    return [columns.get(tag, IGNORE) for tag in tags]


TAG = Task(
    settings=TagSettings,
    stream=stream,
    labels=labels,
    head="token",
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
