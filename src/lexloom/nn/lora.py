"""Low-rank adaptation: a frozen matrix plus a product of two thin ones that are learned.

Source: Hu et al. 2021, arXiv:2106.09685.
Axes: N outputs, K inputs, R rank.
"""

from collections.abc import Collection

import torch
from torch import Tensor, nn
from torch.nn import functional

from lexloom.base.rng import seed_for
from lexloom.nn.linear import Linear, linear


class LowRank(nn.Module):
    """linear(x) + alpha / rank · up(down(x)); `up` begins at zero, so that nothing changes at first."""

    def __init__(self, inner: Linear, *, rank: int, alpha: float, seed: int) -> None:
        super().__init__()
        outputs, inputs = inner.weight.shape
        device = inner.weight.device
        self.inner = inner.requires_grad_(False)
        self.scale = alpha / rank
        # Deviation 1 / √K, as the reference implementation's uniform draw has it nearly
        first_RK = torch.empty(rank, inputs).normal_(0.0, inputs**-0.5, generator=torch.Generator().manual_seed(seed))
        self.down = nn.Parameter(first_RK.to(device))
        self.up = nn.Parameter(torch.zeros(outputs, rank, device=device))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.inner(x)
        return y + self.scale * linear(linear(x, self.down), self.up)

    def gelu(self, x: Tensor, approximate: str) -> Tensor:
        """GELU of the layer."""
        return functional.gelu(self(x), approximate=approximate)

    @torch.no_grad()
    def merged(self) -> Linear:
        """The plain layer that computes the same."""
        self.inner.weight.addmm_(self.up, self.down, alpha=self.scale)
        return self.inner.requires_grad_(True)


def add_low_rank(model: nn.Module, names: Collection[str], *, rank: int, alpha: float, seed: int) -> None:
    """Put a product beside each of the named `Linear`s, in place; only the products are left to train."""
    model.requires_grad_(False)
    for name in names:
        inner = model.get_submodule(name)
        assert isinstance(inner, Linear), f"{name} is not a linear layer"
        model.set_submodule(name, LowRank(inner, rank=rank, alpha=alpha, seed=seed_for("lora", seed, name)))


def merge_low_rank(model: nn.Module) -> None:
    """Add every product to its matrix, in place: the model is again what it was built as, and all of it trains."""
    for name, module in list(model.named_modules()):
        if isinstance(module, LowRank):
            model.set_submodule(name, module.merged())
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
