"""Read a run folder into one value that the report and the model card are made from. Nothing here is guessed:
what the folder doesn't say stays empty."""

import json
import math
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lexloom.base.errors import DamagedError, FolderError
from lexloom.base.files import read_json
from lexloom.report.weights import parameter_count

METRICS = "metrics.jsonl"
RECIPE = "recipe.toml"
PLAN = "plan.json"
MEASURED = "measured.json"
LEDGER = "ledger.json"
RESULTS = "results.json"
PICTURE = "picture.svg"
QUALITY = "tokenizer_quality.json"
PREDICTIONS = "predictions.jsonl"
MODEL = "model"

NOT_FINITE = ("nan", "inf", "-inf")
STEP_FIELDS = ("step", "loss", "lr", "grad_norm", "tokens", "seconds", "tokens_per_s")

Row = dict[str, Any]
Column = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """What `metrics.jsonl` says: one array per field of the steps (NaN where a line lacks it), and the other lines."""

    steps: dict[str, Column]
    validations: list[Row] = field(default_factory=list)
    samples: list[Row] = field(default_factory=list)
    skipped: list[Row] = field(default_factory=list)
    fits: list[Row] = field(default_factory=list)
    """At most one: what it took to learn a model in one go."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run folder; a part that it doesn't have is empty."""

    folder: Path
    metrics: Metrics
    recipe: Row
    plan: Row
    measured: Row
    ledger: list[Row]
    quality: Row
    results: Row
    config: Row
    facts: Row
    parameters: int | None
    disk_bytes: int
    """Of checkpoints and model."""

    @cached_property
    def evaluation(self) -> Row:
        """The measures of the run's model; empty if it was not evaluated."""
        models: list[Row] = self.results.get("models", [])
        return models[0] if models else {}

    @property
    def splits(self) -> Row:
        """A fine-tuned model's figures by split; empty for a run that learned no task."""
        return dict(self.results.get("splits", {}))

    @property
    def task(self) -> str | None:
        """The task that a fine-tuning run learns."""
        name = self.results.get("task", self.recipe.get("task", {}).get("name"))
        return None if name is None else str(name)

    @property
    def fills_masks(self) -> bool:
        """Whether it pre-trains a model to put something in the place of what is hidden."""
        return str(self.recipe.get("objective", "")).startswith(("masked", "denoise"))

    @cached_property
    def predictions(self) -> list[Row]:
        """What a fine-tuned model said to each example of the split judged last."""
        path = self.folder / PREDICTIONS
        return list(_rows(path)) if path.is_file() else []

    @cached_property
    def seconds(self) -> float:
        """Time spent in steps, or in learning in one go; a resumed run counts each step once. Zero if nothing was
        timed."""
        return float(np.nansum(self.metrics.steps["seconds"])) + sum(
            number(row["seconds"]) for row in self.metrics.fits
        )

    @property
    def tokens(self) -> float:
        """Tokens learned from; NaN if it isn't known."""
        return number(self.metrics.fits[-1]["tokens"]) if self.metrics.fits else last(self.metrics.steps["tokens"])

    @cached_property
    def bits_per_nat(self) -> float | None:
        """How many bits per byte one nat per token is on the validation split, where both were measured."""
        pairs = [(row.get("bits_per_byte"), row.get("loss")) for row in self.metrics.validations]
        known = [bits / loss for bits, loss in pairs if bits and loss and math.isfinite(bits / loss)]
        return known[-1] if known else None

    @cached_property
    def best_validation(self) -> Row | None:
        """The validation line with the lowest loss."""
        known = [row for row in self.metrics.validations if math.isfinite(number(row.get("loss")))]
        return min(known, key=lambda row: float(row["loss"])) if known else None


def read_run(folder: Path) -> Run:
    """Read a run folder, finished or not.

    Raises FolderError if there is no `metrics.jsonl`, DamagedError naming the file (and line) that can't be read.
    """
    if not (folder / METRICS).is_file():
        raise FolderError(f"is not a run folder: it has no {METRICS}", where=str(folder))
    model = folder / MODEL
    return Run(
        folder=folder,
        metrics=read_metrics(folder / METRICS),
        recipe=_optional_toml(folder / RECIPE),
        plan=optional_json(folder / PLAN, {}),
        measured=optional_json(folder / MEASURED, {}),
        ledger=optional_json(folder / LEDGER, []),
        quality=optional_json(folder / QUALITY, {}),
        results=optional_json(folder / RESULTS, {}),
        config=optional_json(model / "config.json", {}),
        facts=optional_json(model / "lexloom.json", {}),
        parameters=parameter_count(model) if model.is_dir() else None,
        disk_bytes=sum(path.stat().st_size for path in folder.glob("*/**/*") if path.is_file()),
    )


def read_metrics(path: Path) -> Metrics:
    """Read `metrics.jsonl` line by line; a last line that a running process hasn't finished is left out."""
    columns: dict[str, list[float]] = {name: [] for name in STEP_FIELDS}
    others: dict[str, list[Row]] = {"validation": [], "sample": [], "skipped": [], "fit": []}
    for row in _rows(path):
        if row.get("kind") == "step":
            for name, values in columns.items():
                values.append(number(row.get(name)))
        elif row.get("kind") in others:
            others[row["kind"]].append(row)
    return Metrics(
        steps={name: np.array(values) for name, values in columns.items()},
        validations=others["validation"],
        samples=others["sample"],
        skipped=others["skipped"],
        fits=others["fit"],
    )


def number(value: Any) -> float:
    """A number from JSON, where "nan", "inf" and "-inf" stand for themselves; NaN for anything else, such as null."""
    if isinstance(value, int | float):
        return float(value)
    return float(value) if value in NOT_FINITE else math.nan


def last(values: Column) -> float:
    """The last finite value of a column; NaN if there is none."""
    known = values[np.isfinite(values)]
    return float(known[-1]) if known.size else math.nan


def optional_json(path: Path, default: Any) -> Any:
    """The JSON file, or `default` if there is none."""
    return read_json(path) if path.is_file() else default


def _optional_toml(path: Path) -> Row:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DamagedError(f"can't be read as TOML: {error}", where=str(path)) from None


def _rows(path: Path) -> Iterator[Row]:
    with open(path, "rb") as file:
        for at, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                row = json.loads(line)
            except ValueError as error:
                raise DamagedError(f"is not JSON: {error}", where=f"{path}:{at}") from None
            if not isinstance(row, dict):
                raise DamagedError("is not a JSON object", where=f"{path}:{at}")
            yield row
