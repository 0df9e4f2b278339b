"""`lexloom finetune`: labelled examples and a pre-trained model become a run folder with a model that does a task.

It is pre-training's loop with another loss: the same command on the same folder resumes by itself, exactly.
"""

from collections.abc import Sequence
from pathlib import Path

from lexloom.base.errors import RecipeError
from lexloom.stages.finetune_once import finetune_once
from lexloom.stages.finetune_recipe import FinetuneRecipe, check_recipe
from lexloom.stages.opening import Outcome
from lexloom.stages.repeated import with_folds, with_seeds


def finetune(
    recipe: FinetuneRecipe, run: Path, *, allow_change: Sequence[str] = (), step: int | None = None
) -> Outcome:
    """Train until the budget is spent, or go on where `run` was interrupted; several times if the recipe says so.

    `allow_change`, `step` and what is raised are as in `opening.conduct`; RecipeError, DataError or FolderError if
    recipe, data and model don't fit together.
    """
    check_recipe(recipe)
    if recipe.train.seeds == 1 and recipe.data.folds is None:
        return finetune_once(recipe, None, run, allow_change=allow_change, step=step)
    if step is not None:
        raise RecipeError("of several runs, which one is to go back?", where="step", fix="Name the run's own folder.")
    repeat = with_folds if recipe.train.seeds == 1 else with_seeds
    return repeat(recipe, run, allow_change=allow_change)


def describe(outcome: Outcome) -> str:
    """The outcome for people."""
    steps = f"{outcome.steps:,} steps; the" if outcome.steps else "The"
    return f"{steps} model is in {outcome.model}"
