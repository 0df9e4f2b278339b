"""`lexloom evaluate`: which evaluation a model needs, by what it is."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lexloom.base.errors import UserError
from lexloom.models import FAMILIES
from lexloom.models.folder import read_config
from lexloom.stages import evaluate as language
from lexloom.stages import evaluate_masked as masked
from lexloom.stages import evaluate_tasks as tasks
from lexloom.stages.evaluate import Results

WRITES, FINDS, UNDERSTANDS = "writes", "finds masked tokens", "does a task"


def evaluate(
    folders: Sequence[str],
    data: Sequence[str],
    *,
    predictions: Sequence[str] = (),
    changes: Mapping[str, Any] | None = None,
    out: Path | None = None,
) -> Results:
    """Judge models of one kind, or saved predictions; see `evaluate`, `evaluate_masked` and `evaluate_tasks`.

    Raises UserError for models of different kinds, and where there is nothing to judge.
    """
    if not data:
        raise UserError("there is nothing to evaluate on", fix="Name it: --data FILE.")
    if predictions and folders:
        raise UserError("models and saved predictions can't be judged in one go", fix="Name one or the other.")
    if predictions:
        return tasks.evaluate_predictions(predictions, data, changes=changes or {}, out=out)
    if not folders:
        raise UserError("there is nothing to judge", fix="Name model folders, or --predictions FILE.")
    paths = [Path(folder) for folder in folders]
    kinds = [kind_of(path) for path in paths]
    for folder, kind in zip(folders, kinds, strict=True):
        if kind != kinds[0]:
            raise UserError(f"{kind}, but {folders[0]} {kinds[0]}", where=folder, fix="Compare models of one kind.")
    if kinds[0] == UNDERSTANDS:
        return tasks.evaluate_tasks(paths, data, changes=changes, out=out)
    if changes:
        raise UserError(f"task.{next(iter(changes))} is for models that were fine-tuned", where=folders[0])
    if kinds[0] == FINDS:
        return masked.evaluate_folders(paths, data, out=out)
    return language.evaluate(paths, data, out=out)


def describe(results: Results) -> str:
    """The results for people."""
    if "task" in results:
        return tasks.describe(results)
    first = results["models"][0]
    return masked.describe(results) if "masked_accuracy" in first else language.describe(results)


def kind_of(folder: Path) -> str:
    """What a model does, by its family and head. Raises FolderError."""
    family, config = read_config(folder)
    if FAMILIES[family].kind == "decoder":
        return WRITES
    return FINDS if config.head in ("masked", "pretraining") else UNDERSTANDS
