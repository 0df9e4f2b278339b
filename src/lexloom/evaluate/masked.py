"""How well a model finds hidden tokens: accuracy, nats and perplexity per hidden token, with intervals.

There are no bits per byte: a hidden token is foretold from both sides, so the losses of a text don't add up to a code
of it, and the perplexity can't be compared with that of a model that writes. What is resampled are sequences.
Axes: B batch, L length, S hidden tokens, V vocabulary, R sequences (runs).
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lexloom.data.batches import IGNORE, Windows
from lexloom.evaluate.counts import Floats, Tick, WindowsEvaluation, over_windows
from lexloom.evaluate.intervals import Estimate, ratio
from lexloom.evaluate.perplexity import exponential
from lexloom.objectives.contract import Batch, Objective
from lexloom.objectives.masked import first_tokens


@dataclass(frozen=True, kw_only=True)
class MaskedEvaluation(WindowsEvaluation):
    """How well a model finds the hidden tokens of a text, with 95 % intervals by bootstrap over sequences."""

    masked_accuracy: Estimate
    """Share of the hidden tokens that were thought the most probable."""
    nats_per_masked_token: Estimate
    perplexity_per_masked_token: Estimate
    next_accuracy: Estimate | None
    """Share of the pairs judged rightly; None for a model that doesn't judge pairs."""


def evaluate_masked(
    model: Any, objective: Objective, windows: Windows, *, seed: int, batch_windows: int, tick: Tick | None = None
) -> MaskedEvaluation:
    """Measure a masked objective on all windows, each masked once and always alike for the same `seed`.

    `tick` is told the number of windows done. The model must not be in training mode.
    """
    counts = over_windows(partial(_count, model), model, objective, windows, seed, batch_windows, tick)
    tokens_R, nats_R, right_R, judged_R, agreed_R = counts
    nats = ratio(nats_R, tokens_R, seed=seed)
    return MaskedEvaluation(
        tokens=tokens_R,
        nats=nats_R,
        masked_accuracy=ratio(right_R, tokens_R, seed=seed),
        nats_per_masked_token=nats,
        perplexity_per_masked_token=exponential(nats),
        next_accuracy=ratio(agreed_R, judged_R, seed=seed) if judged_R.any() else None,
    )


@torch.inference_mode()
def _count(model: Any, batch: Batch) -> Floats:
    """Per sequence: hidden tokens, their nats, those found; pairs judged, and judged rightly; (5, R)."""
    runs, spots_S, labels_R = batch.runs, batch.spots_S, batch.labels_R
    assert runs is not None, "masked batches have runs"
    assert spots_S is not None, "masked batches have spots"
    assert labels_R is not None, "masked batches have labels"
    x_TD = model.hidden(batch.ids_BL, runs=runs, types_BL=batch.types_BL).flatten(0, 1)
    scores_SV = model.scores(x_TD[spots_S]).float()
    targets_S = batch.targets.to(scores_SV.device)
    nats_S = torch.nn.functional.cross_entropy(scores_SV, targets_S, reduction="none")
    sequence_S = np.searchsorted(np.cumsum(runs), spots_S.numpy(), side="right")

    def summed(values_S: Tensor) -> Floats:
        return np.bincount(sequence_S, values_S.double().cpu().numpy(), len(runs)).astype(np.float64)

    judged_R = labels_R != IGNORE
    agreed_R = judged_R
    if judged_R.any():
        agreed_R = model.next_scores(x_TD[first_tokens(batch)]).argmax(1).cpu() == labels_R
    right_S = scores_SV.argmax(1) == targets_S
    return np.stack(
        [summed(torch.ones_like(nats_S)), summed(nats_S), summed(right_S), judged_R.double(), agreed_R.double()]
    )
