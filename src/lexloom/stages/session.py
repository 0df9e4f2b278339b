"""A run under way: what happens after each step of train/loop.py — the diary, measuring, samples, saving, stopping."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lexloom.base.console import Tick, progress, say, size
from lexloom.base.errors import Interrupted, RunStopped
from lexloom.stages.building import Parts
from lexloom.text.tokenizers import Tokenizer
from lexloom.train import checkpoint
from lexloom.train.course import Course
from lexloom.train.diary import Diary
from lexloom.train.events import Events
from lexloom.train.loop import Progress, StepReport, mean_loss, train
from lexloom.train.optim import Optimizer
from lexloom.train.parallel import agreed
from lexloom.train.plan import Plan
from lexloom.train.signals import Received
from lexloom.train.stopping import Best

CHECKPOINTS = "checkpoints"
FAILED_SAVES_ALLOWED = 2

Sampler = Callable[[Any, Tokenizer, str, int], str]
"""(model, tokenizer, prompt, seed) → the model's continuation."""


@dataclass(kw_only=True)
class Session:
    """A run under way: its parts, and the little that changes from step to step."""

    parts: Parts
    prepared: Path
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


def follow(session: Session, received: Received, sampler: Sampler) -> None:
    """Consume the loop's reports until the run is over."""
    if session.progress.step:
        say(f"Resumed after step {session.progress.step} of {session.course.steps}")
    if session.is_over:
        return
    with progress("pretrain", session.course.steps) as tick:
        reports = train(
            session.model, session.course, session.optimizer, session.progress, compiled=session.plan.compiled
        )
        for report in reports:
            session.progress = report.progress
            _note(session, report, tick)
            signal_number = agreed(received.number)
            _after_step(session, sampler, leaving=signal_number != 0)
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
        session.write("skipped", reason=report.skipped, windows=report.windows, **fields)
    note = f"loss {report.loss:.3f}  {size(tokens_per_s, 'tokens/s')}  {share:.0%} of peak"
    tick(report.progress.step, note)


def _after_step(session: Session, sampler: Sampler, *, leaving: bool) -> None:
    """Measure, sample and save where the step is due for it."""
    settings, step = session.course.settings, session.progress.step
    last = step == session.course.steps
    if step % settings.evaluate_every == 0 or last:
        _evaluate(session)
    if settings.sample_every is not None and (step % settings.sample_every == 0 or last):
        _sample(session, sampler)
    best = settings.patience is not None and session.best.step == step
    if session.diary is not None and (step % settings.checkpoint_every == 0 or best or session.is_over or leaving):
        _save(session, session.diary, must=session.is_over or leaving)


def _evaluate(session: Session) -> None:
    if session.parts.validation is not None:
        objective, settings = session.course.objective, session.course.settings
        loss = mean_loss(session.model, objective, session.parts.validation, settings)
        session.best = session.best.after(loss, session.progress.step)
        bits_per_byte = loss / math.log(2) * session.parts.tokens_per_byte
        session.write("validation", loss=loss, bits_per_byte=bits_per_byte)


def _sample(session: Session, sampler: Sampler) -> None:
    session.model.eval()
    settings = session.course.settings
    for prompt in settings.sample_prompts:
        text = sampler(session.model, session.parts.tokenizer, prompt, settings.seed)
        session.write("sample", prompt=prompt, text=text)


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
            folder, step, session.model, session.optimizer, state=state, made_with=session.parts.made_with
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
