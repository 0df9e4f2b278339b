"""`lexloom pretrain`: a recipe and a prepared folder become a run folder with a trained model in it.

The same command on the same folder resumes by itself, exactly; on a finished run it says so. This file consumes the
reports of train/loop.py: it writes the diary, measures, samples, saves, and stops in good order.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lexloom.base import files
from lexloom.base.console import Tick, progress, say, size
from lexloom.base.errors import Interrupted, RunStopped
from lexloom.base.recipe import to_toml
from lexloom.models.folder import save_model
from lexloom.objectives import OBJECTIVES
from lexloom.report.card import model_card
from lexloom.report.read import read_run
from lexloom.stages.building import Parts, check_prepared, gather
from lexloom.stages.plan import describe, plan_of
from lexloom.stages.prepare import LEDGER, QUALITY
from lexloom.stages.recipe import Recipe
from lexloom.text.tokenizers import Tokenizer
from lexloom.train import checkpoint
from lexloom.train.course import Course, plan_course
from lexloom.train.diary import FILE as METRICS
from lexloom.train.diary import Diary
from lexloom.train.events import Events
from lexloom.train.loop import Progress, StepReport, mean_loss, train
from lexloom.train.optim import Optimizer
from lexloom.train.plan import Plan, peak_rss_bytes
from lexloom.train.signals import Received, caught_signals
from lexloom.train.stopping import Best

CHECKPOINTS = "checkpoints"
MODEL = "model"
PLAN = "plan.json"
MEASURED = "measured.json"
RECIPE = "recipe.toml"
FAILED_SAVES_ALLOWED = 2
NATS_PER_BIT = 0.6931471805599453

Sampler = Callable[[Any, Tokenizer, str, int], str]
"""(model, tokenizer, prompt, seed) → the model's continuation."""


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
    sampler: Sampler | None = None,
) -> Outcome:
    """Train until the budget is spent, or go on where `run` was interrupted.

    `step` resumes from that checkpoint and discards later ones; without it the newest that verifies is taken.
    `allow_change` names settings that may differ from those the run began with. `sampler` writes the samples.
    Raises Interrupted after a signal, once everything is saved; RunStopped if the guard or a full disk ended the run;
    FolderError if the run was made with other settings or is in use; RecipeError, DamagedError.
    """
    check_prepared(prepared)
    with files.lock(run), caught_signals() as received:
        files.sweep(run / CHECKPOINTS)
        if (run / MODEL / files.MANIFEST).is_file() and step is None:
            say(f"{run} is already finished; its model is in {run / MODEL}")
            return Outcome(run / MODEL, _finished_steps(run), already_finished=True)
        session = _open(recipe, prepared, run, allow_change, step)
        try:
            _follow(session, received, sampler)
        finally:
            session.close()
        return Outcome(_finish(session), session.progress.step, already_finished=False)


@dataclass(kw_only=True)
class _Session:
    """A run under way: its parts, and the little that changes from step to step."""

    parts: Parts
    run: Path
    plan: Plan
    model: Any
    optimizer: Optimizer
    course: Course
    diary: Diary
    events: Events | None
    progress: Progress
    best: Best
    saved_step: int | None
    failed_saves: int = 0

    @property
    def is_over(self) -> bool:
        return self.progress.step >= self.course.steps or self.best.is_over(self.course.settings.patience)

    def write(self, kind: str, **fields: Any) -> None:
        line = self.diary.write(kind, self.progress.step, fields)
        if self.events is not None:
            self.events.write(line)

    def close(self) -> None:
        self.diary.close()
        if self.events is not None:
            self.events.close()


def _open(recipe: Recipe, prepared: Path, run: Path, allow_change: Sequence[str], step: int | None) -> _Session:
    parts = gather(recipe, prepared)
    chosen = checkpoint.choose(run / CHECKPOINTS, say, step=step)
    if chosen is not None:
        for difference in checkpoint.check_unchanged(chosen, parts.made_with, allow=allow_change):
            say(f"Changed since the checkpoint, so the run is no longer exactly the one it was: {difference}")
    plan = _planned(parts, prepared, run, fresh=chosen is None)
    model, optimizer = parts.build()
    state = {} if chosen is None else checkpoint.load_checkpoint(chosen, model, optimizer)
    if step is not None:
        _discard_after(run, step)
    steps_done = Progress(**state.get("progress", {}))
    settings = recipe.train
    return _Session(
        parts=parts,
        run=run,
        plan=plan,
        model=model,
        optimizer=optimizer,
        course=plan_course(
            OBJECTIVES[recipe.objective], parts.windows, settings, seconds_per_step=plan.seconds_per_step
        ),
        diary=Diary(run / METRICS, state.get("metrics_bytes", 0), say),
        events=Events(run, steps_done.step + 1) if settings.tensorboard else None,
        progress=steps_done,
        best=Best(**state.get("best", {})),
        saved_step=None if chosen is None else steps_done.step,
    )


def _planned(parts: Parts, prepared: Path, run: Path, *, fresh: bool) -> Plan:
    """The plan that the run began with: a budget in minutes must mean the same number of steps after a resume."""
    if not fresh and (run / PLAN).is_file():
        return Plan(**files.read_json(run / PLAN))
    plan = plan_of(parts)
    say(describe(plan))
    _warn_of_space(run, plan)
    files.write_file(run / RECIPE, to_toml(parts.recipe))
    for note in (LEDGER, QUALITY):
        if (prepared / note).is_file():
            files.write_file(run / note, (prepared / note).read_bytes())
    files.write_json(run / PLAN, dataclasses.asdict(plan))
    return plan


def _follow(session: _Session, received: Received, sampler: Sampler | None) -> None:
    """Consume the loop's reports until the run is over."""
    if session.progress.step:
        say(f"Resumed after step {session.progress.step} of {session.course.steps}")
    with progress("pretrain", session.course.steps) as tick:
        if not session.is_over:
            for report in train(session.model, session.course, session.optimizer, session.progress):
                session.progress = report.progress
                _note(session, report, tick)
                _after_step(session, sampler, leaving=received.number is not None)
                if received.number is not None:
                    _leave(session, received.number)
                if session.is_over:
                    break


def _note(session: _Session, report: StepReport, tick: Tick) -> None:
    tokens = session.course.tokens(report.progress.step - 1)
    tokens_per_s = tokens / report.seconds
    share = session.plan.flops_per_token * tokens_per_s / session.plan.peak_flops
    fields = {
        "loss": report.loss,
        "lr": report.lr,
        "grad_norm": report.grad_norm,
        "tokens": report.progress.tokens,
        "epoch": session.course.epoch(report.progress.step),
        "seconds": report.seconds,
        "tokens_per_s": tokens_per_s,
        "share_of_peak": share,
    }
    if report.skipped is None:
        session.write("step", **fields)
    else:
        say(f"Skipped step {report.progress.step}: {report.skipped}")
        session.write("skipped", reason=report.skipped, windows=report.windows, **fields)
    note = f"loss {report.loss:.3f}  {size(tokens_per_s, 'tokens/s')}  {share:.0%} of peak"
    tick(report.progress.step, note)


def _after_step(session: _Session, sampler: Sampler | None, *, leaving: bool) -> None:
    """Measure, sample and save where the step is due for it."""
    settings, step = session.course.settings, session.progress.step
    last = step == session.course.steps
    if step % settings.evaluate_every == 0 or last:
        _evaluate(session)
    if sampler is not None and settings.sample_every is not None and (step % settings.sample_every == 0 or last):
        _sample(session, sampler)
    best = settings.patience is not None and session.best.step == step
    if step % settings.checkpoint_every == 0 or best or session.is_over or leaving:
        _save(session, must=session.is_over or leaving)


def _evaluate(session: _Session) -> None:
    if session.parts.validation is not None:
        objective, settings = session.course.objective, session.course.settings
        loss = mean_loss(session.model, objective, session.parts.validation, settings)
        session.best = session.best.after(loss, session.progress.step)
        bits_per_byte = loss / NATS_PER_BIT * session.parts.tokens_per_byte
        session.write("validation", loss=loss, bits_per_byte=bits_per_byte)


def _sample(session: _Session, sampler: Sampler) -> None:
    session.model.eval()
    settings = session.course.settings
    for prompt in settings.sample_prompts:
        text = sampler(session.model, session.parts.tokenizer, prompt, settings.seed)
        session.write("sample", prompt=prompt, text=text)


def _save(session: _Session, *, must: bool) -> None:
    """Write a checkpoint, then prune. A disk that fails doesn't end the run unless it `must` be saved now."""
    settings, step, folder = session.course.settings, session.progress.step, session.run / CHECKPOINTS
    try:
        state = {
            "progress": dataclasses.asdict(session.progress),
            "best": dataclasses.asdict(session.best) if session.best.step is not None else {},
            "metrics_bytes": session.diary.sync(),
        }
        checkpoint.write_checkpoint(
            folder, step, session.model, session.optimizer, state=state, made_with=session.parts.made_with
        )
        session.saved_step, session.failed_saves = step, 0
        protect = () if settings.patience is None or session.best.step is None else (session.best.step,)
        checkpoint.prune(folder, keep=settings.keep_checkpoints, newest=step, protect=protect)
    except OSError as error:
        _survive(session, error, must=must and session.saved_step != step)


def _survive(session: _Session, error: OSError, *, must: bool) -> None:
    """Go on from memory after a failed save, up to twice in a row."""
    session.failed_saves += 1
    safe = "nothing is saved yet" if session.saved_step is None else f"step {session.saved_step} is safe"
    if must or session.failed_saves > FAILED_SAVES_ALLOWED:
        raise RunStopped(
            f"step {session.progress.step} can't be saved: {error}; {safe}",
            where=str(session.run),
            fix="Make room on the disk and start the same command again.",
        ) from error
    say(f"Warning: step {session.progress.step} can't be saved: {error}; {safe}, the next interval tries again")


def _leave(session: _Session, signal_number: int) -> None:
    raise Interrupted(
        f"saved step {session.progress.step} of {session.course.steps}",
        signal_number=signal_number,
        fix="Start the same command again to go on.",
    )


def _finish(session: _Session) -> Path:
    """Write the model folder from the last weights, or the best ones where patience is set."""
    settings, target = session.course.settings, session.run / MODEL
    best = session.best.step
    if settings.patience is not None and best is not None and best != session.progress.step:
        checkpoint.load_weights(checkpoint.folder_of(session.run / CHECKPOINTS, best), session.model)
        say(f"The model has the weights of step {best}, the best on the validation split")
    session.model.eval()
    parts, read = session.parts, read_run(session.run)
    measured = {"memory_bytes": peak_rss_bytes(), "steps": session.progress.step, "tokens": session.progress.tokens}
    files.write_json(session.run / MEASURED, measured)
    save_model(
        target,
        session.model,
        parts.tokenizer,
        provenance=_provenance(session),
        generation=None,
        card=model_card(read, family=parts.recipe.model.family, parameters=session.plan.parameters),
        replace=True,
    )
    say(f"The model is in {target}")
    return target


def _provenance(session: _Session) -> dict[str, Any]:
    made_with = session.parts.made_with
    return {
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


def _warn_of_space(run: Path, plan: Plan) -> None:
    free = files.free_bytes(run)
    if free < plan.disk_bytes:
        say(f"Warning: {size(free)} are free, the run will need {size(plan.disk_bytes)}")
