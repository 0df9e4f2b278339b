"""Dropout from an explicit generator, one per thread, so that threads can't disturb one another's masks.

On a CPU the masks come from numpy's SFC64: torch's dropout draws number after number from one generator that all
threads share. Elsewhere (CUDA) it is torch's.
"""

import threading
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lexloom.base.rng import seed_for

# A mask cell is kept if 16 random bits reach this many of their 65,536 values times the share to drop.
LEVELS = 1 << 16
DRAWN_AT_ONCE = 4

_threads = threading.local()


def seed_dropout(*name: int | str) -> None:
    """Name the masks that this thread draws from now on; the same name gives the same masks."""
    seed = seed_for("dropout", *name)
    _threads.generator = np.random.Generator(np.random.SFC64(seed))
    torch.manual_seed(seed)


class Dropout(nn.Module):
    """In training, set a share of the values to zero and scale the others up by 1 / (1 − share).

    Source: Srivastava et al. 2014, JMLR 15. Call `seed_dropout` to name the masks.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.share == 0:
            return x
        if x.device.type != "cpu":
            return functional.dropout(x, self.share)
        return _masked(x, kept_of(x, self.share), self.share)


class VariationalDropout(Dropout):
    """Dropout that drops the same values at all steps of a text. Source: Gal & Ghahramani 2016, arXiv:1512.05287."""

    def forward(self, x_TD: Tensor, text_T: Tensor) -> Tensor:  # type: ignore[override]
        """`text_T` says of which text each token is, from 0."""
        if not self.training or self.share == 0:
            return x_TD
        kept_RD = kept_of(x_TD.new_empty(int(text_T.max()) + 1, x_TD.shape[1]), self.share)
        return _masked(x_TD, kept_RD[text_T], self.share)


class WordDropout(Dropout):
    """Drop words of the vocabulary: all their embeddings, wherever they stand. Source: as above, section 4.2."""

    def __init__(self, share: float, vocab_size: int) -> None:
        super().__init__(share)
        self.vocab_size = vocab_size

    def forward(self, x_TD: Tensor, ids_T: Tensor) -> Tensor:  # type: ignore[override]
        """`ids_T` are the words whose embeddings are given."""
        if not self.training or self.share == 0:
            return x_TD
        kept_V = kept_of(x_TD.new_empty(self.vocab_size), self.share)
        return _masked(x_TD, kept_V[ids_T, None], self.share)


def kept_of(x: Tensor, share: float) -> Tensor:
    """A mask of the shape of `x`, true or 1 where a value is kept; `share` of the values are dropped."""
    if x.device.type != "cpu":
        return torch.empty_like(x).bernoulli_(1 - share)
    if not hasattr(_threads, "generator"):
        seed_dropout("unnamed")
    draws = _threads.generator.integers(0, 1 << 64, -(-x.numel() // DRAWN_AT_ONCE), dtype=np.uint64)
    bits = draws.view(np.uint16)[: x.numel()]
    return torch.from_numpy(bits >= round(share * LEVELS)).view(x.shape)


def as_numbers(kept: Tensor) -> Tensor:
    """1.0 where a value is kept, else 0.0: torch multiplies with these seven times as fast as with truth values."""
    return kept.view(torch.uint8).float() if kept.dtype == torch.bool else kept


def _masked(x: Tensor, kept: Tensor, share: float) -> Tensor:
    y: Tensor = _Masked.apply(x, kept, 1 / (1 - share))  # type: ignore[no-untyped-call]
    return y


class _Masked(torch.autograd.Function):
    """x · mask · scale, keeping the mask as bytes rather than as floats."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kept: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(kept)
        ctx.scale = scale
        return (x * as_numbers(kept)).mul_(scale)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (kept,) = ctx.saved_tensors
        return (grad * as_numbers(kept)).mul_(ctx.scale), None, None
