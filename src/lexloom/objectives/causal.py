"""The causal objective: each token foretells the next one.

Axes: B batch, L length, D width.
"""

from typing import Any

import numpy as np
import torch

from lexloom.data.batches import Windows
from lexloom.data.masking import MaskingSettings
from lexloom.nn.likelihood import total_nats
from lexloom.nn.loss import IGNORE
from lexloom.objectives.contract import Batch, Loss, Objective, RowGenerator
from lexloom.text.tokenizers import Tokenizer


def causal(settings: MaskingSettings, tokenizer: Tokenizer) -> Objective:
    """Foretell every token; there is nothing to set."""
    return CAUSAL


def make_batch(windows: Windows, indices: list[int], rng: RowGenerator) -> Batch:
    """The windows as they are; nothing is drawn from `rng`."""
    tokens = windows.batch(indices)
    count = int(np.count_nonzero(tokens.targets_BL != IGNORE))
    past = None if tokens.past is None else tuple(map(torch.from_numpy, tokens.past))
    return Batch(torch.from_numpy(tokens.ids_BL), torch.from_numpy(tokens.targets_BL), tokens.runs, count, past=past)


def loss(model: Any, batch: Batch) -> Loss:
    """The sum of −log p(next token) in nats, over the tokens that have a next one."""
    more = {} if batch.past is None else {"past": batch.past}
    x_BLD = model.hidden(batch.ids_BL, runs=batch.runs, **more)
    return Loss(total_nats(model, x_BLD.flatten(0, 1), batch.targets.flatten()), batch.count)


CAUSAL = Objective(make_batch, loss)
