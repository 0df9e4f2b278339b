"""The masked objectives: find the hidden tokens of a sequence; with `masked+next`, as in BERT, also judge whether its
second text follows the first.

Vocabulary scores are computed at hidden places only. A batch is one row of tokens, cut into runs: each run is a
sequence with its special tokens (data/sequences.py), nothing is padded.
Axes: B batch (one row), L length, S spots, R runs, D width.
"""

from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lexloom.data.batches import IGNORE, Windows
from lexloom.data.masking import Masker, MaskingSettings
from lexloom.data.sequences import Sequences
from lexloom.nn.loss import vocabulary_loss
from lexloom.objectives.contract import Batch, Loss, Objective, RowGenerator
from lexloom.text.tokenizers import Tokenizer

NEXT_WEIGHT = 20.0
"""A judgement weighs as much as so many hidden tokens. BERT adds the mean over judgements to the mean over hidden
tokens, of which its sequences of 128 tokens have 20 at most; a constant keeps the loss a plain sum."""


def masked(settings: MaskingSettings, tokenizer: Tokenizer) -> Objective:
    """Find hidden tokens. Raises RecipeError if the tokenizer has no mask token."""
    sequences, masker = Sequences(tokenizer, paired=False), Masker(settings, tokenizer)
    return Objective(
        partial(_make_batch, sequences, masker),
        masked_loss,
        kind="encoder",
        head="masked",
        blank_id=tokenizer.names["mask"],
        window_tokens=sequences.window_tokens,
        scored_share=settings.rate,
    )


def masked_and_next(settings: MaskingSettings, tokenizer: Tokenizer) -> Objective:
    """Find hidden tokens, and judge whether the second segment follows the first. Raises as `masked`."""
    sequences, masker = Sequences(tokenizer, paired=True), Masker(settings, tokenizer)
    return Objective(
        partial(_make_batch, sequences, masker),
        masked_and_next_loss,
        kind="encoder",
        head="pretraining",
        blank_id=tokenizer.names["mask"],
        window_tokens=sequences.window_tokens,
        scored_share=settings.rate,
    )


def masked_loss(model: Any, batch: Batch) -> Loss:
    """The sum of −log p(hidden token) in nats, over the hidden tokens."""
    return Loss(_masked_sum(model, _states_at(model, batch, spots_of(batch)), batch), batch.count)


def masked_and_next_loss(model: Any, batch: Batch) -> Loss:
    """The sum over hidden tokens, and NEXT_WEIGHT times the sum over judgements; the count is that of hidden tokens."""
    assert batch.labels_R is not None, "pairs have labels"
    x = _states_at(model, batch, torch.cat([spots_of(batch), first_tokens(batch)]))
    x_SD, x_RD = x[: batch.count], x[batch.count :]
    wrong = functional.cross_entropy(model.next_scores(x_RD), batch.labels_R, reduction="sum", ignore_index=IGNORE)
    return Loss(_masked_sum(model, x_SD, batch) + NEXT_WEIGHT * wrong, batch.count)


def first_tokens(batch: Batch) -> Tensor:
    """Where the runs of a batch begin (R)."""
    assert batch.runs is not None, "masked batches have runs"
    return torch.tensor([0, *accumulate(batch.runs[:-1])], device=batch.ids_BL.device)


def spots_of(batch: Batch) -> Tensor:
    """Where tokens are hidden among those of a batch (S)."""
    assert batch.spots_S is not None, "masked batches have spots"
    return batch.spots_S


def _states_at(model: Any, batch: Batch, spots_S: Tensor) -> Tensor:
    x_SD: Tensor = model.hidden(batch.ids_BL, runs=batch.runs, types_BL=batch.types_BL, spots_S=spots_S)
    return x_SD


def _masked_sum(model: Any, x_SD: Tensor, batch: Batch) -> Tensor:
    return vocabulary_loss(model.features(x_SD), model.head_weight_VD, batch.targets, bias=model.head_bias_V)


def _make_batch(sequences: Sequences, masker: Masker, windows: Windows, indices: list[int], rng: RowGenerator) -> Batch:
    generators = [rng(row) for row in range(len(indices))]
    rows = [sequences(windows, index, own) for index, own in zip(indices, generators, strict=True)]
    ids = [np.array([number for sequence in row for number in sequence.ids]) for row in rows]
    hidden = [masker(ids_T, own) for ids_T, own in zip(ids, generators, strict=True)]
    starts = [0, *accumulate(map(len, ids[:-1]))]
    spots_S = np.concatenate([start + row.spots_S for start, row in zip(starts, hidden, strict=True)])
    found = [sequence for row in rows for sequence in row]
    return Batch(
        ids_BL=torch.from_numpy(np.concatenate([row.ids_T for row in hidden]))[None],
        targets=torch.from_numpy(np.concatenate(ids)[spots_S]),
        runs=tuple(len(sequence.ids) for sequence in found),
        count=len(spots_S),
        types_BL=torch.tensor([kind for sequence in found for kind in sequence.types])[None],
        spots_S=torch.from_numpy(spots_S),
        labels_R=torch.tensor([sequence.label for sequence in found]),
    )
