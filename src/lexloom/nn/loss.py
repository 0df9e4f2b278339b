"""Cross entropy over a large vocabulary without ever holding all scores.

Axes: T tokens, D width, V vocabulary, C tokens of one chunk.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lexloom.nn.linear import add_product_, product

IGNORE = -100

CHUNK_SCORES = 1 << 23  # scores held at once, 32 MB in float32
MIN_CHUNK_TOKENS = 64  # fewer starve the matrix product


def vocabulary_loss(
    x_TD: Tensor,
    head_weight_VD: Tensor,
    targets_T: Tensor,
    *,
    bias: Tensor | None = None,
    smoothing: float = 0.0,
    chunk_tokens: int | None = None,
) -> Tensor:
    """Sum over tokens of −log softmax(head_weight · x + bias)[target], a scalar in float32 or better.

    `bias` has one value for each word of the vocabulary (V). `smoothing` is the share of each target that is spread
    evenly over the vocabulary (Szegedy et al. 2016, arXiv:1512.00567).

    Tokens whose target is IGNORE cost nothing; if all are ignored, the sum is 0 and so are the gradients. The gradients
    are computed chunk by chunk in the forward pass, while the scores are at hand, so the memory is one chunk of scores
    plus one copy of each gradient. Source: Hsu et al. 2024, Liger Kernel, arXiv:2410.10989, section 3.2.
    """
    if chunk_tokens is None:
        chunk_tokens = max(MIN_CHUNK_TOKENS, CHUNK_SCORES // head_weight_VD.shape[0])
    loss: Tensor = _VocabularyLoss.apply(  # type: ignore[no-untyped-call]
        x_TD, head_weight_VD, bias, targets_T, smoothing, chunk_tokens
    )
    return loss


class _VocabularyLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_TD: Tensor,
        weight_VD: Tensor,
        bias_V: Tensor | None,
        targets_T: Tensor,
        smoothing: float,
        chunk_tokens: int,
    ) -> Tensor:
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        kept_T = (targets_T != IGNORE).nonzero().squeeze(1)
        everything = len(kept_T) == len(targets_T)
        kept_x_TD = x_TD if everything else x_TD[kept_T]
        kept_targets_T = targets_T if everything else targets_T[kept_T]

        total = torch.zeros((), dtype=torch.float64, device=x_TD.device)
        x_grad_TD = torch.empty_like(kept_x_TD) if needs_x else None
        weight_grad_VD = torch.zeros_like(weight_VD) if needs_weight else None
        bias_grad_V = torch.zeros_like(bias_V) if bias_V is not None and needs_bias else None
        for start in range(0, len(kept_T), chunk_tokens):
            chunk = slice(start, start + chunk_tokens)
            x_CD, targets_C1 = kept_x_TD[chunk], kept_targets_T[chunk, None]
            log_probs_CV = torch.log_softmax(_scores(x_CD, weight_VD, bias_V), dim=-1)
            total -= (1 - smoothing) * log_probs_CV.gather(1, targets_C1).sum(dtype=torch.float64)
            if smoothing:
                total -= smoothing * log_probs_CV.mean(dim=-1).sum(dtype=torch.float64)
            # d loss / d scores = softmax − target, written over the scores
            if any(ctx.needs_input_grad):
                scores_grad_CV = log_probs_CV.exp_()
                scores_grad_CV.scatter_add_(1, targets_C1, torch.full_like(targets_C1, smoothing - 1, dtype=x_TD.dtype))
                if smoothing:
                    scores_grad_CV -= smoothing / weight_VD.shape[0]
            if x_grad_TD is not None:
                x_grad_TD[chunk] = product(scores_grad_CV, weight_VD)
            if weight_grad_VD is not None:
                add_product_(weight_grad_VD, scores_grad_CV.t(), x_CD)
            if bias_grad_V is not None:
                bias_grad_V += scores_grad_CV.sum(0)

        if x_grad_TD is not None and not everything:
            x_grad_TD = torch.zeros_like(x_TD).index_copy_(0, kept_T, x_grad_TD)
        ctx.save_for_backward(x_grad_TD, weight_grad_VD, bias_grad_V)
        return total.to(torch.promote_types(x_TD.dtype, torch.float32))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        scaled = (None if saved is None else saved * grad.to(saved.dtype) for saved in ctx.saved_tensors)
        return (*scaled, None, None, None)


def _scores(x_CD: Tensor, weight_VD: Tensor, bias_V: Tensor | None) -> Tensor:
    scores_CV = product(x_CD, weight_VD.t())
    return scores_CV if bias_V is None else scores_CV.add_(bias_V)
