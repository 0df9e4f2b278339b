"""How a run begins, goes on after an interruption, and ends, whatever it trains.

What happens in between, step by step, is in stages/session.py.
"""

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from lexloom.base import files
from lexloom.base.console import console, say, size
from lexloom.base.errors import RecipeError
from lexloom.base.recipe import to_toml
from lexloom.report.page import REPORT, write_report
from lexloom.stages.fitting import fitted, plan_fit
from lexloom.stages.plan import describe as describe_plan
from lexloom.stages.prepare import LEDGER
from lexloom.stages.session import CHECKPOINTS, Fit, Session, Trained, Work, follow, stopped
from lexloom.train import checkpoint, engines
from lexloom.train.diary import FILE as METRICS
from lexloom.train.diary import Diary
from lexloom.train.events import Events
from lexloom.train.loop import Progress
from lexloom.train.parallel import joined_processes, wait_for_all
from lexloom.train.plan import Plan, measure_plan, peak_rss_bytes
from lexloom.train.signals import Received, caught_signals
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


def conduct(
    gather: Callable[[], Work], run: Path, *, allow_change: Sequence[str] = (), step: int | None = None
) -> Outcome:
    """Do a work until its budget is spent, or go on where `run` was interrupted; a finished run is left alone.

    `step` resumes from that checkpoint and discards later ones; without it the newest that verifies is taken.
    `allow_change` names settings that may differ from those the run began with. Under torchrun all processes share the
    work and the first one writes; they must see the same folders.
    Raises Interrupted after a signal, once everything is saved; RunStopped if the guard or a full disk ended the run;
    FolderError if the run was made with other settings or is in use; DamagedError; and what `gather` raises.
    """
    with joined_processes() as leader, files.lock(run) if leader else nullcontext(), caught_signals() as received:
        console.quiet = not leader
        if (run / MODEL / files.MANIFEST).is_file() and step is None:
            say(f"{run} is already finished; its model is in {run / MODEL}")
            if leader and not (run / REPORT).is_file():
                write_report(run)
            return Outcome(run / MODEL, _finished_steps(run), already_finished=True)
        if leader:
            files.sweep(run / CHECKPOINTS)
        work = gather()
        if work.fit is not None:
            return _fit(work, work.fit, run, received, step, leader=leader)
        session = _open(work, run, allow_change, step, leader=leader)
        try:
            follow(session, received)
            if leader:
                _finish(work, _trained(session))
        except OSError as error:
            raise stopped(session, error) from error
        finally:
            session.close()
        return Outcome(run / MODEL, session.progress.step, already_finished=False)


def _fit(work: Work, fit: Fit, run: Path, received: Received, step: int | None, *, leader: bool) -> Outcome:
    """A run without steps; of several processes the first one does it."""
    if step is not None:
        raise RecipeError("a model that is learned in one go has no steps to go back to", where="step")
    if leader:
        _begin(work, run, plan_fit(fit, work.units, run))
        _finish(work, fitted(work, run, received))
    wait_for_all()
    return Outcome(run / MODEL, 0, already_finished=False)


def _open(work: Work, run: Path, allow_change: Sequence[str], step: int | None, *, leader: bool) -> Session:
    chosen = checkpoint.choose(run / CHECKPOINTS, say, step=step)
    changed = [] if chosen is None else checkpoint.check_unchanged(chosen, work.made_with, allow=allow_change)
    for difference in changed:
        say(f"Changed since the checkpoint, so the run is no longer exactly the one it was: {difference}")
    plan = _planned(work, run, anew=chosen is None or bool(changed), leader=leader)
    model, optimizer = work.build()
    state = {} if chosen is None else checkpoint.load_checkpoint(chosen, model, optimizer)
    engines.give_back_memory()
    wait_for_all()
    if leader and step is not None:
        _discard_after(run, step)
    start = Progress(**state.get("progress", {}))
    return Session(
        work=work,
        run=run,
        plan=plan,
        model=model,
        optimizer=optimizer,
        course=work.course(plan.seconds_per_step),
        diary=Diary(run / METRICS, state.get("metrics_bytes", 0), say) if leader else None,
        events=Events(run, start.step + 1) if leader and work.settings.tensorboard else None,
        progress=start,
        best=Best(**state.get("best", {})),
        saved_step=None if chosen is None else start.step,
    )


def _planned(work: Work, run: Path, *, anew: bool, leader: bool) -> Plan:
    """The plan that the run began with: a budget in minutes must mean the same number of steps after a resume."""
    if anew or not (run / PLAN).is_file():
        plan = measure_plan(*work.build(), work.course(1.0))
        if leader:
            _begin(work, run, plan)
        wait_for_all()
    return Plan(**files.read_json(run / PLAN))


def _begin(work: Work, run: Path, plan: Plan) -> None:
    """Show the plan and write what stays the same during the run."""
    say(describe_plan(plan))
    free = files.free_bytes(run)
    if free < plan.disk_bytes:
        say(f"Warning: {size(free)} are free, the run will need {size(plan.disk_bytes)}")
    files.write_file(run / RECIPE, to_toml(work.recipe))
    if work.ledger is not None:
        files.write_file(run / LEDGER, work.ledger)
    files.write_json(run / PLAN, dataclasses.asdict(plan))


def _finish(work: Work, trained: Trained) -> None:
    measured = {"memory_bytes": peak_rss_bytes(), "steps": trained.steps, "tokens": trained.tokens}
    files.write_json(trained.run / MEASURED, measured)
    work.finish(trained)
    say(f"The report is in {write_report(trained.run)}")


def _trained(session: Session) -> Trained:
    step = _take_best_weights(session)
    return Trained(
        run=session.run,
        model=session.model,
        steps=session.progress.step,
        tokens=session.progress.tokens,
        weights_of_step=step,
    )


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


def _finished_steps(run: Path) -> int:
    steps = checkpoint.complete_steps(run / CHECKPOINTS)
    return steps[-1] if steps else 0


def _discard_after(run: Path, step: int) -> None:
    for later in checkpoint.complete_steps(run / CHECKPOINTS):
        if later > step:
            files.discard(checkpoint.folder_of(run / CHECKPOINTS, later))
