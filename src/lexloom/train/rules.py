"""Update rules: AdamW and SGD over torch's fused kernels.

They are not torch.optim's classes, whose import of the compiler adds a second to every start; a test holds that the
bits are the same.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

State = dict[str, list[Tensor]]
"""By name, one tensor for each parameter."""

ADAM_EPSILON = 1e-8


class Rule(Protocol):
    """How gradients change parameters. State is made before the first step, so that it is always complete."""

    def new_state(self, parameters: list[Tensor]) -> State: ...

    def update(
        self,
        parameters: list[Tensor],
        gradients: list[Tensor],
        state: State,
        *,
        lr: float,
        weight_decay: float,
    ) -> None: ...


@dataclass(frozen=True)
class AdamW:
    """Adam with decoupled weight decay. Source: Loshchilov & Hutter 2019, arXiv:1711.05101."""

    betas: tuple[float, float]

    def new_state(self, parameters: list[Tensor]) -> State:
        """First and second moment, and the number of steps that corrects their bias."""
        return {
            "first": [torch.zeros_like(parameter) for parameter in parameters],
            "second": [torch.zeros_like(parameter) for parameter in parameters],
            "steps": [torch.zeros((), device=parameter.device) for parameter in parameters],
        }

    def update(
        self,
        parameters: list[Tensor],
        gradients: list[Tensor],
        state: State,
        *,
        lr: float,
        weight_decay: float,
    ) -> None:
        """One step, in place."""
        torch._foreach_add_(state["steps"], 1)
        torch._fused_adamw_(
            list(parameters),
            list(gradients),
            state["first"],
            state["second"],
            [],
            state["steps"],
            lr=lr,
            beta1=self.betas[0],
            beta2=self.betas[1],
            weight_decay=weight_decay,
            eps=ADAM_EPSILON,
            amsgrad=False,
            maximize=False,
        )


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with heavy-ball momentum; the weight decay is decoupled."""

    momentum: float

    def new_state(self, parameters: list[Tensor]) -> State:
        """The momentum."""
        return {"momentum": [torch.zeros_like(parameter) for parameter in parameters]}

    def update(
        self,
        parameters: list[Tensor],
        gradients: list[Tensor],
        state: State,
        *,
        lr: float,
        weight_decay: float,
    ) -> None:
        """One step, in place."""
        torch._foreach_mul_(state["momentum"], self.momentum)
        torch._foreach_add_(state["momentum"], gradients)
        torch._foreach_mul_(parameters, 1 - lr * weight_decay)
        torch._foreach_add_(parameters, state["momentum"], alpha=-lr)
