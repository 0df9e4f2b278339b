"""A run without steps: a model that is counted or solved in one go (`Family.fit`).

It keeps no checkpoints: one that was interrupted begins again, and ends in the same bytes.
"""

import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from lexloom.base import files
from lexloom.base.console import Tick, progress, say
from lexloom.base.errors import Interrupted, RunStopped
from lexloom.models import FAMILIES
from lexloom.stages.session import Fit, Trained, Work
from lexloom.text.tokenizers import Tokenizer
from lexloom.train.course import Units
from lexloom.train.diary import FILE as METRICS
from lexloom.train.diary import Diary
from lexloom.train.events import Events
from lexloom.train.plan import Plan, measure_fit
from lexloom.train.settings import FITTING, STEPPING, LoopSettings
from lexloom.train.signals import Received

FitOn = Literal["corpus", "examples"]


def in_one_go(family: str, units: FitOn) -> bool:
    """Whether a family is learned in one go from a corpus, or from labelled examples."""
    return FAMILIES[family].fit is not None and FAMILIES[family].fit_on == units


def fit_of(
    family: str,
    config: Any,
    settings: LoopSettings,
    tokenizer: Tokenizer,
    units: FitOn,
    class_weights: Tensor | None = None,
) -> Fit | None:
    """How a model of this config is learned in one go, with what the recipe says to it; None: by steps."""
    entry = FAMILIES[family]
    if not in_one_go(family, units):
        return None
    given = {"tokenizer": tokenizer, "class_weights": class_weights}
    wanted = {name: given[name] if name in given else getattr(settings, name) for name in entry.fit_settings}

    def fit(units: Units, scratch: Path, tick: Tick) -> Any:
        assert entry.fit is not None, "checked above"
        return entry.fit(config, units, tick, scratch=scratch, **wanted)

    return fit


def note_without_effect(family: str, settings: LoopSettings, units: FitOn) -> None:
    """Name the keys that somebody has set and that this kind of learning has no use for."""
    fits = in_one_go(family, units)
    others: Collection[str] = {*STEPPING} - {*FAMILIES[family].fit_settings} if fits else FITTING
    idle = [f"train.{name}" for name in type(settings).model_fields if name in settings.model_fields_set & {*others}]
    if idle:
        how = "in one go" if fits else "by steps"
        say(f"Note: {family} is learned {how}; without effect: {', '.join(idle)}")


def plan_fit(fit: Fit, units: Units, folder: Path | None = None) -> Plan:
    """What learning in one go will take, measured on a share; what memory can't hold is put into `folder` meanwhile."""
    with files.scratch(folder) as scratch:
        return measure_fit(lambda share: fit(share, scratch, _silent), units)


def fitted(work: Work, run: Path, received: Received) -> Trained:
    """Learn the model, note what it took, and measure it.

    Raises Interrupted after a signal, with nothing saved, and RunStopped where the disk fails.
    """
    assert work.fit is not None, "a work of steps is followed, not fitted"
    diary = Diary(run / METRICS, 0, say)
    events = Events(run, 0) if work.settings.tensorboard else None
    try:
        started = time.monotonic()
        model = _learned(work, work.fit, run, received)
        seconds = time.monotonic() - started
        tokens = sum(map(work.units.tokens, range(len(work.units))))
        lines: list[tuple[str, dict[str, Any]]] = [
            ("fit", {"tokens": tokens, "seconds": seconds, "tokens_per_s": tokens / max(seconds, 1e-6)})
        ]
        if work.measure is not None:
            lines.append(("validation", dict(work.measure(model).fields)))
        if work.sample is not None and work.sample_every is not None:
            lines += [("sample", dict(fields)) for fields in work.sample(model.eval())]
        for kind, fields in lines:
            line = diary.write(kind, 0, fields)
            if events is not None:
                events.write(line)
        diary.sync()
    except OSError as error:
        raise _stopped(run, error) from error
    finally:
        diary.close()
        if events is not None:
            events.close()
    return Trained(run=run, model=model, steps=0, tokens=tokens, weights_of_step=0)


def _learned(work: Work, fit: Fit, run: Path, received: Received) -> Any:
    with progress(work.title, 1.0) as tick, files.scratch(run) as scratch:

        def watched(done: float, note: str = "") -> None:
            tick(done, note)
            if received.number:
                raise Interrupted(
                    "nothing is saved of a model that is learned in one go",
                    signal_number=received.number,
                    fix="Start the same command again; it begins anew.",
                )

        return fit(work.units, scratch, watched)


def _silent(done: float, note: str = "") -> None:
    """Nobody waits for what is only measured."""


def _stopped(run: Path, error: OSError) -> RunStopped:
    return RunStopped(
        f"the disk failed: {error}", where=str(run), fix="Make room on the disk and start the same command again."
    )
