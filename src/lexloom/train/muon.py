"""Muon: momentum whose update is orthogonalised, for the hidden matrices of a network (Jordan et al. 2024).

torch.optim.Muon computes in bfloat16, one matrix after another, which is many times slower on a CPU without bfloat16;
here all matrices of one shape are orthogonalised together, in the parameters' own precision.
Source: https://kellerjordan.github.io/posts/muon/
Axes: N matrices of one shape, R rows, C columns (R ≤ C).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# The quintic that lifts small singular values fastest while all end within about 0.7 … 1.2 (Jordan et al. 2024).
QUINTIC = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5
EPSILON = 1e-7
# From this width on, iterating on the R × R Gram matrix costs less than on the R × C matrix itself.
GRAM_FROM_COLUMNS_PER_ROW = 2

Parts = tuple[int, ...]
"""Heights of the matrices that one parameter stacks by rows, for example of query, key and value."""


@dataclass(frozen=True)
class Muon:
    """Nesterov momentum, orthogonalised, with decoupled weight decay.

    `parts[i]` are the heights of the matrices stacked in parameter i; each is orthogonalised by itself, as if it were
    a parameter of its own.
    """

    momentum: float
    parts: tuple[Parts, ...]

    def new_state(self, parameters: list[Tensor]) -> dict[str, list[Tensor]]:
        """The momentum."""
        return {"momentum": [torch.zeros_like(parameter) for parameter in parameters]}

    def update(
        self,
        parameters: list[Tensor],
        gradients: list[Tensor],
        state: dict[str, list[Tensor]],
        *,
        lr: float,
        weight_decay: float,
    ) -> None:
        """One step, in place."""
        torch._foreach_lerp_(state["momentum"], gradients, 1 - self.momentum)
        updates = orthogonalised(list(torch._foreach_lerp(gradients, state["momentum"], self.momentum)), self.parts)
        torch._foreach_mul_(parameters, 1 - lr * weight_decay)
        torch._foreach_add_(parameters, updates, alpha=-lr)


def orthogonalised(matrices: list[Tensor], parts: Sequence[Parts]) -> list[Tensor]:
    """U Vᵀ of each matrix's singular value decomposition, nearly, times √(rows / columns) where it is taller than wide.

    `parts` as in `Muon`.
    """
    results = [torch.empty_like(matrix) for matrix in matrices]
    alike: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = {}
    for matrix, result, stacked in zip(matrices, results, parts, strict=True):
        for source, target in zip(torch.split(matrix, list(stacked)), torch.split(result, list(stacked)), strict=True):
            alike.setdefault((source.shape[0], source.shape[1]), []).append((source, target))
    for (rows, columns), pairs in alike.items():
        x = torch.stack([source for source, _ in pairs])
        orthogonal = newton_schulz(x.mT).mT * (rows / columns) ** 0.5 if rows > columns else newton_schulz(x)
        for (_, target), piece in zip(pairs, orthogonal, strict=True):
            target.copy_(piece)
    return results


def newton_schulz(x_NRC: Tensor) -> Tensor:
    """Five steps of x ← a x + b (x xᵀ) x + c (x xᵀ)² x; singular values end near 1, not at it."""
    x_NRC = x_NRC / (x_NRC.norm(dim=(1, 2), keepdim=True) + EPSILON)
    if x_NRC.shape[2] >= GRAM_FROM_COLUMNS_PER_ROW * x_NRC.shape[1]:
        return _by_gram_matrix(x_NRC)
    a, b, c = QUINTIC
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram_NRR = x_NRC @ x_NRC.mT
        gram_NRR = torch.baddbmm(gram_NRR, gram_NRR, gram_NRR, beta=b, alpha=c)
        x_NRC = torch.baddbmm(x_NRC, gram_NRR, x_NRC, beta=a)
    return x_NRC


def _by_gram_matrix(x_NRC: Tensor) -> Tensor:
    """The same polynomial: as each factor p is a polynomial of g = x xᵀ, p and g commute, and the next g is p g p."""
    a, b, c = QUINTIC
    gram_NRR = x_NRC @ x_NRC.mT
    product_NRR = None
    for step in range(NEWTON_SCHULZ_STEPS):
        factor_NRR = torch.baddbmm(gram_NRR, gram_NRR, gram_NRR, beta=b, alpha=c)
        factor_NRR.diagonal(dim1=1, dim2=2).add_(a)
        product_NRR = factor_NRR if product_NRR is None else factor_NRR @ product_NRR
        if step + 1 < NEWTON_SCHULZ_STEPS:
            gram_NRR = factor_NRR @ gram_NRR @ factor_NRR
    assert product_NRR is not None, "there is at least one step"
    return product_NRR @ x_NRC
