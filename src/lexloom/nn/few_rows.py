"""Products with a handful of rows, as in decoding: bound by how fast the weights stream through memory.

On AMD torch's one-row products reach a third of that speed; the OpenBLAS inside numpy comes near all of it where the
long side of the weight lies contiguous. One thread nearly fills the memory's bandwidth, while threads that wait for one
another several hundred times a token can be ten times slower on a busy machine (benchmarks/decode.py).
Axes: T tokens, N, K outputs and inputs of a weight, D width.
"""

import contextlib
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

FEW_ROWS = 8


def are_few_rows(x: Tensor) -> bool:
    """Whether `few_rows_linear` may and should be used: no gradient wanted, float32 on a CPU, at most 8 rows."""
    return (
        not torch.is_grad_enabled()
        and x.numel() <= FEW_ROWS * x.shape[-1]
        and x.dtype == torch.float32
        and x.device.type == "cpu"
    )


def few_rows_linear(x: Tensor, weight_NK: Tensor, bias_N: Tensor | None) -> Tensor:
    """x (…, K) @ weightᵀ + bias → (…, N), without gradient."""
    x_TK, weight = x.reshape(-1, x.shape[-1]).detach().numpy(), weight_NK.detach().numpy()
    if len(x_TK) > 1 and weight.flags.c_contiguous:
        y_TN = torch.from_numpy(np.matmul(weight, x_TK.T)).t().contiguous()
    else:
        y_TN = torch.from_numpy(np.matmul(x_TK, weight.T))
    if bias_N is not None:
        y_TN += bias_N
    return y_TN.view(*x.shape[:-1], -1)


def lay_out_for_few_rows(model: Any) -> None:
    """Lay the weights of a torch model so that few rows pass through them fastest; shapes and values stay.

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
