"""An LSTM whose state is projected to a smaller width, cells and projections clipped: the layer of ELMo.

Texts are packed step by step (nn/steps.py), so that nothing is padded; the gradient is written out, because a graph of
every step costs autograd more than the products do.
Source: Sak et al. 2014, arXiv:1402.1128 (projection); the clips are those of TensorFlow's LSTMCell and of AllenNLP.
Axes: T tokens (packed), R texts (sorted, the longest first), C cell width, P projection width, G = 4·C stacked gates.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lexloom.nn.linear import Linear, product
from lexloom.nn.steps import Steps

States = tuple[Tensor, Tensor]
"""What it remembers of each text: projected states (R, P) and cells (R, C)."""


class ProjectedLSTM(nn.Module):
    """c = clip(f · c + i · g), h = clip(W (o · tanh(c))); the gates i, f, o, g are stacked in this order."""

    def __init__(self, inputs: int, cell_width: int, width: int, *, cell_clip: float, clip: float) -> None:
        super().__init__()
        self.cell_width, self.width, self.cell_clip, self.clip = cell_width, width, cell_clip, clip
        self.inputs = Linear(inputs, *[cell_width] * 4, bias=True)
        self.recurrent = Linear(width, *[cell_width] * 4, bias=False)
        self.output = Linear(cell_width, width, bias=False)

    def forward(self, x_TD: Tensor, steps: Steps, before: States | None = None) -> tuple[Tensor, Tensor]:
        """Packed inputs → the states after each token, (T, P), and its cells (T, C), which carry no gradient.

        `before` are the states of the sorted texts before their first token; nothing is remembered if not given.
        """
        texts = steps.sizes[0]
        h_RP, c_RC = (x_TD.new_zeros(texts, size) for size in (self.width, self.cell_width))
        h_RP, c_RC = (h_RP, c_RC) if before is None else before
        h_TP, c_TC = _Projected.apply(  # type: ignore[no-untyped-call]
            self.inputs(x_TD), self.recurrent.weight, self.output.weight, h_RP, c_RC, steps.sizes,
            (self.cell_clip, self.clip),
        )  # fmt: skip
        return h_TP, c_TC


class _Projected(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_TG: Tensor,
        recurrent_GP: Tensor,
        output_PC: Tensor,
        h_RP: Tensor,
        c_RC: Tensor,
        sizes: tuple[int, ...],
        clips: tuple[float, float],
    ) -> States:
        cell_width = output_PC.shape[1]
        gates_TG = torch.empty_like(x_TG)
        c_TC, tanh_TC, inner_TC = (x_TG.new_empty(len(x_TG), cell_width) for _ in range(3))
        h_TP = x_TG.new_empty(len(x_TG), len(output_PC))
        h, c, recurrent_PG, output_CP = h_RP, c_RC, recurrent_GP.t(), output_PC.t()
        stored = zip(
            *(torch.split(x, list(sizes)) for x in (x_TG, gates_TG, c_TC, tanh_TC, inner_TC, h_TP)), strict=True
        )
        for x, gates, c_t, tanh_t, inner_t, h_t in stored:
            rows = len(x)
            torch.add(x, product(h[:rows], recurrent_PG), out=gates)
            gates[:, : 3 * cell_width].sigmoid_()
            gates[:, 3 * cell_width :].tanh_()
            i, f, o, g = gates.split(cell_width, dim=1)
            torch.mul(f, c[:rows], out=c_t).addcmul_(i, g).clamp_(-clips[0], clips[0])
            torch.mul(o, torch.tanh(c_t, out=tanh_t), out=inner_t)
            torch.clamp(product(inner_t, output_CP), -clips[1], clips[1], out=h_t)
            h, c = h_t, c_t
        ctx.save_for_backward(recurrent_GP, output_PC, h_RP, c_RC, gates_TG, c_TC, tanh_TC, inner_TC, h_TP)
        ctx.sizes, ctx.clips = sizes, clips
        ctx.mark_non_differentiable(c_TC)
        return h_TP, c_TC

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, wanted_TP: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        recurrent_GP, output_PC, h_RP, c_RC, gates_TG, c_TC, tanh_TC, inner_TC, h_TP = ctx.saved_tensors
        sizes, cell_width = ctx.sizes, output_PC.shape[1]
        grad_TG, grad_TP = torch.empty_like(gates_TG), torch.empty_like(h_TP)
        h_grad_RP, c_grad_RC = torch.zeros_like(h_RP), torch.zeros_like(c_RC)
        h_before, c_before = _before(h_RP, h_TP, sizes), _before(c_RC, c_TC, sizes)
        free_TP, free_TC = h_TP.abs() < ctx.clips[1], c_TC.abs() < ctx.clips[0]
        views = (gates_TG, grad_TG, grad_TP, tanh_TC, wanted_TP, free_TP, free_TC)
        stored = list(zip(*(torch.split(x, list(sizes)) for x in views), c_before, strict=True))
        for gates, grads, grad, tanh, wanted, free_h, free_c, c in reversed(stored):
            dh, dc = h_grad_RP[: len(gates)], c_grad_RC[: len(gates)]
            torch.mul(dh.add_(wanted), free_h, out=grad)
            inner = product(grad, output_PC)
            i, f, o, g = gates.split(cell_width, dim=1)
            dc.add_(torch.ops.aten.tanh_backward(inner * o, tanh)).mul_(free_c)
            i_grad, f_grad, o_grad, g_grad = grads.split(cell_width, dim=1)
            torch.mul(dc, g, out=i_grad)
            torch.mul(dc, c, out=f_grad)
            torch.mul(inner, tanh, out=o_grad)
            opened, opened_grad = gates[:, : 3 * cell_width], grads[:, : 3 * cell_width]
            torch.ops.aten.sigmoid_backward.grad_input(opened_grad, opened, grad_input=opened_grad)
            torch.ops.aten.tanh_backward.grad_input(dc * i, g, grad_input=g_grad)
            dc.mul_(f)
            dh.copy_(product(grads, recurrent_GP))
        recurrent_grad_GP = product(grad_TG.t(), torch.cat(h_before))
        return grad_TG, recurrent_grad_GP, product(grad_TP.t(), inner_TC), h_grad_RP, c_grad_RC, None, None


def _before(first: Tensor, x_T: Tensor, sizes: tuple[int, ...]) -> list[Tensor]:
    """For each step the states that it began with."""
    return [x[:rows] for x, rows in zip((first, *torch.split(x_T, list(sizes))[:-1]), sizes, strict=True)]
