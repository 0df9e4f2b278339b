"""`lexloom pretrain`: a recipe and a prepared folder become a run folder with a trained model in it.

The same command on the same folder resumes by itself, exactly; on a finished run it says so. This file says what the
run is to do; how a run opens and ends is in stages/opening.py, what happens step by step in stages/session.py.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lexloom.base.console import say
from lexloom.data.batches import Windows
from lexloom.models import FAMILIES
from lexloom.models.folder import ModelFolder, save_model
from lexloom.nn.linear import use_engine
from lexloom.report.card import VECTORS, model_card
from lexloom.report.read import read_run
from lexloom.stages.building import Parts, check_prepared, gather
from lexloom.stages.evaluate import describe as describe_evaluation
from lexloom.stages.evaluate import evaluate_models
from lexloom.stages.evaluate_masked import describe as describe_masked
from lexloom.stages.evaluate_masked import evaluate_masked
from lexloom.stages.fitting import note_without_effect
from lexloom.stages.opening import MODEL, Outcome, conduct
from lexloom.stages.prepare import LEDGER
from lexloom.stages.recipe import Recipe
from lexloom.stages.samples import write_sample
from lexloom.stages.session import Fields, Measured, Trained, Work
from lexloom.text.tokenizers import Tokenizer
from lexloom.train.loop import mean_loss

Sampler = Callable[[Any, Tokenizer, str, int], str]
"""(model, tokenizer, prompt, seed) → the model's continuation."""


def pretrain(
    recipe: Recipe,
    prepared: Path,
    run: Path,
    *,
    allow_change: Sequence[str] = (),
    step: int | None = None,
    sampler: Sampler = write_sample,
) -> Outcome:
    """Train until the budget is spent, or go on where `run` was interrupted.

    `allow_change`, `step` and what is raised are as in `opening.conduct`; RecipeError or FolderError if recipe and data
    don't fit together. `sampler` writes the samples.
    """
    check_prepared(prepared)

    def work() -> Work:
        parts = gather(recipe, prepared)
        note_without_effect(recipe.model.family, recipe.train, "corpus")
        return _work(parts, prepared, sampler)

    return conduct(work, run, allow_change=allow_change, step=step)


def describe(outcome: Outcome) -> str:
    """The outcome for people."""
    steps = f"{outcome.steps:,} steps; the" if outcome.steps else "The"
    return f"{steps} model is in {outcome.model}"


def _work(parts: Parts, prepared: Path, sampler: Sampler) -> Work:
    settings, validation = parts.train, parts.validation
    return Work(
        title="pretrain",
        recipe=parts.recipe,
        settings=settings,
        objective=parts.objective,
        units=parts.units,
        build=parts.build,
        made_with=parts.made_with,
        ledger=(prepared / LEDGER).read_bytes() if (prepared / LEDGER).is_file() else None,
        measure=None
        if validation is None or parts.objective.in_one_go
        else lambda model: _measured(model, parts, validation),
        sample=None if parts.objective.in_one_go else lambda model: _samples(model, parts, sampler),
        sample_every=settings.sample_every,
        finish=lambda trained: _finish(trained, parts, prepared),
        fit=parts.fit,
    )


def _measured(model: Any, parts: Parts, validation: Windows) -> Measured:
    settings = parts.train
    loss = mean_loss(model, parts.objective, validation, settings, most=settings.evaluate_windows)
    fields = {"loss": loss}
    if parts.tokens_per_byte is not None:
        fields["bits_per_byte"] = loss / math.log(2) * parts.tokens_per_byte
    return Measured(fields, score=-loss)


def _samples(model: Any, parts: Parts, sampler: Sampler) -> Iterator[Fields]:
    for prompt in parts.train.sample_prompts:
        yield {"prompt": prompt, "text": sampler(model, parts.tokenizer, prompt, parts.train.seed)}


def _finish(trained: Trained, parts: Parts, prepared: Path) -> None:
    """Evaluate the model and write its folder."""
    run, model, family = trained.run, trained.model, parts.recipe.model.family
    provenance = _provenance(trained, parts)
    model.eval()
    use_engine("torch")  # the golden outputs in the folder are those of whoever loads it
    say(_evaluated(model, parts, prepared, run))
    kind, blank = VECTORS if parts.objective.in_one_go else parts.objective.kind, parts.blank or ""
    card = model_card(
        read_run(run),
        family=family,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        kind=kind,
        blank=blank,
        published=FAMILIES[family].published,
    )
    save_model(run / MODEL, model, parts.tokenizer, provenance=provenance, generation=None, card=card, replace=True)


def _evaluated(model: Any, parts: Parts, prepared: Path, run: Path) -> str:
    """Measure the finished model on the validation part, for results.json; returns what to tell people."""
    name = str(run / MODEL)
    if parts.validation is None:
        return "There is no validation part to measure the model on"
    if parts.objective.in_one_go:
        return f"Vectors are judged by pairs of words and by analogies: lexloom evaluate {name} --data FILE"
    if parts.objective.kind != "decoder":
        return describe_masked(evaluate_masked(model, parts, parts.validation, prepared, name=name, out=run))
    contents = ModelFolder(model, parts.tokenizer, parts.recipe.model.family, facts={}, generation={})
    return describe_evaluation(evaluate_models([(name, contents)], [str(prepared)], out=run))


def _provenance(trained: Trained, parts: Parts) -> dict[str, Any]:
    made_with = parts.made_with
    return {
        "recipe": parts.recipe.model_dump(mode="json"),
        "objective": made_with["objective"],
        "steps": trained.steps,
        "tokens": trained.tokens,
        "weights_of_step": trained.weights_of_step,
        "train_data": made_with["data"]["train"],
        "validation_data": made_with["data"]["validation"],
        "processor": made_with["machine"]["processor"],
        "threads": made_with["machine"]["threads"],
    }
