"""Similarity of two texts: each is read alone, its tokens' states are averaged, and the cosine is the answer.

Source: Reimers and Gurevych 2019 (Sentence-BERT). Texts that were embedded once can be compared with any other.
Axes: N pairs, P texts (2·N), S spots (all tokens), D width.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from lexloom.base.errors import DataError
from lexloom.base.ledger import Ledger
from lexloom.labelled.columns import TableSettings
from lexloom.labelled.examples import Labelled
from lexloom.labelled.tables import stream_labelled
from lexloom.metrics import Metric, pearson, spearman
from lexloom.objectives.contract import Batch, Loss
from lexloom.tasks.batches import batch_of, by_piece, states_at_spots
from lexloom.tasks.contract import Encoded, Floats, Piece, Prediction, Setting, Task, Weighing
from lexloom.tasks.encoding import cut_pieces
from lexloom.tasks.losses import group_means, squares
from lexloom.tasks.passes import hidden_states

SHARPNESS = 20.0
"""What cosines are multiplied by before a softmax, as sentence-transformers does."""


class SimilaritySettings(TableSettings):
    """Which columns hold the texts and their similarity, and what to learn from them."""

    loss: Literal["cosine", "ranking", "contrastive"] = "cosine"
    """`cosine`: the cosine is to be the similarity itself. `ranking`: more similar pairs are to have the higher cosine.
    `contrastive`: the second text of a pair is to be found among those of all pairs that are read together; for pairs
    without similarity, and for the most similar ones."""
    lowest: float | None = Field(default=None, allow_inf_nan=False)
    """The similarity of texts that have nothing in common (cosine 0); unset: the least in the training data."""
    highest: float | None = Field(default=None, allow_inf_nan=False)
    """The similarity of texts that say the same (cosine 1); unset: the greatest in the training data."""


def settle(examples: Sequence[Labelled], settings: SimilaritySettings) -> SimilaritySettings:
    """Fill in the ends of the scale where they aren't given."""
    targets = [number for example in examples if (number := _number(example)) is not None]
    if not targets and settings.loss != "contrastive":
        raise DataError(
            "no pair has a similarity",
            fix='Name the column that holds it, or set task.loss to "contrastive" if all pairs are alike.',
        )
    lowest = min(targets, default=0.0) if settings.lowest is None else settings.lowest
    highest = max(targets, default=1.0) if settings.highest is None else settings.highest
    return settings.model_copy(update={"lowest": lowest, "highest": highest})


def encode(examples: Sequence[Labelled], setting: Setting, ledger: Ledger) -> list[Encoded]:
    """A piece for each text, all of its tokens spots."""
    for example in examples:
        if len(example.texts) != 2:
            raise DataError("similarity needs two texts", where=example.where, fix="Name two columns of texts.")
    texts = [(text,) for example in examples for text in example.texts]
    where = [example.where for example in examples for _ in example.texts]
    pieces = [_with_all_spots(piece) for piece in cut_pieces(texts, where, setting, ledger)]
    pairs = zip(pieces[::2], pieces[1::2], strict=True)
    return [Encoded(pair, _target(example, setting)) for example, pair in zip(examples, pairs, strict=True)]


def collate(encoded: Sequence[Encoded], setting: Setting) -> Batch:
    """Targets are cosines (N), NaN where there is none."""
    targets = [np.nan if example.target is None else example.target for example in encoded]
    count = sum(example.target is not None for example in encoded)
    return batch_of(encoded, torch.tensor(targets), count, by_piece(encoded))


def loss(model: nn.Module, batch: Batch, setting: Setting, weighing: Weighing) -> Loss:
    """As the settings name it; pairs without target cost nothing. There are no labels to weigh.

    `ranking` and `contrastive` compare the pairs of a batch with one another, so what they teach depends on which pairs
    are in it.
    """
    assert batch.groups_S is not None, "each token belongs to a text"
    x_PD = functional.normalize(group_means(states_at_spots(model, batch), batch.groups_S), dim=-1)
    return LOSSES[setting.settings.loss](x_PD[::2], x_PD[1::2], batch.targets)


def decode(example: Labelled, encoded: Encoded, outputs: Sequence[Floats], setting: Setting) -> Prediction:
    """The cosine of the two texts."""
    one_D, two_D = (output.mean(axis=0, dtype=np.float64) for output in outputs)
    size = float(np.linalg.norm(one_D) * np.linalg.norm(two_D))
    return {"score": float(one_D @ two_D) / size if size > 0 else 0.0}


def judge(setting: Setting) -> tuple[Metric, ...]:
    """Correlations of cosine and similarity."""
    return spearman(), pearson()


def plain(prediction: Prediction) -> float:
    """The cosine."""
    return float(prediction["score"])


def reference(example: Labelled, setting: Setting) -> float | None:
    """The similarity."""
    return _number(example)


def _cosine(one_ND: Tensor, two_ND: Tensor, targets_N: Tensor) -> Loss:
    return squares((one_ND * two_ND).sum(dim=-1), targets_N)


def _ranking(one_ND: Tensor, two_ND: Tensor, targets_N: Tensor) -> Loss:
    """log(1 + Σ exp(20 (cos b − cos a))) over all pairs a, b of which a is the more similar (CoSENT, Su 2022).

    Counted as one loss for each pair of texts.
    """
    known_N = ~targets_N.isnan()
    cosines_N, targets_N = (one_ND * two_ND).sum(dim=-1)[known_N], targets_N[known_N]
    differences = SHARPNESS * (cosines_N[None, :] - cosines_N[:, None])
    wrong = differences[targets_N[:, None] > targets_N[None, :]]
    total = torch.logsumexp(torch.cat([wrong.new_zeros(1), wrong]), dim=0)
    return Loss(total * len(targets_N) + 0.0 * one_ND.sum(), len(targets_N))


def _contrastive(one_ND: Tensor, two_ND: Tensor, targets_N: Tensor) -> Loss:
    """Each first text of a matching pair is to find its second among all seconds (Henderson et al. 2017)."""
    matching_N = (targets_N == 1.0).nonzero().squeeze(1)
    scores = SHARPNESS * one_ND[matching_N] @ two_ND.mT
    return Loss(functional.cross_entropy(scores, matching_N, reduction="sum"), len(matching_N))


LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor], Loss]] = {
    "cosine": _cosine,
    "ranking": _ranking,
    "contrastive": _contrastive,
}


def _with_all_spots(piece: Piece) -> Piece:
    return Piece(piece.ids, piece.types, list(range(len(piece.ids))))


def _number(example: Labelled) -> float | None:
    return None if example.target is None else float(example.target)  # type: ignore[arg-type]


def _target(example: Labelled, setting: Setting) -> float | None:
    """The cosine wanted; a pair without similarity is one that matches, where matches are what is learned from."""
    settings, number = setting.settings, _number(example)
    if number is None:
        return 1.0 if settings.loss == "contrastive" else None
    span = settings.highest - settings.lowest
    return min(1.0, max(0.0, (number - settings.lowest) / span)) if span > 0 else 1.0


SIMILARITY = Task(
    settings=SimilaritySettings,
    settle=settle,
    stream=partial(stream_labelled, kind="number"),
    labels=lambda examples, settings: (),
    head="none",
    columns=lambda labels: 0,
    encode=encode,
    collate=collate,
    loss=loss,
    answer=hidden_states,
    decode=decode,
    judge=judge,
    plain=plain,
    reference=reference,
    augmentable=True,
)
