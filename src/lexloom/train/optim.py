"""Optimizers by name: which rule, rate and decay each parameter has; and their state as plain tensors."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from lexloom.base.errors import DamagedError
from lexloom.nn.layers import Embedding
from lexloom.nn.linear import Linear
from lexloom.train.muon import Muon, Parts
from lexloom.train.rules import SGD, AdamW, Rule, State
from lexloom.train.settings import LoopSettings

Named = dict[str, nn.Parameter]


@dataclass(frozen=True)
class Group:
    """Parameters that share a rule, a peak learning rate and a weight decay."""

    parameters: Named
    rule: Rule
    lr: float
    weight_decay: float


@dataclass(frozen=True)
class Kinds:
    """A model's parameters: hidden matrices, tables (embeddings and the head), vectors (biases and gains).

    `parts[i]` are the heights of the matrices stacked in the i-th hidden matrix.
    """

    matrices: Named
    parts: tuple[Parts, ...]
    tables: Named
    vectors: Named


Rates = Mapping[str, float]
"""Parameter → share of the peak learning rate that is its own, for example less in lower layers; 1 if not named."""


class Optimizer:
    """The groups of a model's parameters and their state. Parameters that need no gradient are none of its business."""

    def __init__(self, model: nn.Module, settings: LoopSettings, rates: Rates | None = None) -> None:
        self.parameters: Named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._groups = _groups(model, self.parameters, settings, {} if rates is None else rates)
        self._states: list[State] = [group.rule.new_state(list(group.parameters.values())) for group in self._groups]

    @property
    def peak_lr(self) -> float:
        """The peak learning rate of the first group, the one to show: none is higher under the same rule."""
        return self._groups[0].lr

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], lr_share: float) -> None:
        """Update the parameters, at this share of the peak learning rates; `gradients` in the parameters' order."""
        by_name = dict(zip(self.parameters, gradients, strict=True))
        for group, state in zip(self._groups, self._states, strict=True):
            mine = [by_name[name] for name in group.parameters]
            parameters: list[Tensor] = list(group.parameters.values())
            group.rule.update(parameters, mine, state, lr=group.lr * lr_share, weight_decay=group.weight_decay)

    def state(self) -> dict[str, Tensor]:
        """Every tensor that the next step depends on, as `parameter/key`, for example `norm.weight/momentum`."""
        return {
            f"{name}/{key}": tensor
            for group, state in zip(self._groups, self._states, strict=True)
            for key, tensors in state.items()
            for name, tensor in zip(group.parameters, tensors, strict=True)
        }

    def load_state(self, tensors: Mapping[str, Tensor], *, where: str) -> None:
        """Take over what `state` gave; raises DamagedError naming a tensor that is missing, extra or misshapen."""
        mine = self.state()
        for name in sorted(mine.keys() | tensors.keys()):
            expected, found = (tuple(table[name].shape) if name in table else None for table in (mine, tensors))
            if expected != found:
                raise DamagedError(f"{name} is {found}, the optimizer has {expected}", where=where)
        for name, tensor in mine.items():
            tensor.copy_(tensors[name])


def kinds_of(model: nn.Module, named: Named | None = None) -> Kinds:
    """Sort a model's parameters, or those named, by what they do, not by how they are called."""
    named = dict(model.named_parameters()) if named is None else named
    tables = {id(module.weight) for module in model.modules() if isinstance(module, Embedding | nn.Embedding)}
    tables.add(id(getattr(model, "head_weight_VD", None)))
    stacked = {id(module.weight): module.parts for module in model.modules() if isinstance(module, Linear)}
    matrices = {name: p for name, p in named.items() if p.dim() > 1 and id(p) not in tables}
    return Kinds(
        matrices=matrices,
        parts=tuple(stacked.get(id(p), (len(p),)) for p in matrices.values()),
        tables={name: p for name, p in named.items() if p.dim() > 1 and id(p) in tables},
        vectors={name: p for name, p in named.items() if p.dim() <= 1},
    )


def _groups(model: nn.Module, named: Named, settings: LoopSettings, rates: Rates) -> list[Group]:
    """The optimizer's groups for each rate, the highest rate first."""
    groups: list[Group] = []
    for rate in sorted({rates.get(name, 1.0) for name in named}, reverse=True):
        kinds = kinds_of(model, {name: p for name, p in named.items() if rates.get(name, 1.0) == rate})
        found = OPTIMIZERS[settings.optimizer](kinds, settings)
        groups += [replace(group, lr=group.lr * rate) for group in found if group.parameters]
    return groups


def _adamw(kinds: Kinds, settings: LoopSettings) -> list[Group]:
    """One rate for everything; matrices and tables decay."""
    rule = AdamW(settings.betas)
    return [
        Group(kinds.matrices | kinds.tables, rule, settings.lr, settings.weight_decay),
        Group(kinds.vectors, rule, settings.lr, 0.0),
    ]


def _sgd(kinds: Kinds, settings: LoopSettings) -> list[Group]:
    """One rate for everything; matrices and tables decay."""
    rule = SGD(settings.momentum)
    return [
        Group(kinds.matrices | kinds.tables, rule, settings.lr, settings.weight_decay),
        Group(kinds.vectors, rule, settings.lr, 0.0),
    ]


def _muon(kinds: Kinds, settings: LoopSettings) -> list[Group]:
    """Muon for the hidden matrices, AdamW for the rest (Jordan et al. 2024)."""
    muon = Muon(settings.momentum, kinds.parts)
    rest = _adamw(Kinds({}, (), kinds.tables, kinds.vectors), settings)
    return [Group(kinds.matrices, muon, settings.muon_lr, settings.weight_decay), *rest]


OPTIMIZERS: dict[str, Callable[[Kinds, LoopSettings], list[Group]]] = {
    "adamw": _adamw,
    "sgd": _sgd,
    "muon": _muon,
}
