"""Products without a gradient: decoding, encoding, evaluation.

torch sends them to MKL, which on AMD loses to oneDNN (which torch holds as well) at every size, and by far where rows
are few and a product is bound by how fast the weights stream through memory. A single row is fastest through the
OpenBLAS inside numpy. With a single row one thread nearly fills the memory's bandwidth, while threads that wait for one
another hundreds of times a token can be ten times slower on a busy machine. Measured by benchmarks/decode.py and
benchmarks/encode.py.
Axes: T tokens, N, K outputs and inputs of a weight.
"""

import contextlib
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor
from torch.nn import functional

USUAL_ROWS = 512
"""The rows of a product that weights are packed for; others are as fast."""


def is_inference(x: Tensor) -> bool:
    """Whether `inference_linear` may and should be used: no gradient wanted, float32 on a CPU, a row or more."""
    return (
        not torch.is_grad_enabled()
        and x.dtype == torch.float32
        and x.device.type == "cpu"
        and x.numel() > 0
        and (_has_onednn() or x.numel() == x.shape[-1])
    )


def inference_linear(
    x: Tensor, weight_NK: Tensor, bias_N: Tensor | None, *, packed: Tensor | None = None, gelu: str | None = None
) -> Tensor:
    """x (…, K) @ weightᵀ + bias → (…, N), without gradient; `packed` is the same weight from `pack`.

    `gelu` ("none" for the exact one, or "tanh") is applied to the product while it is at hand.
    """
    if x.numel() > x.shape[-1]:
        weight = weight_NK if packed is None else packed
        after = ("none", "") if gelu is None else ("gelu", gelu)
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias_N, after[0], [], after[1])
        return y
    y_N = torch.from_numpy(np.matmul(weight_NK.detach().numpy(), x.detach().numpy().reshape(-1)))
    if bias_N is not None:
        y_N += bias_N
    if gelu is not None:
        y_N = functional.gelu(y_N, approximate=gelu)
    return y_N.view(*x.shape[:-1], -1)


def pack(weight_NK: Tensor) -> Tensor | None:
    """A copy of a weight in the blocks that oneDNN reads one after the other; None where there is no oneDNN."""
    if not _has_onednn() or weight_NK.dtype != torch.float32 or weight_NK.device.type != "cpu":
        return None
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight_NK.detach(), USUAL_ROWS)
    return packed


def lay_out_for_few_rows(model: Any) -> None:
    """Lay the weights of a torch model so that one row or a few pass through them fastest; shapes and values stay.

    The tall ones (N ≥ K) get their columns contiguous. Not for a model in training: it changes how sums are rounded.
    """
    for parameter in model.parameters():
        if parameter.ndim == 2 and parameter.shape[0] >= parameter.shape[1] and parameter.is_contiguous():
            parameter.data = parameter.data.t().contiguous().t()


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Compute with a single thread, torch and numpy alike, until the block ends."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _blas().limit(limits=1):
            yield
    finally:
        torch.set_num_threads(threads)


@cache
def _blas() -> ThreadpoolController:
    """The thread pools of numpy's matrix products; finding them takes 10 ms."""
    return ThreadpoolController().select(user_api="blas")


@cache
def _has_onednn() -> bool:
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return available and all(
        hasattr(torch.ops.mkldnn, name) for name in ("_linear_pointwise", "_reorder_linear_weight")
    )
