"""Every objective, by the name a recipe uses. A new one is one file and one line here."""

from collections.abc import Callable

from lexloom.data.masking import MaskingSettings
from lexloom.objectives import bidirectional, causal, denoise, masked, neighbours, prefix
from lexloom.objectives.contract import Batch, Loss, Objective
from lexloom.text.tokenizers import Tokenizer

MakeObjective = Callable[[MaskingSettings, Tokenizer], Objective]
"""(the recipe's `[masking]`, the tokenizer of the corpus) → the objective. Raises RecipeError if they don't fit."""

OBJECTIVES: dict[str, MakeObjective] = {
    "causal": causal.causal,
    "masked": masked.masked,
    "masked+next": masked.masked_and_next,
    "denoise": denoise.denoise,
    "prefix": prefix.prefix,
    "neighbours": neighbours.neighbours,
    "bidirectional": bidirectional.bidirectional,
}

__all__ = ["OBJECTIVES", "Batch", "Loss", "MakeObjective", "Objective"]
