"""Every objective, by the name a recipe uses. A new one is one file and one line here."""

import lexloom.objectives.causal as causal
from lexloom.objectives.contract import Batch, Loss, Objective

OBJECTIVES: dict[str, Objective] = {
    "causal": Objective(causal.make_batch, causal.loss),
}

__all__ = ["OBJECTIVES", "Batch", "Loss", "Objective"]
