"""Every matrix product of every model goes through this file, so that the engine behind it is chosen in one place.

Axes: T tokens (all leading axes flattened), M, N, K rows, columns and the summed dimension of a product.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from lexloom.nn.inference import inference_linear, is_inference, pack


class Linear(nn.Module):
    """x (…, inputs) → x @ weightᵀ + bias (…, outputs); weight (outputs, inputs) as torch and safetensors store it.

    `parts` are the heights of the matrices that the weight stacks (query, key and value, say); their sum is `outputs`.
    The parameters are left unfilled: `models.new_model` or a model folder fills them.
    """

    def __init__(self, inputs: int, *parts: int, bias: bool) -> None:
        super().__init__()
        self.parts = parts
        self.weight = nn.Parameter(torch.empty(sum(parts), inputs))
        self.bias = nn.Parameter(torch.empty(sum(parts))) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)

    def gelu(self, x: Tensor, approximate: str) -> Tensor:
        """GELU of the layer; without a gradient in the same pass over memory."""
        if is_inference(x):
            return inference_linear(x, self.weight, self.bias, packed=_packed(self.weight), gelu=approximate)
        return functional.gelu(self(x), approximate=approximate)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x (…, K) @ weight (N, K)ᵀ + bias (N) → (…, N), differentiable (once, unless the engine is torch's)."""
    if is_inference(x):
        return inference_linear(x, weight, bias, packed=_packed(weight))
    if _engine is torch.mm or not _fits(x):
        return functional.linear(x, weight, bias)
    y: Tensor = _Linear.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return y


def pack_for_inference(model: nn.Module) -> None:
    """Let texts pass through a model's layers fastest without a gradient, at the price of a second copy of the weights.

    A quarter of the time of a single sentence, a twentieth of that of many; see benchmarks/encode.py. The head of a
    model that writes is a product too: with eight rows it takes half of the time or less.
    """
    weights = [module.weight for module in model.modules() if isinstance(module, Linear)]
    head = getattr(model, "head_weight_VD", None)
    for weight in weights if head is None else [*weights, head]:
        packed = pack(weight)
        if packed is not None:
            vars(weight)[PACKED] = packed, weight._version


PACKED = "packed_for_inference"
"""The attribute of a weight that holds its packed copy, and which version of the weight that was."""


def _packed(weight: Tensor) -> Tensor | None:
    """The packed copy of a weight; None if there is none, or the weight was changed in place since."""
    kept = vars(weight).get(PACKED)
    return kept[0] if kept is not None and kept[1] == weight._version else None


def product(a_MK: Tensor, b_KN: Tensor) -> Tensor:
    """a @ b → (M, N), for code that writes its own gradient."""
    return _engine(a_MK, b_KN) if _fits(a_MK) else torch.mm(a_MK, b_KN)


def batched_product(a_BMK: Tensor, b_BKN: Tensor) -> Tensor:
    """a @ b for each of many small matrices, in any layout → (…, M, N); differentiable through torch's own only.

    OpenBLAS takes them as they lie; torch copies what isn't contiguous first, and is 1.1 to 5 times as slow.
    """
    differentiable = torch.is_grad_enabled() and (a_BMK.requires_grad or b_BKN.requires_grad)
    if _engine is torch.mm or differentiable or not _fits(a_BMK):
        return a_BMK @ b_BKN
    return _numpy_product(a_BMK, b_BKN)


def add_product_(sum_MN: Tensor, a_MK: Tensor, b_KN: Tensor) -> None:
    """Add a @ b to `sum_MN` in place, for code that writes its own gradient."""
    if _engine is torch.mm or not _fits(a_MK):
        sum_MN.addmm_(a_MK, b_KN)
    else:
        sum_MN.add_(_engine(a_MK, b_KN))


def repeated_product(weight_NK: Tensor, times: int) -> Callable[[Tensor], Tensor]:
    """x (M, K) → x @ weightᵀ (M, N) as often as `times`, for code that writes its own gradient, such as recurrences.

    A weight that few rows pass many times is laid out for them first, where that pays.
    """
    packed = pack(weight_NK) if times >= PAYS_TO_PACK and _engine is not _bfloat16_product else None
    if packed is not None:
        return lambda x_MK: inference_linear(x_MK, weight_NK, None, packed=packed)
    if times >= PAYS_TO_PACK:
        return lambda x_MK: product(x_MK, weight_NK.t())
    return lambda x_MK: linear(x_MK, weight_NK)


PAYS_TO_PACK = 8
"""Products of a few dozen rows, in the time that packing takes; benchmarks/recurrent.py."""

# ---- engines ----


def _numpy_product(a_MK: Tensor, b_KN: Tensor) -> Tensor:
    """Through the OpenBLAS inside numpy, on the same memory: on AMD it is up to 1.5 times as fast as torch's MKL."""
    product_MN = torch.empty(*a_MK.shape[:-1], b_KN.shape[-1])
    np.matmul(a_MK.detach().numpy(), b_KN.detach().numpy(), out=product_MN.numpy())
    return product_MN


def _bfloat16_product(a_MK: Tensor, b_KN: Tensor) -> Tensor:
    """Factors rounded to bfloat16, sums in float32; fast only on processors that multiply bfloat16 in hardware."""
    return torch.mm(a_MK.bfloat16(), b_KN.bfloat16()).float()


ENGINES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "torch": torch.mm,
    "numpy": _numpy_product,
    "bfloat16": _bfloat16_product,
}
_engine: Callable[[Tensor, Tensor], Tensor] = torch.mm


def use_engine(name: str) -> None:
    """Let all matrix products of this process, on CPU and in float32, go through one of ENGINES.

    The engines agree to the rounding of the precision they compute in, not to the bit.
    """
    global _engine
    _engine = ENGINES[name]


def _fits(x: Tensor) -> bool:
    return x.dtype == torch.float32 and x.device.type == "cpu"


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight_NK: Tensor, bias_N: Tensor | None) -> Tensor:
        y_TN = _engine(x.reshape(-1, x.shape[-1]), weight_NK.t())
        if bias_N is not None:
            y_TN += bias_N
        ctx.save_for_backward(x, weight_NK)
        return y_TN.view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight_NK = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        grad_TN = grad.reshape(-1, grad.shape[-1])
        return (
            _engine(grad_TN, weight_NK).view(x.shape) if needs_x else None,
            _engine(grad_TN.t(), x.reshape(-1, x.shape[-1])) if needs_weight else None,
            grad_TN.sum(0) if needs_bias else None,
        )
