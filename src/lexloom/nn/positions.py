"""Where a token stands: position numbers, and rotary embeddings of them.

Axes: B batch, L length, T tokens (flattened B·L), H heads, K head width, R rotary pairs (K / 2), N positions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lexloom.nn.cache import Cache
from lexloom.nn.checks import check_choice, check_number

Turn = tuple[Tensor, Tensor]
"""Cosines and sines of rotary angles, each (1 or B, L, 1, R)."""
SCALINGS = ("linear", "llama3")
MAX_CONTEXT_TOKENS = 1 << 24


def positions_of(ids_BL: Tensor, runs: Sequence[int] | None, cache: Cache | None) -> Tensor:
    """Position numbers, int64, of shape (B, L), or (1, L) where all rows are alike.

    They continue behind what a row has cached, and restart with every run of the flattened B·L tokens.
    """
    if cache is not None:
        return cache.positions(ids_BL.shape[1])
    if runs is None:
        return torch.arange(ids_BL.shape[1], device=ids_BL.device)[None]
    return torch.cat([torch.arange(run) for run in runs]).view(ids_BL.shape).to(ids_BL.device)


class Sinusoids:
    """Position vectors of `width` numbers: sines in the first half, cosines in the second, of position · 10000^(−2i/D).

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5; the halves, instead of turns, are Marian's layout.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._table_ND: Tensor | None = None

    def __call__(self, positions: Tensor) -> Tensor:
        """The vectors of positions (…), as (…, D)."""
        needed = int(positions.max()) + 1
        table_ND = self._table_ND
        if table_ND is None or len(table_ND) < needed or table_ND.device != positions.device:
            table_ND = self._make_table(max(needed, 2 * len(table_ND) if table_ND is not None else 0))
            self._table_ND = table_ND = table_ND.to(positions.device)
        return table_ND[positions]

    def _make_table(self, count: int) -> Tensor:
        exponents = torch.arange(0, self._width, 2, dtype=torch.float64) / self._width
        angles = torch.arange(count, dtype=torch.float64)[:, None] / SLOWEST**exponents
        return torch.cat([angles.sin(), angles.cos()[:, : self._width // 2]], dim=1).float()


SLOWEST = 10_000.0
"""The slowest sinusoid's wave is this many times 2π positions long, nearly."""


@dataclass(frozen=True, kw_only=True)
class RotaryScaling:
    """How a model stretches rotary positions beyond the context it was first trained on.

    Raises UserError for numbers that make no sense.
    """

    kind: str
    """`linear` (all frequencies / factor, arXiv:2306.15595) or `llama3` (only the slow ones, arXiv:2407.21783)."""
    factor: float
    """How many times longer the new context is."""
    low_freq_factor: float = 1.0
    """llama3: waves longer than original_context / this are stretched whole."""
    high_freq_factor: float = 4.0
    """llama3: waves shorter than original_context / this are left alone."""
    original_context: int = 8192
    """llama3: the context before stretching, in tokens."""

    def __post_init__(self) -> None:
        check_choice("rope_scaling.rope_type", self.kind, SCALINGS)
        check_number("rope_scaling.factor", self.factor, 1.0, 1e6)
        check_number("rope_scaling.low_freq_factor", self.low_freq_factor, 1e-6, 1e6)
        check_number("rope_scaling.high_freq_factor", self.high_freq_factor, self.low_freq_factor + 1e-6, 1e6)
        check_number("rope_scaling.original_max_position_embeddings", self.original_context, 1, MAX_CONTEXT_TOKENS)


class Rotary:
    """Rotary position embeddings: pair r of a head turns by position · theta^(−r/R) radians.

    The pair is (x[r], x[r + R]), the layout of published Llama weights. Source: Su et al. 2021, arXiv:2104.09864.
    """

    def __init__(self, head_width: int, theta: float, scaling: RotaryScaling | None) -> None:
        self._head_width, self._theta, self._scaling = head_width, theta, scaling
        self._table: tuple[Tensor, Tensor] | None = None

    def __call__(self, positions_BL: Tensor) -> Turn:
        """Cosines and sines (1 or B, L, 1, R) for `rotate`."""
        needed = int(positions_BL.max()) + 1
        table = self._table
        if table is None or len(table[0]) < needed or table[0].device != positions_BL.device:
            table = self._make_table(max(needed, 2 * len(table[0]) if table else 0))
            self._table = table = (table[0].to(positions_BL.device), table[1].to(positions_BL.device))
        cos_NR, sin_NR = table
        return cos_NR[positions_BL].unsqueeze(2), sin_NR[positions_BL].unsqueeze(2)

    def _make_table(self, count: int) -> tuple[Tensor, Tensor]:
        exponents_R = torch.arange(0, self._head_width, 2, dtype=torch.int64).float() / self._head_width
        frequencies_R = 1.0 / (self._theta**exponents_R)
        if self._scaling is not None:
            frequencies_R = _stretch(frequencies_R, self._scaling)
        angles_NR = torch.arange(count).float()[:, None] * frequencies_R
        return angles_NR.cos(), angles_NR.sin()


def rotate(x_BLHK: Tensor, turn: Turn) -> Tensor:
    """Turn every pair of `x_BLHK` by its position's angles, `turn` from `Rotary`."""
    if not torch.is_grad_enabled():
        return _turn(x_BLHK, *turn)
    rotated: Tensor = _Rotate.apply(x_BLHK, *turn)  # type: ignore[no-untyped-call]
    return rotated


class _Rotate(torch.autograd.Function):
    """A hand-written gradient: turning back needs the angles only, and no copy of x is kept."""

    @staticmethod
    def forward(ctx: Any, x_BLHK: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turn(x_BLHK, cos, sin)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BLHK: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turn(grad_BLHK, cos, -sin), None, None


def _turn(x_BLHK: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x_BLHK.chunk(2, dim=-1)
    out_BLHK = torch.empty(x_BLHK.shape, dtype=x_BLHK.dtype, device=x_BLHK.device)
    out_first, out_second = out_BLHK.chunk(2, dim=-1)
    torch.mul(first, cos, out=out_first).addcmul_(second, sin, value=-1)
    torch.mul(second, cos, out=out_second).addcmul_(first, sin)
    return out_BLHK


def _stretch(frequencies_R: Tensor, scaling: RotaryScaling) -> Tensor:
    """Slow the frequencies down; between the two bounds of llama3 the change is blended in."""
    if scaling.kind == "linear":
        return frequencies_R / scaling.factor
    # Operation by operation as transformers does it, so that angles far along the text agree to the bit
    waves_in_context_R = scaling.original_context / (2 * math.pi / frequencies_R)
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    keep_R = ((waves_in_context_R - low) / (high - low)).clamp(0.0, 1.0)
    return (1 - keep_R) * frequencies_R / scaling.factor + keep_R * frequencies_R
