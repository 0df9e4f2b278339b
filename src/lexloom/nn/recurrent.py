"""Recurrent layers: texts packed step by step, and the LSTM and GRU that read them.

At each step all texts that are that long stand side by side, the longest first, so nothing is padded: one product for
the inputs of all steps, then for each step one product of the states before. The layout is that of
torch.nn.utils.rnn.PackedSequence. LSTMs run in torch's kernel; the GRU is ours, which trains up to twice as fast as
torch's (benchmarks/recurrent.py); and states after every token, which no kernel of torch keeps, are computed here.
Sources: Hochreiter & Schmidhuber 1997, Gers et al. 2000 (LSTM with forget gates); Cho et al. 2014, arXiv:1406.1078
(GRU); Schuster & Paliwal 1997 (two ways).
Axes: T tokens (packed: step by step), R texts (sorted: the longest first), G stacked gates, H width of a state.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lexloom.nn.dropout import Dropout
from lexloom.nn.init import fill
from lexloom.nn.layers import Embedding
from lexloom.nn.linear import Linear, linear, product, repeated_product
from lexloom.nn.steps import Steps

States = tuple[Tensor, ...]
"""What a cell remembers: (h, c) of an LSTM, (h,) of a GRU; h is what it says."""
Weights = tuple[Tensor, Tensor, Tensor, Tensor]
"""Of the inputs (G, D) and of the states (G, H), and both biases (G): torch's order."""


@dataclass(frozen=True)
class Cell:
    """A kind of recurrent cell; each text begins with the states (R, H) that it is given."""

    gates: int
    """How many matrices are stacked in its weights, in torch's order."""
    states: int
    run: Callable[[Tensor, Weights, States, Steps], Tensor]
    """Packed inputs (T, D) → what it says of each token (T, H)."""
    remember: Callable[[Tensor, Weights, States, Steps], States]
    """The states after each token, (T, H) each; without a gradient."""
    step: Callable[[Tensor, Weights, States], States]
    """The states after one more token of each text."""


class Recurrent(nn.Module):
    """One layer. `dropout` drops weights between a state and the next one, the same ones at all steps of a pass.

    Source of the dropout: Merity et al. 2017, arXiv:1708.02182, section 2.
    """

    def __init__(self, cell: str, inputs: int, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.cell, self.width = CELLS[cell], width
        self.inputs = Linear(inputs, *[width] * self.cell.gates, bias=True)
        self.recurrent = Linear(width, *[width] * self.cell.gates, bias=True)
        self.dropout = Dropout(dropout)

    def forward(self, x_TD: Tensor, steps: Steps, before: States | None = None) -> Tensor:
        """Packed inputs → what it says of each token, (T, H); `before` are the states of the sorted texts, (R, H)."""
        return self.cell.run(x_TD, self._weights, self._first(steps, before), steps)

    def step(self, x_RD: Tensor, before: States) -> States:
        """The states after one more token of each text, (R, H)."""
        return self.cell.step(x_RD, self._weights, before)

    @torch.no_grad()
    def remember(self, x_TD: Tensor, steps: Steps, before: States | None = None) -> States:
        """The states after each token, (T, H) each; the first of them is what it says."""
        return self.cell.remember(x_TD, self._weights, self._first(steps, before), steps)

    def blank(self, texts: int) -> States:
        """What it remembers before the first token: nothing, (R, H) each."""
        return (self.inputs.weight.new_zeros(texts, self.width),) * self.cell.states

    @property
    def _weights(self) -> Weights:
        assert self.inputs.bias is not None, "torch's cells have two biases"
        assert self.recurrent.bias is not None, "torch's cells have two biases"
        return self.inputs.weight, self.dropout(self.recurrent.weight), self.inputs.bias, self.recurrent.bias

    def _first(self, steps: Steps, before: States | None) -> States:
        return self.blank(len(steps.lengths)) if before is None else before


class TwoWay(nn.Module):
    """A layer that reads every text from both ends; what both say stands side by side."""

    def __init__(self, cell: str, inputs: int, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.rightward = Recurrent(cell, inputs, width // 2, dropout)
        self.leftward = Recurrent(cell, inputs, width // 2, dropout)

    def forward(self, x_TD: Tensor, steps: Steps) -> Tensor:
        """Packed inputs → (T, width): the left half has read up to the token, the right half down to it."""
        right_TH = self.rightward(x_TD, steps)
        left_TH = self.leftward(steps.flipped(x_TD), steps)
        return torch.cat([right_TH, steps.flipped(left_TH)], dim=-1)


def fill_recurrent(model: nn.Module, *, seed: int) -> None:
    """Fill all parameters of a model: tables normal with deviation 0.1, matrices with that of torch's recurrent layers.

    Biases are 0, those of an LSTM's forget gates 1, so that it begins by remembering (Jozefowicz et al. 2015).
    """
    tables = {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, Embedding)}
    widths = {name: p.shape[1] for name, p in model.named_parameters() if p.dim() > 1}

    def deviation(name: str) -> float:
        return TABLE_STD if name in tables else 1 / math.sqrt(3 * widths[name])

    fill(model, seed=seed, std_of=deviation)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, Recurrent) and module.cell is CELLS["lstm"]:
                assert module.inputs.bias is not None, "torch's cells have biases"
                module.inputs.bias[module.width : 2 * module.width] = 1.0


TABLE_STD = 0.1

# ---- LSTM: input and forget gates, what is new, output gates; i, f, g, o in torch's order ----


def _lstm(x_TD: Tensor, weights: Weights, before: States, steps: Steps) -> Tensor:
    first = [state_RH[None] for state_RH in before]
    # biases, layers, dropout between layers, training, two ways
    h_TH: Tensor = torch.lstm(x_TD, steps.sizes_L, first, weights, True, 1, 0.0, torch.is_grad_enabled(), False)[0]
    return h_TH


def _lstm_step(x_RD: Tensor, weights: Weights, before: States) -> States:
    return torch.lstm_cell(x_RD, list(before), *weights)


def _lstm_states(x_TD: Tensor, weights: Weights, before: States, steps: Steps) -> States:
    """c = f · c + i · g, h = o · tanh(c), of gates σ, σ, tanh, σ of W x + b + W h + b."""
    inputs_GD, weight_GH, *biases = weights
    gates_TG = linear(x_TD, inputs_GD, biases[0] + biases[1])
    width, (h, c), of_state = weight_GH.shape[1], before, repeated_product(weight_GH, len(steps.sizes))
    h_TH, c_TH = (gates_TG.new_empty(len(x_TD), width) for _ in range(2))
    for gates, h_next, c_next in zip(*(each_step(x, steps.sizes) for x in (gates_TG, h_TH, c_TH)), strict=True):
        rows = len(gates)
        gates += of_state(h[:rows])
        i, f, g, o = torch.split(gates, width, dim=1)
        torch.mul(f.sigmoid_(), c[:rows], out=c_next).addcmul_(i.sigmoid_(), g.tanh_())
        torch.mul(o.sigmoid_(), torch.tanh(c_next), out=h_next)
        h, c = h_next, c_next
    return h_TH, c_TH


# ---- GRU: reset and update gates, and what is new; r, z, n in torch's order ----


def _gru(x_TD: Tensor, weights: Weights, before: States, steps: Steps) -> Tensor:
    inputs_GD, weight_GH, inputs_bias_G, bias_G = weights
    x_TG = linear(x_TD, inputs_GD, inputs_bias_G)
    h_TH: Tensor = _GRU.apply(x_TG, weight_GH, bias_G, *before, steps.sizes)  # type: ignore[no-untyped-call]
    return h_TH


def _gru_states(x_TD: Tensor, weights: Weights, before: States, steps: Steps) -> States:
    return (_gru(x_TD, weights, before, steps),)


def _gru_step(x_RD: Tensor, weights: Weights, before: States) -> States:
    return (torch.gru_cell(x_RD, before[0], *weights),)


class _GRU(torch.autograd.Function):
    """h = n + z · (h − n), n = tanh(x + r · (W h + b)), of gates r, z: σ of the sum of inputs and W h + b."""

    @staticmethod
    def forward(
        ctx: Any, x_TG: Tensor, weight_GH: Tensor, bias_G: Tensor, h_RH: Tensor, sizes: tuple[int, ...]
    ) -> Tensor:
        width = weight_GH.shape[1]
        gates_TG = torch.empty_like(x_TG)
        h_TH, new_TH = (x_TG.new_empty(len(x_TG), width) for _ in range(2))
        r, z, n = _gates(gates_TG, sizes, width)
        both, xs = each_step(gates_TG[:, : 2 * width], sizes), each_step(x_TG, sizes)
        h, product_of = h_RH, repeated_product(weight_GH, len(sizes))
        for t, (h_t, new_t) in enumerate(zip(each_step(h_TH, sizes), each_step(new_TH, sizes), strict=True)):
            h = h[: sizes[t]]
            of_state = product_of(h).add_(bias_G)
            torch.add(xs[t][:, : 2 * width], of_state[:, : 2 * width], out=both[t]).sigmoid_()
            new_t.copy_(of_state[:, 2 * width :])
            torch.addcmul(xs[t][:, 2 * width :], r[t], new_t, out=n[t]).tanh_()
            h = torch.lerp(n[t], h, z[t], out=h_t)
        ctx.save_for_backward(weight_GH, h_RH, gates_TG, h_TH, new_TH)
        ctx.sizes = sizes
        return h_TH

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, h_grad_TH: Tensor) -> tuple[Tensor | None, ...]:
        weight_GH, h_RH, gates_TG, h_TH, new_TH = ctx.saved_tensors
        sizes, width = ctx.sizes, weight_GH.shape[1]
        x_grad_TG, state_grad_TG = torch.empty_like(gates_TG), torch.empty_like(gates_TG)
        r, z, n = _gates(gates_TG, sizes, width)
        r_grad, z_grad, n_grad = _gates(x_grad_TG, sizes, width)
        both, both_grad = each_step(gates_TG[:, : 2 * width], sizes), each_step(x_grad_TG[:, : 2 * width], sizes)
        before, new, grads = _before(h_RH, h_TH, sizes), each_step(new_TH, sizes), each_step(state_grad_TG, sizes)
        wanted, h_grad_RH = each_step(h_grad_TH, sizes), torch.zeros_like(h_RH)
        to_state = repeated_product(weight_GH.t().contiguous(), len(sizes))
        for t in reversed(range(len(sizes))):
            dh = h_grad_RH[: sizes[t]]
            dh += wanted[t]
            torch.ops.aten.tanh_backward.grad_input(dh - dh * z[t], n[t], grad_input=n_grad[t])
            torch.mul(n_grad[t], new[t], out=r_grad[t])
            torch.mul(dh, before[t] - n[t], out=z_grad[t])
            torch.ops.aten.sigmoid_backward.grad_input(both_grad[t], both[t], grad_input=both_grad[t])
            grads[t][:, : 2 * width] = both_grad[t]
            torch.mul(n_grad[t], r[t], out=grads[t][:, 2 * width :])
            dh.mul_(z[t]).add_(to_state(grads[t]))
        weight_grad_GH = product(state_grad_TG.t(), torch.cat(before))
        return x_grad_TG, weight_grad_GH, state_grad_TG.sum(0), h_grad_RH, None


CELLS = {
    "lstm": Cell(gates=4, states=2, run=_lstm, remember=_lstm_states, step=_lstm_step),
    "gru": Cell(gates=3, states=1, run=_gru, remember=_gru_states, step=_gru_step),
}


def each_step(x: Tensor, sizes: Sequence[int]) -> list[Tensor]:
    """Views of the rows of each step."""
    return list(torch.split(x, list(sizes)))


def _gates(gates_TG: Tensor, sizes: Sequence[int], width: int) -> list[list[Tensor]]:
    """The stacked gates, each as views of its steps."""
    return [each_step(gate_TH, sizes) for gate_TH in torch.split(gates_TG, width, dim=1)]


def _before(first_RH: Tensor, x_TH: Tensor, sizes: Sequence[int]) -> list[Tensor]:
    """For each step the states that it began with."""
    return [x[:rows] for x, rows in zip((first_RH, *each_step(x_TH, sizes)[:-1]), sizes, strict=True)]
