"""`lexloom plan`: what a recipe will take, measured on a few micro-batches before the run."""

from pathlib import Path
from tempfile import TemporaryDirectory

from lexloom.base.console import duration, size
from lexloom.stages import adapting, building
from lexloom.stages.finetune_recipe import FinetuneRecipe, check_recipe
from lexloom.stages.fitting import plan_fit
from lexloom.stages.recipe import Recipe
from lexloom.train.course import plan_course
from lexloom.train.plan import Plan, measure_plan


def plan(recipe: Recipe, prepared: Path) -> Plan:
    """Measure a few micro-batches and add up time, memory, tokens and disk. Raises as `building.gather` does."""
    building.check_prepared(prepared)
    return _plan_of(building.gather(recipe, prepared))


def plan_finetuning(recipe: FinetuneRecipe) -> Plan:
    """The same for one run of fine-tuning. Raises as `adapting.read_data` and `adapting.gather` do."""
    check_recipe(recipe)
    with TemporaryDirectory() as run:
        return _plan_of(adapting.gather(recipe, adapting.read_data(recipe), Path(run)))


def _plan_of(parts: building.Parts | adapting.Adapting) -> Plan:
    fit = parts.fit
    if fit is not None:
        return plan_fit(fit, parts.units)
    course = plan_course(parts.objective, parts.units, parts.train, seconds_per_step=1.0)
    return measure_plan(*parts.build(), course)


def describe(plan: Plan) -> str:
    """The plan for people."""
    if plan.steps == 0:
        return _describe_fit(plan)
    return "\n".join(
        [
            f"steps      {plan.steps:,} of {duration(plan.seconds_per_step)}",
            f"tokens     {size(plan.tokens, '')} ({plan.epochs:.2f} epochs), {size(plan.tokens_per_s, '')} per second",
            f"time       {duration(plan.seconds)}, without measuring on the validation split",
            f"parameters {size(plan.parameters, '')}",
            f"memory     {size(plan.memory_bytes)} at its peak",
            f"disk       {size(plan.disk_bytes)} (a checkpoint is {size(plan.checkpoint_bytes)})",
            f"speed      {plan.share_of_peak:.0%} of the measured peak of {size(plan.peak_flops, 'FLOP/s')}",
        ]
    )


def _describe_fit(plan: Plan) -> str:
    return "\n".join(
        [
            f"tokens     {size(plan.tokens, '')}, learned from in one go, {size(plan.tokens_per_s, '')} per second",
            f"time       {duration(plan.seconds)}, without measuring on the validation split",
            f"parameters {size(plan.parameters, '')} at most",
            f"disk       {size(plan.disk_bytes)} at most",
        ]
    )
