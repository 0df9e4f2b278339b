"""How well a two-way language model foretells words: accuracy, nats and perplexity per word, with intervals.

From the words before, and from the words behind; the perplexity of both together is that of the mean loss, as bilm-tf
states it. Words outside of the vocabulary count as `<unk>`, so that it can be compared between models of one tokenizer
only. What is resampled are sequences.
Axes: S words, V vocabulary, R sequences (runs).
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from lexloom.data.batches import IGNORE, Windows
from lexloom.evaluate.counts import Floats, Tick, WindowsEvaluation, over_windows
from lexloom.evaluate.intervals import Estimate, ratio
from lexloom.evaluate.perplexity import exponential
from lexloom.objectives.contract import Batch, Objective

CHUNK_SCORES = 1 << 22  # word scores held at once: 16 MB


@dataclass(frozen=True, kw_only=True)
class ForetoldEvaluation(WindowsEvaluation):
    """How well a model foretells words, most of them twice, with 95 % intervals by bootstrap over sequences."""

    foretold_accuracy: Estimate
    """Share of the words that were thought the most probable."""
    nats_per_foretold_word: Estimate
    perplexity_per_foretold_word: Estimate
    perplexity_from_before: Estimate
    """Of the words from those before them."""
    perplexity_from_behind: Estimate
    """Of the words from those behind them."""


def evaluate_foretold(
    model: Any, objective: Objective, windows: Windows, *, seed: int, batch_windows: int, tick: Tick | None = None
) -> ForetoldEvaluation:
    """Measure the two-way objective on all windows. `tick` is told the number of windows done."""
    counts = over_windows(partial(_count, model), model, objective, windows, seed, batch_windows, tick)
    words_R2, nats_R2, right_R2 = (part.T for part in counts.reshape(3, 2, -1))
    words_R, nats_R = words_R2.sum(1), nats_R2.sum(1)
    nats = ratio(nats_R, words_R, seed=seed)
    before, behind = (exponential(ratio(nats_R2[:, way], words_R2[:, way], seed=seed)) for way in range(2))
    return ForetoldEvaluation(
        tokens=words_R,
        nats=nats_R,
        foretold_accuracy=ratio(right_R2.sum(1), words_R, seed=seed),
        nats_per_foretold_word=nats,
        perplexity_per_foretold_word=exponential(nats),
        perplexity_from_before=before,
        perplexity_from_behind=behind,
    )


@torch.inference_mode()
def _count(model: Any, batch: Batch) -> Floats:
    """Per sequence: words from before and from behind, their nats, those thought the most probable; (6, R)."""
    assert batch.runs is not None, "batches of texts have runs"
    assert batch.spots_S is not None, "words have places"
    x_SD = model.hidden(batch.ids_BL, runs=batch.runs, spots_S=batch.spots_S)
    chunk = max(16, CHUNK_SCORES // model.config.vocab_size)
    parts = zip(torch.split(x_SD, chunk), torch.split(batch.targets.to(x_SD.device), chunk), strict=True)
    nats, right = zip(*(_judged(model.scores(x), targets_S2) for x, targets_S2 in parts), strict=True)
    run_S = np.searchsorted(np.cumsum(batch.runs), batch.spots_S.numpy(), side="right")
    values = (batch.targets != IGNORE, torch.cat(nats), torch.cat(right))
    return np.stack(
        [
            np.bincount(run_S, value_S2[:, way].double().cpu().numpy(), len(batch.runs))
            for value_S2 in values
            for way in (0, 1)
        ]
    )


def _judged(scores: torch.Tensor, targets_S2: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The nats of each target, 0 where there is none, and whether it was thought the most probable; (S, 2) each."""
    scores_S2V = scores.float().view(*targets_S2.shape, -1)
    nats = torch.nn.functional.cross_entropy(scores_S2V.flatten(0, 1), targets_S2.flatten(), reduction="none")
    return nats.view_as(targets_S2), scores_S2V.argmax(-1) == targets_S2
