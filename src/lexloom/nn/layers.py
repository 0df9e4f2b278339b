"""Norms and feed-forward layers.

Axes: B batch, L length, D width, F inner width of a feed-forward layer.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from lexloom.nn.linear import Linear


class RMSNorm(nn.Module):
    """x / √(mean(x²) + epsilon) · weight over the last axis. Source: Zhang & Sennrich 2019, arXiv:1910.07467."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, self.weight.shape, self.weight, self.epsilon)


class LayerNorm(nn.Module):
    """(x − mean) / √(variance + epsilon) · weight + bias over the last axis. Source: arXiv:1607.06450."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.empty(width)), nn.Parameter(torch.empty(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, self.weight.shape, self.weight, self.bias, self.epsilon)


class Embedding(nn.Module):
    """One row of `weight` (count, width) for each id."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(count, width))

    def forward(self, ids: Tensor) -> Tensor:
        return functional.embedding(ids, self.weight)


class GeluMLP(nn.Module):
    """Linear, GELU in its tanh form, linear, as in GPT-2 (arXiv:1606.08415, section 2)."""

    def __init__(self, width: int, ffn_width: int) -> None:
        super().__init__()
        self.up = Linear(width, ffn_width, bias=True)
        self.down = Linear(ffn_width, width, bias=True)

    def forward(self, x_BLD: Tensor) -> Tensor:
        y_BLD: Tensor = self.down(functional.gelu(self.up(x_BLD), approximate="tanh"))
        return y_BLD


class GatedMLP(nn.Module):
    """down(silu(gate(x)) · up(x)), gate and up as one matrix product. Source: SwiGLU, arXiv:2002.05202."""

    def __init__(self, width: int, ffn_width: int) -> None:
        super().__init__()
        self.gate_up = Linear(width, ffn_width, ffn_width, bias=False)
        self.down = Linear(ffn_width, width, bias=False)

    def forward(self, x_BLD: Tensor) -> Tensor:
        gate_BLF, up_BLF = self.gate_up(x_BLD).chunk(2, dim=-1)
        y_BLD: Tensor = self.down(functional.silu(gate_BLF) * up_BLF)
        return y_BLD
