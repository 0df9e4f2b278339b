"""How probable each target is under a large vocabulary, without ever holding all scores.

What a decoder has for it is one of two: `head_weight_VD`, the matrix that makes scores out of states, or, where no
matrix does (counted models), `log_probabilities(x_SD, targets_S)`.
Axes: T tokens, S targets, D width, V vocabulary, C targets of one chunk.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lexloom.nn.linear import add_product_, product
from lexloom.nn.loss import CHUNK_SCORES, IGNORE, MIN_CHUNK_TOKENS, vocabulary_loss

SCORES_AT_ONCE = 1 << 22
"""Vocabulary scores held at once where no gradient is wanted: 16 MB."""


def total_nats(model: Any, x_TD: Tensor, targets_T: Tensor) -> Tensor:
    """Sum over tokens of −log p(target), a scalar with a gradient if the model has any; IGNORE costs nothing."""
    if not hasattr(model, "log_probabilities"):
        return vocabulary_loss(x_TD, model.head_weight_VD, targets_T)
    kept_T = targets_T != IGNORE
    found_S: Tensor = model.log_probabilities(x_TD[kept_T], targets_T[kept_T])
    return -found_S.sum(dtype=torch.float64).float()


def log_probabilities(model: Any, x_SD: Tensor, targets_S: Tensor) -> Tensor:
    """log p(target) of each target (S), float32, for measuring; a chunk of scores is held at a time."""
    if hasattr(model, "log_probabilities"):
        found_S: Tensor = model.log_probabilities(x_SD, targets_S)
        return found_S
    chunk = max(16, SCORES_AT_ONCE // model.config.vocab_size)
    parts = []
    for x_CD, targets_C in zip(torch.split(x_SD, chunk), torch.split(targets_S, chunk), strict=True):
        scores_CV = model.scores(x_CD).float()
        parts.append(scores_CV.gather(1, targets_C[:, None])[:, 0] - scores_CV.logsumexp(1))
    return torch.cat(parts)


def target_nats(x_SD: Tensor, head_weight_VD: Tensor, targets_S: Tensor, *, chunk_targets: int | None = None) -> Tensor:
    """−log softmax(head_weight · x)[target] of each target, (S), where `nn.loss` gives their sum.

    Losses that weigh whole answers against one another know the weight of a target only when all are scored, so the
    scores are computed a second time for the gradient.
    """
    if chunk_targets is None:
        chunk_targets = max(MIN_CHUNK_TOKENS, CHUNK_SCORES // head_weight_VD.shape[0])
    nats: Tensor = _TargetNats.apply(x_SD, head_weight_VD, targets_S, chunk_targets)  # type: ignore[no-untyped-call]
    return nats


class _TargetNats(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_SD: Tensor, weight_VD: Tensor, targets_S: Tensor, chunk_targets: int) -> Tensor:
        nats_S = torch.empty(len(targets_S), dtype=x_SD.dtype, device=x_SD.device)
        for chunk in _chunks(len(targets_S), chunk_targets):
            scores_CV = product(x_SD[chunk], weight_VD.t())
            chosen_C = scores_CV.gather(1, targets_S[chunk, None]).squeeze(1)
            nats_S[chunk] = torch.logsumexp(scores_CV, dim=-1) - chosen_C
        ctx.save_for_backward(x_SD, weight_VD, targets_S)
        ctx.chunk_targets = chunk_targets
        return nats_S

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_S: Tensor) -> tuple[Tensor | None, ...]:
        x_SD, weight_VD, targets_S = ctx.saved_tensors
        needs_x, needs_weight = ctx.needs_input_grad[:2]
        x_grad_SD = torch.empty_like(x_SD) if needs_x else None
        weight_grad_VD = torch.zeros_like(weight_VD) if needs_weight else None
        for chunk in _chunks(len(targets_S), ctx.chunk_targets):
            # d nats / d scores = softmax − one-hot
            scores_grad_CV = torch.softmax(product(x_SD[chunk], weight_VD.t()), dim=-1)
            targets_C1 = targets_S[chunk, None]
            scores_grad_CV.scatter_add_(1, targets_C1, -torch.ones_like(targets_C1, dtype=x_SD.dtype))
            scores_grad_CV *= grad_S[chunk, None]
            if x_grad_SD is not None:
                x_grad_SD[chunk] = product(scores_grad_CV, weight_VD)
            if weight_grad_VD is not None:
                add_product_(weight_grad_VD, scores_grad_CV.t(), x_SD[chunk])
        return x_grad_SD, weight_grad_VD, None, None


def _chunks(targets: int, chunk_targets: int) -> Iterator[slice]:
    for start in range(0, targets, chunk_targets):
        yield slice(start, start + chunk_targets)
