"""Norms and feed-forward layers.

Axes: B batch, L length, D width, F inner width of a feed-forward layer.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from lexloom.nn.linear import Linear


class RMSNorm(nn.Module):
    """x / √(mean(x²) + epsilon) · weight over the last axis. Source: Zhang & Sennrich 2019, arXiv:1910.07467."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return functional.rms_norm(x, self.weight.shape, self.weight, self.epsilon)
        y: Tensor = _RMSNorm.apply(x, self.weight, self.epsilon)  # type: ignore[no-untyped-call]
        return y


class _RMSNorm(torch.autograd.Function):
    """torch writes RMSNorm's gradient as a chain of small steps; this one is three times as fast on a CPU.

    The gradient of LayerNorm with the mean held at 0 differs from RMSNorm's by the mean of weight · grad alone, and
    LayerNorm's is one fused kernel.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight_D: Tensor, epsilon: float) -> Tensor:
        squares = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_()
        scale = squares.div_(x.shape[-1]).add_(epsilon).rsqrt_()
        ctx.save_for_backward(x, weight_D, scale)
        y: Tensor = (x * scale).mul_(weight_D)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight_D, scale = ctx.saved_tensors
        width = x.shape[-1]
        x_grad, weight_grad, _ = torch.ops.aten.native_layer_norm_backward(
            grad, x, [width], torch.zeros_like(scale), scale, weight_D, None, [True, True, False]
        )
        mean = (grad @ weight_D).unsqueeze(-1).mul_(scale).div_(width)
        return x_grad.add_(mean), weight_grad, None


class LayerNorm(nn.Module):
    """(x − mean) / √(variance + epsilon) · weight + bias over the last axis. Source: arXiv:1607.06450."""

    def __init__(self, width: int, epsilon: float, *, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))
        self.bias = nn.Parameter(torch.empty(width)) if bias else None
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
    """Linear, GELU (arXiv:1606.08415, section 2), linear; GELU in its `tanh` form as in GPT-2, or exact (`none`)."""

    def __init__(self, width: int, ffn_width: int, *, approximate: str = "tanh") -> None:
        super().__init__()
        self.approximate = approximate
        self.up = Linear(width, ffn_width, bias=True)
        self.down = Linear(ffn_width, width, bias=True)

    def forward(self, x_BLD: Tensor) -> Tensor:
        y_BLD: Tensor = self.down(self.up.gelu(x_BLD, self.approximate))
        return y_BLD


class GatedMLP(nn.Module):
    """down(silu(gate(x)) · up(x)), gate and up as one matrix product. Source: SwiGLU, arXiv:2002.05202."""

    def __init__(self, width: int, ffn_width: int) -> None:
        super().__init__()
        self.gate_up = Linear(width, ffn_width, ffn_width, bias=False)
        self.down = Linear(ffn_width, width, bias=False)

    def forward(self, x_BLD: Tensor) -> Tensor:
        y_BLD: Tensor = self.down(_swiglu(self.gate_up(x_BLD)))
        return y_BLD


def _swiglu(gate_up: Tensor) -> Tensor:
    """silu(gate) · up of both side by side."""
    if not torch.is_grad_enabled():
        gate, up = gate_up.chunk(2, dim=-1)
        return functional.silu(gate).mul_(up)
    inner: Tensor = _SwiGLU.apply(gate_up)  # type: ignore[no-untyped-call]
    return inner


class _SwiGLU(torch.autograd.Function):
    """The two gradients are written side by side, as gate and up are, instead of joined later."""

    @staticmethod
    def forward(ctx: Any, gate_up: Tensor) -> Tensor:
        gate, up = gate_up.chunk(2, dim=-1)
        active = functional.silu(gate)
        ctx.save_for_backward(gate_up, active)
        return active * up

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        gate_up, active = ctx.saved_tensors
        gate, up = gate_up.chunk(2, dim=-1)
        joined = torch.empty_like(gate_up)
        gate_grad, up_grad = joined.chunk(2, dim=-1)
        torch.mul(grad, active, out=up_grad)
        torch.ops.aten.silu_backward.grad_input(grad * up, gate, grad_input=gate_grad)
        return joined


def picked(x_BLD: Tensor, spots_S: Tensor | None) -> Tensor:
    """The states at some of the flattened B·L tokens, (S, D); all of them, as they are, if `spots_S` is None."""
    return x_BLD if spots_S is None else x_BLD.flatten(0, 1).index_select(0, spots_S)
