"""The families of models. A new family is one file and one line here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from lexloom.models import gpt, llama
from lexloom.nn.published import Published


@dataclass(frozen=True)
class Family:
    """What a model file offers."""

    config: type[Any]
    """A frozen dataclass; raises UserError for impossible numbers."""
    model: type[nn.Module]
    """Built from a config; its parameters are unfilled."""
    init_weights: Callable[[Any, int], None]
    """(model, seed): fills the parameters for training from nothing."""
    presets: Mapping[str, Any]
    """Named shapes: configs, to be changed by `dataclasses.replace`."""
    from_hugging_face: Callable[[Mapping[str, Any]], Any]
    to_hugging_face: Callable[[Any], dict[str, Any]]
    weights: Callable[[Any], dict[str, Published]]
    """Our parameters' names → where they are in published files."""
    ignored_weights: tuple[str, ...]
    """Patterns of published tensors that hold nothing learned."""
    prefix: str
    """What published names begin with, and what some published files leave out."""


FAMILIES: dict[str, Family] = {
    name: Family(
        config=file.Config,
        model=file.Model,
        init_weights=file.init_weights,
        presets=file.PRESETS,
        from_hugging_face=file.from_hugging_face,
        to_hugging_face=file.to_hugging_face,
        weights=file.weights,
        ignored_weights=file.IGNORED_WEIGHTS,
        prefix=file.PREFIX,
    )
    for name, file in {"gpt": gpt, "llama": llama}.items()
}

MODEL_TYPES = {"gpt2": "gpt", "llama": "llama", "qwen3": "llama"}
"""`model_type` of a published config.json → our family."""


def family_of(model: Any) -> str:
    """The name of a model's family."""
    return next(name for name, family in FAMILIES.items() if isinstance(model, family.model))


def new_model(family: str, config: Any, *, seed: int) -> Any:
    """A model with the first weights of a training run, the same for the same seed."""
    model = allocate(meta_model(family, config))
    FAMILIES[family].init_weights(model, seed)
    return model


def meta_model(family: str, config: Any) -> Any:
    """A model without memory for its parameters, to count and compare them."""
    with torch.device("meta"):
        return FAMILIES[family].model(config)


def allocate(model: Any) -> Any:
    """Give a meta model memory, unfilled: on the GPU if torch sees one, else in main memory."""
    return model.to_empty(device="cuda" if torch.cuda.is_available() else "cpu")
