"""torch.compile, where it pays: the same model, its hidden states computed by generated code while it trains.

Measuring on the validation split and samples stay eager: each new shape would be compiled anew.
"""

import shutil
from typing import Any

import torch
from torch import Tensor, nn

from lexloom.nn.layers import picked
from lexloom.train.settings import LoopSettings

COMPILERS = ("g++", "clang++", "c++")
# Compiling takes a minute or two; below this no gain can make up for it.
WORTH_MEASURING_S = 1200.0
LEAST_GAIN = 1.05


class Compiled(nn.Module):
    """A model for training: `hidden` is compiled, all else is the model's own."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        # One graph per shape: a graph for all shapes would depend on which came first, and so on where a run resumes
        self._hidden: Any = torch.compile(model.hidden, dynamic=False)

    def __getattr__(self, name: str) -> Any:
        """What isn't here is the model's own."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("model"), name)

    def hidden(self, ids_BL: Tensor, *, spots_S: Tensor | None = None, **keywords: Any) -> Tensor:
        """As the model's; the spots, another number each time, are picked from what is compiled."""
        return picked(self._hidden(ids_BL, **keywords), spots_S)


def may_pay(settings: LoopSettings, eager_s: float) -> bool:
    """Whether `auto` should measure a compiled model too: a long run, one shape, torch's own products, a compiler."""
    return (
        settings.compiling == "auto"
        and eager_s >= WORTH_MEASURING_S
        and settings.engine == "torch"
        and settings.worker_threads == 1
        and any(shutil.which(name) for name in COMPILERS)
    )


def pays(eager_step_s: float, compiled_step_s: float) -> bool:
    """Whether the compiled step is enough faster to be worth it."""
    return eager_step_s >= LEAST_GAIN * compiled_step_s
