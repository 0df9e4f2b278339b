"""What the objectives of encoder-decoders share: batches of a text to read and a text to write, and their loss.

The decoder foretells each token of the target from the source and the tokens before it, as they stand in the data
(teacher forcing). A batch is one row of sources and one of targets, each cut into runs: run i of the targets belongs to
run i of the sources, and nothing is padded.
Axes: B batch (one row), L length, D width.
"""

from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch

from lexloom.base.errors import RecipeError
from lexloom.data.batches import IGNORE, Windows
from lexloom.data.sequences import pieces
from lexloom.data.spans import LEAST_TOKENS, Ids, Pair
from lexloom.nn.loss import vocabulary_loss
from lexloom.nn.source import source_of
from lexloom.objectives.contract import Batch, Loss, RowGenerator
from lexloom.text.tokenizers import Tokenizer

Cut = Callable[[Ids, np.random.Generator], Pair]
"""A sequence of two tokens or more → what is read and what is written of it."""


class Ends(NamedTuple):
    """What begins every target, and what ends sources and targets."""

    start_id: int
    end_id: int


def pair_maker(cut: Cut, tokenizer: Tokenizer) -> Callable[[Windows, list[int], RowGenerator], Batch]:
    """`make_batch` of an objective that makes pairs of windows. Raises as `ends_of`."""
    return partial(_make_batch, cut, ends_of(tokenizer))


def ends_of(tokenizer: Tokenizer) -> Ends:
    """Targets begin with the padding token, as in T5 and Marian. RecipeError if the tokenizer lacks pad, or eos."""
    start_id, end_id = tokenizer.pad_id, tokenizer.separator_id
    if start_id is None or end_id is None:
        raise RecipeError(
            "the tokenizer names no pad token, with which targets begin, or no eos token, with which they end",
            where="objective",
            fix="Name pad_token and eos_token in its tokenizer_config.json, or prepare with a tokenizer of your own.",
        )
    return Ends(start_id, end_id)


def pairs_loss(model: Any, batch: Batch, *, smoothing: float = 0.0) -> Loss:
    """The sum of −log p(target token) in nats, each target's end among its tokens; `smoothing` as `vocabulary_loss`."""
    source = source_of(model.encode(batch.source_BL, runs=batch.source_runs), batch.source_runs)
    x_BLD = model.features(model.hidden(batch.ids_BL, source=source, runs=batch.runs))
    total = vocabulary_loss(
        x_BLD.flatten(0, 1),
        model.head_weight_VD,
        batch.targets.flatten(),
        bias=model.head_bias_V,
        smoothing=smoothing,
    )
    return Loss(total, batch.count)


def _make_batch(cut: Cut, ends: Ends, windows: Windows, indices: list[int], rng: RowGenerator) -> Batch:
    pairs = [pair for row, index in enumerate(indices) for pair in _pairs(cut, ends, windows, index, rng(row))]
    sources = [[*pair.source.tolist(), ends.end_id] for pair in pairs]
    targets = [[*pair.target.tolist(), ends.end_id] if len(pair.target) else [IGNORE] for pair in pairs]
    return Batch(
        ids_BL=torch.tensor([[token for target in targets for token in (ends.start_id, *target[:-1])]]),
        targets=torch.tensor([list(chain.from_iterable(targets))]),
        runs=tuple(map(len, targets)),
        count=sum(len(target) for pair, target in zip(pairs, targets, strict=True) if len(pair.target)),
        source_BL=torch.tensor([list(chain.from_iterable(sources))]),
        source_runs=tuple(map(len, sources)),
    )


def _pairs(cut: Cut, ends: Ends, windows: Windows, index: int, rng: np.random.Generator) -> list[Pair]:
    """A pair for each piece of a document in a window; a piece too short to be cut has nothing to be written."""
    return [
        cut(piece_T, rng) if len(piece_T) >= LEAST_TOKENS else Pair(piece_T, piece_T[:0])
        for piece_T in pieces(windows, index, ends.end_id)
    ]
