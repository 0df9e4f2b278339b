"""`lexloom plan`: what a recipe will take, measured on a few micro-batches before the run."""

from pathlib import Path

from lexloom.base.console import duration, size
from lexloom.stages.building import Parts, check_prepared, gather
from lexloom.stages.fitting import plan_fit
from lexloom.stages.recipe import Recipe
from lexloom.train.course import plan_course
from lexloom.train.plan import Plan, measure_plan


def plan(recipe: Recipe, prepared: Path) -> Plan:
    """Measure a few micro-batches and add up time, memory, tokens and disk. Raises as `gather` does."""
    check_prepared(prepared)
    return plan_of(gather(recipe, prepared))


def plan_of(parts: Parts) -> Plan:
    """The plan of gathered parts; the model it measures is thrown away."""
    fit = parts.fit
    if fit is not None:
        return plan_fit(fit, parts.windows)
    model, optimizer = parts.build()
    course = plan_course(parts.objective, parts.windows, parts.recipe.train, seconds_per_step=1.0)
    return measure_plan(model, optimizer, course)


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
