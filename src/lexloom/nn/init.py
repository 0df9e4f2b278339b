"""The first weights of a model that learns from nothing."""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from lexloom.base.rng import seed_for
from lexloom.nn.layers import LayerNorm, RMSNorm

INIT_STD = 0.02  # GPT-2 (Radford et al. 2019, section 2.3)


def init_normal(model: nn.Module, *, seed: int, layers: int, residual: Sequence[str]) -> None:
    """As GPT-2: matrices normal with deviation 0.02, biases 0, norms 1, in place.

    Parameters whose name ends in one of `residual` write into the residual stream, twice per layer; their deviation is
    divided by √(2 · layers), so that the stream's variance does not grow with depth.
    """
    fill(
        model,
        seed=seed,
        std_of=lambda name: INIT_STD / (2 * layers) ** 0.5 if name.endswith(tuple(residual)) else INIT_STD,
    )


def fill(model: nn.Module, *, seed: int, std_of: Callable[[str], float]) -> None:
    """Matrices normal with the deviation that `std_of` gives for their name, biases 0, norms 1, in place.

    Each parameter has a generator of its own, named by `seed` and its name, so that adding one does not change the
    others.
    """
    with torch.no_grad():
        for module_name, module in model.named_modules():
            norm = isinstance(module, LayerNorm | RMSNorm)
            for name, parameter in module.named_parameters(module_name, recurse=False):
                if parameter.dim() > 1:
                    generator = torch.Generator().manual_seed(seed_for("init", seed, name))
                    # Drawn in main memory, so that the first weights don't depend on the device
                    parameter.copy_(torch.empty(parameter.shape).normal_(0.0, std_of(name), generator=generator))
                else:
                    parameter.fill_(1.0 if norm and name.endswith("weight") else 0.0)
