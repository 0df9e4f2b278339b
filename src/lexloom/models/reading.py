"""Source texts read by an encoder–decoder, as a decoder that writes about them.

Axes: B batch, L length, S source tokens, D width.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lexloom.base.errors import UserError
from lexloom.nn.source import Source
from lexloom.nn.source_cache import SourceCache

PASS_TOKENS = 4096  # source tokens that pass through the encoder at once; bounds the memory of many texts


class Reading:
    """An encoder–decoder with its source texts read: row i of ids continues what answers text i.

    It meets the contract of decoders, so that what samples and searches knows nothing of sources. Prompts begin with
    `config.start_id`.
    """

    def __init__(self, model: Any, source: Source) -> None:
        self.model, self.source = model, source
        self.config = model.config

    @property
    def training(self) -> bool:
        """Whether the model drops values."""
        return bool(self.model.training)

    def hidden(self, ids_BL: Tensor, *, cache: SourceCache) -> Tensor:
        """The decoder's states, (B, L, D); `cache` is from `new_cache`."""
        x_BLD: Tensor = self.model.hidden(ids_BL, cache=cache)
        return x_BLD

    def scores(self, x: Tensor) -> Tensor:
        """States (…, D) → scores (…, V) of the next word."""
        scores: Tensor = self.model.scores(x)
        return scores

    @torch.no_grad()
    def new_cache(self, batch: int, tokens: int) -> SourceCache:
        """An empty cache for as many rows as there are source texts, or UserError if `tokens` exceed the context."""
        cache: SourceCache = self.model.new_cache(batch, tokens, source=self.source)
        return cache


@torch.no_grad()
def reading(model: Any, sources: Sequence[Sequence[int]]) -> Reading:
    """Encode the source texts, packed without padding.

    Raises UserError for an empty text, one longer than the context, and ids that aren't in the vocabulary.
    """
    _check(model.config, sources)
    states = [_states(model, part) for part in _parts(sources)]
    return Reading(model, Source(torch.cat(states), tuple(len(ids) for ids in sources)))


def _check(config: Any, sources: Sequence[Sequence[int]]) -> None:
    assert sources, "there is nothing to read"
    for number, ids in enumerate(sources):
        if not ids:
            raise UserError(f"source text {number} is empty")
        if len(ids) > config.context:
            raise UserError(
                f"source text {number} has {len(ids):,} tokens, more than the model's context of {config.context:,}",
                fix="Shorten or split the text.",
            )
        if not 0 <= min(ids) <= max(ids) < config.vocab_size:
            raise UserError(f"source text {number} has ids outside the vocabulary of {config.vocab_size:,}")


def _parts(sources: Sequence[Sequence[int]]) -> list[list[Sequence[int]]]:
    """The texts in portions of about PASS_TOKENS tokens."""
    parts: list[list[Sequence[int]]] = [[]]
    for ids in sources:
        if parts[-1] and sum(map(len, parts[-1])) + len(ids) > PASS_TOKENS:
            parts.append([])
        parts[-1].append(ids)
    return parts


def _states(model: Any, sources: Sequence[Sequence[int]]) -> Tensor:
    ids_1S = torch.tensor([[number for ids in sources for number in ids]])
    states_SD: Tensor = model.encode(ids_1S, runs=[len(ids) for ids in sources])[0]
    return states_SD
