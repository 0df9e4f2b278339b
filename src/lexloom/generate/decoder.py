"""A decoder as generation sees it: prompts in, then one token for each row at a time, scores of the next token out.

Axes: B rows still running, L length, D width, V vocabulary.
"""

import contextlib
from collections.abc import Sequence
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from lexloom.nn.inference import one_thread

PREFILL_TOKENS = 2048  # tokens of all rows that pass through the model at once; bounds the memory of long prompts

Finish = Literal["eos", "stop", "length"]
"""Why a text ended: the end-of-text token, a stop string, the length."""


class Rows(Protocol):
    """The part of a cache that generation uses, see `nn.cache.Cache`."""

    def truncate(self, row: int, length: int) -> None: ...
    def keep(self, rows: Sequence[int]) -> None: ...
    def join(self, other: Any) -> None: ...
    def take(self, row: int, length: int, tokens: int) -> Any: ...
    @property
    def nbytes(self) -> int: ...


class Decoder(Protocol):
    """The part of the decoder contract that generation uses; the vocabulary and context stand in `config`."""

    @property
    def config(self) -> Any: ...
    def hidden(self, ids_BL: Tensor, *, cache: Any) -> Tensor: ...
    def scores(self, x: Tensor) -> Tensor: ...
    def new_cache(self, batch: int, tokens: int) -> Rows: ...


# Decorated functions rather than a `with` block in their callers: in a generator that would leak the mode into its
# consumer between two tokens.
class Prompts:
    """Prompts of different lengths on their way through the model, padded on the right, a portion at a time.

    The padding comes after a prompt's own tokens, so they don't see it; `Rows.truncate` makes the cache forget it.
    """

    def __init__(self, prompts: Sequence[Sequence[int]]) -> None:
        self.lengths = [len(prompt) for prompt in prompts]
        longest = max(self.lengths)
        self._ids_BL = torch.tensor([[*prompt, *[0] * (longest - len(prompt))] for prompt in prompts])
        self._read = 0

    @property
    def left(self) -> int:
        """How many tokens the longest prompt has left."""
        return max(self.lengths, default=0) - self._read

    @torch.inference_mode()
    def read(self, model: Decoder, cache: Rows, tokens: int) -> dict[int, Tensor]:
        """Run about `tokens` more, of all rows together, through the model; the last states (D) of rows that end."""
        start, end = self._read, self._read + max(1, tokens // len(self.lengths))
        x_BLD = model.hidden(self._ids_BL[:, start:end], cache=cache)
        self._read = end
        ended = [row for row, length in enumerate(self.lengths) if start < length <= end]
        return {row: x_BLD[row, self.lengths[row] - 1 - start] for row in ended}

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows."""
        self.lengths = [self.lengths[row] for row in rows]
        self._ids_BL = self._ids_BL[list(rows)]


def prefill(model: Decoder, cache: Rows, prompts: Sequence[Sequence[int]]) -> Tensor:
    """Run whole prompts through the model; the scores (B, V) after each one's last token."""
    reading = Prompts(prompts)
    last: dict[int, Tensor] = {}
    while reading.left > 0:
        last |= reading.read(model, cache, PREFILL_TOKENS)
    for row, length in enumerate(reading.lengths):
        cache.truncate(row, length)
    return scores_after(model, [last[row] for row in range(len(prompts))])


@torch.inference_mode()
def scores_after(model: Decoder, states: Sequence[Tensor]) -> Tensor:
    """The scores (B, V) of the next token after each of the states (D)."""
    return _on_cpu(model.scores(torch.stack(list(states))))


@torch.inference_mode()
def step(model: Decoder, cache: Rows, ids: Sequence[int]) -> Tensor:
    """Run one more token of each row through the model; the scores (B, V) after it."""
    with one_thread() if len(ids) == 1 else contextlib.nullcontext():
        x_B1D = model.hidden(torch.tensor(ids)[:, None], cache=cache)
        return _on_cpu(model.scores(x_B1D[:, 0]))


def _on_cpu(scores_BV: Tensor) -> Tensor:
    return scores_BV.float().cpu()
