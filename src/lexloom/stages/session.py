"""A run under way: what happens after each step of train/loop.py — the diary, measuring, samples, saving, stopping.

What is trained, and on what, is the stage's affair (`Work`); how a run opens and ends is in stages/opening.py.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lexloom.base.console import Tick, progress, say, size
from lexloom.base.errors import Interrupted, RunStopped
from lexloom.base.recipe import Settings
from lexloom.objectives.contract import Objective
from lexloom.train import checkpoint
from lexloom.train.course import Course, Units, plan_course
from lexloom.train.diary import Diary
from lexloom.train.events import Events
from lexloom.train.loop import Progress, StepReport, train
from lexloom.train.optim import Optimizer
from lexloom.train.parallel import agreed
from lexloom.train.plan import Plan
from lexloom.train.settings import LoopSettings
from lexloom.train.signals import Received
from lexloom.train.stopping import Best

CHECKPOINTS = "checkpoints"
FAILED_SAVES_ALLOWED = 2

Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Measured:
    """The validation split, measured: fields for the diary, and the score for patience (higher is better)."""

    fields: Fields
    score: float


Fit = Callable[[Units, Path, Tick], Any]
"""(units, an empty folder for what memory can't hold, the tick of progress) → the model."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a run has come to."""

    run: Path
    model: Any
    steps: int
    """None were taken by a model that is learned in one go."""
    tokens: int
    weights_of_step: int
    """Of the last step, or of the best one where patience is set."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a run is to do."""

    title: str
    recipe: Settings
    """As resolved, for recipe.toml."""
    settings: LoopSettings
    objective: Objective
    units: Units
    build: Callable[[], tuple[Any, Optimizer]]
    """A model with its first weights, the same every time, and its optimizer."""
    made_with: dict[str, Any]
    """What decides the run's bits, compared on resume."""
    ledger: bytes | None
    """What becomes ledger.json."""
    measure: Callable[[Any], Measured] | None
    """None if there is nothing to measure on."""
    sample: Callable[[Any], Iterable[Fields]] | None = None
    """What the model writes, for the diary; called every `sample_every` steps."""
    sample_every: int | None = None
    finish: Callable[[Trained], None]
    """Makes of the trained model what the run is for; only the leader of several processes does it."""
    fit: Fit | None = None
    """Learns the model in one go; None: by steps."""

    def course(self, seconds_per_step: float) -> Course:
        """Which units when; a budget in minutes needs the measured `seconds_per_step`."""
        return plan_course(self.objective, self.units, self.settings, seconds_per_step=seconds_per_step)


@dataclass(kw_only=True)
class Session:
    """A run under way: its parts, and the little that changes from step to step."""

    work: Work
    run: Path
    plan: Plan
    model: Any
    optimizer: Optimizer
    course: Course
    diary: Diary | None
    """Only the leader of several processes writes."""
    events: Events | None
    progress: Progress
    best: Best
    saved_step: int | None
    failed_saves: int = 0

    @property
    def is_over(self) -> bool:
        """Whether the budget is spent or the patience is at its end."""
        return self.progress.step >= self.course.steps or self.best.is_over(self.course.settings.patience)

    def write(self, kind: str, **fields: Any) -> None:
        """Add a line to the diary, and to TensorBoard's events where they are wanted."""
        if self.diary is not None:
            line = self.diary.write(kind, self.progress.step, fields)
            if self.events is not None:
                self.events.write(line)

    def close(self) -> None:
        """Close the diary and the events."""
        for writer in (self.diary, self.events):
            if writer is not None:
                writer.close()


def follow(session: Session, received: Received) -> None:
    """Consume the loop's reports until the run is over."""
    if session.progress.step:
        say(f"Resumed after step {session.progress.step} of {session.course.steps}")
    if session.is_over:
        return
    with progress(session.work.title, session.course.steps) as tick:
        reports = train(
            session.model, session.course, session.optimizer, session.progress, compiled=session.plan.compiled
        )
        for report in reports:
            session.progress = report.progress
            _note(session, report, tick)
            signal_number = agreed(received.number)
            _after_step(session, leaving=signal_number != 0)
            if session.is_over:
                break
            if signal_number:
                _leave(session, signal_number)


def _note(session: Session, report: StepReport, tick: Tick) -> None:
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
        session.write("skipped", reason=report.skipped, units=report.units, **fields)
    note = f"loss {report.loss:.3f}  {size(tokens_per_s, 'tokens/s')}  {share:.0%} of peak"
    tick(report.progress.step, note)


def _after_step(session: Session, *, leaving: bool) -> None:
    """Measure, sample and save where the step is due for it."""
    settings, step = session.course.settings, session.progress.step
    if session.course.is_measured_after(step):
        _measure(session)
    every = session.work.sample_every
    if every is not None and (step % every == 0 or step == session.course.steps):
        _sample(session)
    best = settings.patience is not None and session.best.step == step
    if session.diary is not None and (step % settings.checkpoint_every == 0 or best or session.is_over or leaving):
        _save(session, session.diary, must=session.is_over or leaving)


def _measure(session: Session) -> None:
    if session.work.measure is not None:
        measured = session.work.measure(session.model)
        session.best = session.best.after(measured.score, session.progress.step)
        session.write("validation", **measured.fields)


def _sample(session: Session) -> None:
    assert session.work.sample is not None, "samples are wanted of a model that can't write"
    session.model.eval()
    for fields in session.work.sample(session.model):
        session.write("sample", **fields)


def _save(session: Session, diary: Diary, *, must: bool) -> None:
    """Write a checkpoint, then prune. A disk that fails doesn't end the run unless it `must` be saved now."""
    settings, step, folder = session.course.settings, session.progress.step, session.run / CHECKPOINTS
    try:
        state = {
            "progress": dataclasses.asdict(session.progress),
            "best": dataclasses.asdict(session.best),
            "metrics_bytes": diary.sync(),
        }
        checkpoint.write_checkpoint(
            folder, step, session.model, session.optimizer, state=state, made_with=session.work.made_with
        )
        session.saved_step, session.failed_saves = step, 0
        protect = () if settings.patience is None or session.best.step is None else (session.best.step,)
        checkpoint.prune(folder, keep=settings.keep_checkpoints, newest=step, protect=protect)
    except OSError as error:
        _survive(session, error, must=must and session.saved_step != step)


def _survive(session: Session, error: OSError, *, must: bool) -> None:
    """Go on from memory after a failed save, up to twice in a row."""
    session.failed_saves += 1
    if must or session.failed_saves > FAILED_SAVES_ALLOWED:
        raise stopped(session, error) from error
    say(f"Warning: {stopped(session, error).what}; the next interval tries again")


def stopped(session: Session, error: OSError) -> RunStopped:
    """What to raise when the disk has ended the run: it names the step that is safe."""
    safe = "nothing is saved yet" if session.saved_step is None else f"step {session.saved_step} is safe"
    return RunStopped(
        f"the disk failed at step {session.progress.step}: {error}; {safe}",
        where=str(session.run),
        fix="Make room on the disk and start the same command again.",
    )


def _leave(session: Session, signal_number: int) -> None:
    raise Interrupted(
        f"saved step {session.progress.step} of {session.course.steps}",
        signal_number=signal_number,
        fix="Start the same command again to go on.",
    )
