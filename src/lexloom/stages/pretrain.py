"""`lexloom pretrain`: a recipe and a prepared folder become a run folder with a trained model in it.

The same command on the same folder resumes by itself, exactly; on a finished run it says so. This file opens a run
and ends it; what happens in between, step by step, is in stages/session.py.
"""

import dataclasses
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lexloom.base import files
from lexloom.base.console import console, say, size
from lexloom.base.recipe import to_toml
from lexloom.models.folder import ModelFolder, save_model
from lexloom.nn.linear import use_engine
from lexloom.objectives import OBJECTIVES
from lexloom.report.card import model_card
from lexloom.report.page import REPORT, write_report
from lexloom.report.read import read_run
from lexloom.stages.building import Parts, check_prepared, gather
from lexloom.stages.evaluate import describe as describe_evaluation
from lexloom.stages.evaluate import evaluate_models
from lexloom.stages.plan import describe as describe_plan
from lexloom.stages.plan import plan_of
from lexloom.stages.prepare import LEDGER
from lexloom.stages.recipe import Recipe
from lexloom.stages.samples import write_sample
from lexloom.stages.session import CHECKPOINTS, Sampler, Session, follow, stopped
from lexloom.train import checkpoint
from lexloom.train.course import plan_course
from lexloom.train.diary import FILE as METRICS
from lexloom.train.diary import Diary
from lexloom.train.events import Events
from lexloom.train.loop import Progress
from lexloom.train.parallel import joined_processes, wait_for_all
from lexloom.train.plan import Plan, peak_rss_bytes
from lexloom.train.signals import caught_signals
from lexloom.train.stopping import Best

MODEL = "model"
PLAN = "plan.json"
MEASURED = "measured.json"
RECIPE = "recipe.toml"


@dataclass(frozen=True)
class Outcome:
    """Where the model is, how many steps it took, and whether this call had nothing left to do."""

    model: Path
    steps: int
    already_finished: bool


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

    `step` resumes from that checkpoint and discards later ones; without it the newest that verifies is taken.
    `allow_change` names settings that may differ from those the run began with. `sampler` writes the samples.
    Under torchrun all processes share the work and the first one writes; they must see the same folders.
    Raises Interrupted after a signal, once everything is saved; RunStopped if the guard or a full disk ended the run;
    FolderError if the run was made with other settings or is in use; RecipeError, DamagedError.
    """
    check_prepared(prepared)
    with joined_processes() as leader, files.lock(run) if leader else nullcontext(), caught_signals() as received:
        console.quiet = not leader
        if (run / MODEL / files.MANIFEST).is_file() and step is None:
            say(f"{run} is already finished; its model is in {run / MODEL}")
            if leader and not (run / REPORT).is_file():
                write_report(run)
            return Outcome(run / MODEL, _finished_steps(run), already_finished=True)
        session = _open(recipe, prepared, run, allow_change, step, leader=leader)
        try:
            follow(session, received, sampler)
            if leader:
                _finish(session)
        except OSError as error:
            raise stopped(session, error) from error
        finally:
            session.close()
        return Outcome(run / MODEL, session.progress.step, already_finished=False)


def describe(outcome: Outcome) -> str:
    """The outcome for people."""
    return f"{outcome.steps:,} steps; the model is in {outcome.model}"


def _open(
    recipe: Recipe, prepared: Path, run: Path, allow_change: Sequence[str], step: int | None, *, leader: bool
) -> Session:
    if leader:
        files.sweep(run / CHECKPOINTS)
    parts = gather(recipe, prepared)
    chosen = checkpoint.choose(run / CHECKPOINTS, say, step=step)
    changed = [] if chosen is None else checkpoint.check_unchanged(chosen, parts.made_with, allow=allow_change)
    for difference in changed:
        say(f"Changed since the checkpoint, so the run is no longer exactly the one it was: {difference}")
    plan = _planned(parts, prepared, run, anew=chosen is None or bool(changed), leader=leader)
    model, optimizer = parts.build()
    state = {} if chosen is None else checkpoint.load_checkpoint(chosen, model, optimizer)
    wait_for_all()
    if leader and step is not None:
        _discard_after(run, step)
    start = Progress(**state.get("progress", {}))
    return Session(
        parts=parts,
        prepared=prepared,
        run=run,
        plan=plan,
        model=model,
        optimizer=optimizer,
        course=plan_course(
            OBJECTIVES[recipe.objective], parts.windows, parts.recipe.train, seconds_per_step=plan.seconds_per_step
        ),
        diary=Diary(run / METRICS, state.get("metrics_bytes", 0), say) if leader else None,
        events=Events(run, start.step + 1) if leader and recipe.train.tensorboard else None,
        progress=start,
        best=Best(**state.get("best", {})),
        saved_step=None if chosen is None else start.step,
    )


def _planned(parts: Parts, prepared: Path, run: Path, *, anew: bool, leader: bool) -> Plan:
    """The plan that the run began with: a budget in minutes must mean the same number of steps after a resume."""
    if anew or not (run / PLAN).is_file():
        plan = plan_of(parts)
        if leader:
            _begin(parts, prepared, run, plan)
        wait_for_all()
    return Plan(**files.read_json(run / PLAN))


def _begin(parts: Parts, prepared: Path, run: Path, plan: Plan) -> None:
    """Show the plan and write what stays the same during the run."""
    say(describe_plan(plan))
    free = files.free_bytes(run)
    if free < plan.disk_bytes:
        say(f"Warning: {size(free)} are free, the run will need {size(plan.disk_bytes)}")
    files.write_file(run / RECIPE, to_toml(parts.recipe))
    if (prepared / LEDGER).is_file():
        files.write_file(run / LEDGER, (prepared / LEDGER).read_bytes())
    files.write_json(run / PLAN, dataclasses.asdict(plan))


def _finish(session: Session) -> None:
    """Evaluate the last weights, or the best ones where patience is set; write the model folder and the report."""
    run, parts, model = session.run, session.parts, session.model
    provenance = {**_provenance(session), "weights_of_step": _take_best_weights(session)}
    model.eval()
    use_engine("torch")  # the golden outputs in the folder are those of whoever loads it
    measured = {"memory_bytes": peak_rss_bytes(), "steps": session.progress.step, "tokens": session.progress.tokens}
    files.write_json(run / MEASURED, measured)
    family = parts.recipe.model.family
    if parts.validation is not None:
        contents = ModelFolder(model, parts.tokenizer, family, facts={}, generation={})
        say(describe_evaluation(evaluate_models([(str(run / MODEL), contents)], [str(session.prepared)], out=run)))
    card = model_card(read_run(run), family=family, parameters=session.plan.parameters)
    save_model(run / MODEL, model, parts.tokenizer, provenance=provenance, generation=None, card=card, replace=True)
    say(f"The report is in {write_report(run)}")


def _take_best_weights(session: Session) -> int:
    """Load the best weights where patience is set; returns the step of the weights that the model has now."""
    checkpoints, best = session.run / CHECKPOINTS, session.best.step
    if session.course.settings.patience is None or best is None or best == session.progress.step:
        return session.progress.step
    if best not in checkpoint.complete_steps(checkpoints):
        say(f"Warning: the best weights, of step {best}, couldn't be saved; the model has the last ones")
        return session.progress.step
    checkpoint.load_weights(checkpoint.folder_of(checkpoints, best), session.model)
    say(f"The model has the weights of step {best}, the best on the validation split")
    return best


def _provenance(session: Session) -> dict[str, Any]:
    made_with = session.parts.made_with
    return {
        "recipe": session.parts.recipe.model_dump(mode="json"),
        "objective": made_with["objective"],
        "steps": session.progress.step,
        "tokens": session.progress.tokens,
        "train_data": made_with["data"]["train"],
        "validation_data": made_with["data"]["validation"],
        "processor": made_with["machine"]["processor"],
        "threads": made_with["machine"]["threads"],
    }


def _finished_steps(run: Path) -> int:
    steps = checkpoint.complete_steps(run / CHECKPOINTS)
    return steps[-1] if steps else 0


def _discard_after(run: Path, step: int) -> None:
    for later in checkpoint.complete_steps(run / CHECKPOINTS):
        if later > step:
            files.discard(checkpoint.folder_of(run / CHECKPOINTS, later))
