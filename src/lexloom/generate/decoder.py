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


class Decoder(Protocol):
    """The part of the decoder contract that generation uses; the vocabulary and context stand in `config`."""

    @property
    def config(self) -> Any: ...
    def hidden(self, ids_BL: Tensor, *, cache: Any) -> Tensor: ...
    def scores(self, x: Tensor) -> Tensor: ...
    def new_cache(self, batch: int, tokens: int) -> Rows: ...


# Decorated functions rather than a `with` block in their callers: in a generator that would leak the mode into its
# consumer between two tokens.
@torch.inference_mode()
def prefill(model: Decoder, cache: Rows, prompts: Sequence[Sequence[int]]) -> Tensor:
    """Run the prompts through the model in chunks, padded on the right; the scores (B, V) after each one's last token.

    The padding comes after a prompt's own tokens, so they don't see it, and is forgotten at the end.
    """
    lengths = [len(prompt) for prompt in prompts]
    ids_BL = torch.tensor([[*prompt, *[0] * (max(lengths) - len(prompt))] for prompt in prompts])
    chunk = max(1, PREFILL_TOKENS // len(prompts))
    last: list[Tensor | None] = [None] * len(prompts)
    for start in range(0, max(lengths), chunk):
        x_BLD = model.hidden(ids_BL[:, start : start + chunk], cache=cache)
        for row, length in enumerate(lengths):
            if start < length <= start + chunk:
                last[row] = x_BLD[row, length - 1 - start]
    for row, length in enumerate(lengths):
        cache.truncate(row, length)
    return _on_cpu(model.scores(torch.stack([x_D for x_D in last if x_D is not None])))


@torch.inference_mode()
def step(model: Decoder, cache: Rows, ids: Sequence[int]) -> Tensor:
    """Run one more token of each row through the model; the scores (B, V) after it."""
    with one_thread() if len(ids) == 1 else contextlib.nullcontext():
        x_B1D = model.hidden(torch.tensor(ids)[:, None], cache=cache)
        return _on_cpu(model.scores(x_B1D[:, 0]))


def _on_cpu(scores_BV: Tensor) -> Tensor:
    return scores_BV.float().cpu()
