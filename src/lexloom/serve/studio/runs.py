"""The runs of a folder, as the studio shows them: a line for each, and one of them with its curve.

Everything is read from the run's own files, again and again while it learns; nothing is written.
"""

import math
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from lexloom.base.errors import UserError
from lexloom.report import plots
from lexloom.report.headline import lede, loss_unit, stats, title
from lexloom.report.page import REPORT
from lexloom.report.read import METRICS, MODEL, PLAN, Metrics, Row, number, optional_json, read_metrics, read_run

MOST_RUNS = 200
DEPTH = 2
"""How many folders below the given one a run may lie: `runs/`, `experiments/runs/`."""
CURVE_POINTS = 600
SAMPLES_SHOWN = 3
METRICS_KEPT = 64


def list_runs(folder: Path) -> list[Row]:
    """The runs in a folder, the last changed first."""
    found = sorted(find_runs(folder).items(), key=lambda each: -(each[1] / METRICS).stat().st_mtime)
    return [_line(name, path) for name, path in found[:MOST_RUNS]]


def show_run(folder: Path, name: str) -> Row:
    """One run with its curve, its ledger and what it wrote last. Raises UserError for a run that isn't there."""
    path = run_path(folder, name)
    run = read_run(path)
    return {
        **_line(name, path),
        "title": title(run),
        "lede": lede(run),
        "unit": loss_unit(run),
        "stats": stats(run),
        "curve": _curve(run.metrics),
        "samples": [_sample(row) for row in run.metrics.samples[-SAMPLES_SHOWN:]],
        "ledger": [
            {key: row.get(key) for key in ("stage", "outcome", "documents", "characters")} for row in run.ledger
        ],
        "report": (path / REPORT).is_file(),
    }


def report_of(folder: Path, name: str) -> bytes:
    """The page that a run wrote about itself. Raises UserError where there is none."""
    page = run_path(folder, name) / REPORT
    if not page.is_file():
        raise UserError("the run has no report yet", where="name")
    return page.read_bytes()


def run_path(folder: Path, name: str) -> Path:
    """The folder of a run that `list_runs` names; no other name leads anywhere."""
    path = find_runs(folder).get(name)
    if path is None:
        raise UserError("there is no such run", where="name")
    return path


def find_runs(folder: Path) -> dict[str, Path]:
    """The run folders at and below a folder, by their names from there."""
    if (folder / METRICS).is_file():
        return {folder.resolve().name: folder}
    levels = ["*/" * depth + METRICS for depth in range(1, DEPTH + 1)]
    paths = [place.parent for level in levels for place in sorted(folder.glob(level)) if place.is_file()]
    return {path.relative_to(folder).as_posix(): path for path in paths if not _hidden(path, folder)}


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _line(name: str, path: Path) -> Row:
    file = (path / METRICS).stat()
    metrics = _metrics(path / METRICS, file.st_size, file.st_mtime_ns)
    steps, losses = metrics.steps["step"], metrics.steps["loss"]
    plan = optional_json(path / PLAN, {})
    return {
        "name": name,
        "step": _plain(steps[-1]) if steps.size else 0,
        "steps": plan.get("steps"),
        "loss": _plain(losses[np.isfinite(losses)][-1]) if np.isfinite(losses).any() else None,
        "best": min((row["loss"] for row in metrics.validations if _known(row)), default=None),
        "finished": (path / MODEL).is_dir(),
        "idle_s": round(max(0.0, time.time() - file.st_mtime)),
    }


@lru_cache(maxsize=METRICS_KEPT)
def _metrics(path: Path, size_bytes: int, changed_ns: int) -> Metrics:
    """Read again only what has changed since."""
    return read_metrics(path)


def _curve(metrics: Metrics) -> Row:
    steps, losses = metrics.steps["step"], metrics.steps["loss"]
    known = np.isfinite(losses)
    steps, losses = steps[known], losses[known]
    means = plots.smooth(losses, losses.size // plots.SMOOTH_OVER) if plots.is_smoothed(losses) else losses
    x, y = plots.thin(steps, losses, CURVE_POINTS)
    mean_x, mean_y = plots.thin(steps, means, CURVE_POINTS)
    return {
        "every": _points(x, y),
        "mean": _points(mean_x, mean_y),
        "validation": [[row["step"], row["loss"]] for row in metrics.validations if _known(row)],
    }


def _points(x: Any, y: Any) -> list[list[float]]:
    return [[_plain(one), _plain(two)] for one, two in zip(x, y, strict=True)]


def _plain(value: Any) -> float:
    """A number of few digits: a curve has some hundred of them."""
    return float(f"{float(value):.6g}")


def _known(row: Row) -> bool:
    return math.isfinite(number(row.get("loss"))) and math.isfinite(number(row.get("step")))


def _sample(row: Row) -> Row:
    prompt = str(row.get("prompt", ""))
    return {"step": row.get("step"), "prompt": prompt, "text": str(row.get("text", "")).removeprefix(prompt)}
