"""Every matrix product of every model goes through this file, so that the engine behind it is chosen in one place.

Axes: M, N, K rows, columns and the summed dimension of a product.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Linear(nn.Module):
    """x (…, inputs) → x @ weightᵀ + bias (…, outputs); weight (outputs, inputs) as torch and safetensors store it.

    The parameters are left unfilled: `models.new_model` or a model folder fills them.
    """

    def __init__(self, inputs: int, outputs: int, *, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x (…, K) @ weight (N, K)ᵀ + bias (N) → (…, N), differentiable."""
    return functional.linear(x, weight, bias)


def product(a_MK: Tensor, b_KN: Tensor) -> Tensor:
    """a @ b → (M, N), for code that writes its own gradient."""
    return torch.mm(a_MK, b_KN)


def add_product_(sum_MN: Tensor, a_MK: Tensor, b_KN: Tensor) -> None:
    """Add a @ b to `sum_MN` in place, for code that writes its own gradient."""
    sum_MN.addmm_(a_MK, b_KN)
