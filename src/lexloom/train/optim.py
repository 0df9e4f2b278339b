"""Optimizers by name, one learning-rate share for all their groups, and their state as plain tensors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lexloom.base.errors import DamagedError
from lexloom.nn.layers import Embedding
from lexloom.nn.linear import Linear
from lexloom.train.muon import Muon, Parts
from lexloom.train.settings import TrainSettings

Named = dict[str, nn.Parameter]


@dataclass(frozen=True)
class Kinds:
    """A model's parameters: hidden matrices, tables (embeddings and the head), vectors (biases and gains)."""

    matrices: Named
    parts: list[Parts | None]
    tables: Named
    vectors: Named


class Optimizer:
    """One or more torch optimizers that together own all parameters of a model."""

    def __init__(self, model: nn.Module, settings: TrainSettings) -> None:
        self.parameters: Named = dict(model.named_parameters())
        self._parts = OPTIMIZERS[settings.optimizer](kinds_of(model), settings)
        for group in self._groups():
            group["peak_lr"] = group["lr"]

    @property
    def peak_lr(self) -> float:
        """The peak learning rate of the first group, the one to show."""
        return float(self._groups()[0]["peak_lr"])

    def step(self, lr_share: float) -> None:
        """Update the parameters from their `.grad`, at this share of the peak learning rates."""
        for group in self._groups():
            group["lr"] = group["peak_lr"] * lr_share
        for part in self._parts:
            part.step()

    def state(self) -> dict[str, Tensor]:
        """Every tensor that the next step depends on, as `parameter/key`, for example `norm.weight/exp_avg`."""
        names: dict[Tensor, str] = {parameter: name for name, parameter in self.parameters.items()}
        return {
            f"{names[parameter]}/{key}": value
            for part in self._parts
            for parameter, entries in part.state.items()
            for key, value in entries.items()
            if value is not None
        }

    def load_state(self, tensors: Mapping[str, Tensor], *, where: str) -> None:
        """Take over what `state` gave; raises DamagedError naming a tensor that doesn't fit."""
        owners = {
            parameter: part for part in self._parts for group in part.param_groups for parameter in group["params"]
        }
        for part in self._parts:
            part.state.clear()
        for full_name, tensor in tensors.items():
            name, _, key = full_name.rpartition("/")
            parameter = self.parameters.get(name)
            if parameter is None or tensor.shape not in (parameter.shape, torch.Size()):
                raise DamagedError(f"{full_name} of shape {tuple(tensor.shape)} fits no parameter", where=where)
            owners[parameter].state[parameter][key] = tensor.clone()

    def _groups(self) -> list[dict[str, Any]]:
        return [group for part in self._parts for group in part.param_groups]


def kinds_of(model: nn.Module) -> Kinds:
    """Sort a model's parameters by what they do, not by how they are called."""
    tables = {id(module.weight) for module in model.modules() if isinstance(module, Embedding | nn.Embedding)}
    tables.add(id(getattr(model, "head_weight_VD", None)))
    named = dict(model.named_parameters())
    stacked = {id(module.weight): module.parts for module in model.modules() if isinstance(module, Linear)}
    matrices = {name: p for name, p in named.items() if p.dim() > 1 and id(p) not in tables}
    return Kinds(
        matrices=matrices,
        parts=[stacked.get(id(p)) for p in matrices.values()],
        tables={name: p for name, p in named.items() if p.dim() > 1 and id(p) in tables},
        vectors={name: p for name, p in named.items() if p.dim() <= 1},
    )


def _adamw(kinds: Kinds, settings: TrainSettings) -> list[torch.optim.Optimizer]:
    """Loshchilov & Hutter 2019 (arXiv:1711.05101); decays matrices and tables."""
    return [_adamw_of(kinds.matrices | kinds.tables, kinds.vectors, settings)]


def _sgd(kinds: Kinds, settings: TrainSettings) -> list[torch.optim.Optimizer]:
    """With momentum; the decay is part of the gradient."""
    groups = _groups(kinds.matrices | kinds.tables, kinds.vectors, settings)
    return [torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum)]


def _muon(kinds: Kinds, settings: TrainSettings) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices, AdamW for the rest (Jordan et al. 2024)."""
    rest = _adamw_of(kinds.tables, kinds.vectors, settings)
    if not kinds.matrices:
        return [rest]
    muon = Muon(
        kinds.matrices.values(),
        parts=kinds.parts,
        lr=settings.muon_lr,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )
    return [muon, rest]


OPTIMIZERS: dict[str, Callable[[Kinds, TrainSettings], list[torch.optim.Optimizer]]] = {
    "adamw": _adamw,
    "sgd": _sgd,
    "muon": _muon,
}


def _adamw_of(decayed: Named, plain: Named, settings: TrainSettings) -> torch.optim.Optimizer:
    return torch.optim.AdamW(_groups(decayed, plain, settings), lr=settings.lr, betas=settings.betas, fused=True)


def _groups(decayed: Named, plain: Named, settings: TrainSettings) -> list[dict[str, Any]]:
    groups = [(decayed, settings.weight_decay), (plain, 0.0)]
    return [{"params": list(named.values()), "weight_decay": decay} for named, decay in groups if named]
