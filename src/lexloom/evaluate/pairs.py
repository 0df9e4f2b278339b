"""How well an encoder-decoder foretells what it is to write, from its source and the tokens before: the spans cut out
of a text, the rest of a text begun. Accuracy, nats and perplexity per target token, with intervals.

They can be compared between models with one tokenizer and one objective only. What is resampled are sequences.
Axes: T target tokens, S scored ones of a chunk, V vocabulary, R sequences (runs).
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
from lexloom.nn.source import source_of
from lexloom.objectives.contract import Batch, Objective

CHUNK_SCORES = 1 << 22  # vocabulary scores held at once: 16 MB


@dataclass(frozen=True, kw_only=True)
class PairsEvaluation(WindowsEvaluation):
    """How well a model foretells targets, sentinels and ends of text among them, with 95 % intervals by bootstrap over
    sequences."""

    target_accuracy: Estimate
    """Share of the target tokens that were thought the most probable."""
    nats_per_target_token: Estimate
    perplexity_per_target_token: Estimate


def evaluate_pairs(
    model: Any, objective: Objective, windows: Windows, *, seed: int, batch_windows: int, tick: Tick | None = None
) -> PairsEvaluation:
    """Measure an encoder-decoder's objective on all windows, each drawn once and always alike for the same `seed`."""
    tokens_R, nats_R, right_R = over_windows(
        partial(_count, model), model, objective, windows, seed, batch_windows, tick
    )
    nats = ratio(nats_R, tokens_R, seed=seed)
    return PairsEvaluation(
        tokens=tokens_R,
        nats=nats_R,
        target_accuracy=ratio(right_R, tokens_R, seed=seed),
        nats_per_target_token=nats,
        perplexity_per_target_token=exponential(nats),
    )


@torch.inference_mode()
def _count(model: Any, batch: Batch) -> Floats:
    """Per sequence: target tokens, their nats, those thought the most probable; (3, R)."""
    assert batch.runs is not None, "batches of pairs have runs"
    source = source_of(model.encode(batch.source_BL, runs=batch.source_runs), batch.source_runs)
    x_TD = model.hidden(batch.ids_BL, source=source, runs=batch.runs).flatten(0, 1)
    targets_T = batch.targets.flatten().to(x_TD.device)
    places_S = (targets_T != IGNORE).nonzero()[:, 0]
    chunks = torch.split(places_S, max(16, CHUNK_SCORES // model.config.vocab_size))
    nats_S, right_S = torch.cat([_judged(model, x_TD[some], targets_T[some]) for some in chunks], dim=1).numpy()
    sequence_S = np.repeat(np.arange(len(batch.runs)), batch.runs)[places_S.cpu()]
    return np.stack([np.bincount(sequence_S, weights, len(batch.runs)) for weights in (None, nats_S, right_S)])


def _judged(model: Any, x_SD: Tensor, targets_S: Tensor) -> Tensor:
    """The nats of each target, and whether it was thought the most probable; (2, S)."""
    scores_SV = model.scores(x_SD).float()
    nats_S = torch.nn.functional.cross_entropy(scores_SV, targets_S, reduction="none")
    return torch.stack([nats_S, (scores_SV.argmax(1) == targets_S).float()]).double().cpu()
