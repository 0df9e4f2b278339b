"""`lexloom evaluate`: which evaluation a model needs, by what it is."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lexloom.base.errors import UserError
from lexloom.evaluate.fewshot.queries import ASKING
from lexloom.models import FAMILIES
from lexloom.models.folder import read_config, read_facts
from lexloom.nn.static import StaticConfig
from lexloom.stages import evaluate as language
from lexloom.stages import evaluate_masked as masked
from lexloom.stages import evaluate_tasks as tasks
from lexloom.stages import few_shot, words
from lexloom.stages.evaluate import Results
from lexloom.stages.evaluate_decoders import decoder_task

WRITES, FINDS, UNDERSTANDS, LISTS = "writes", "finds what is hidden", "does a task", "has vectors of words"


def evaluate(
    folders: Sequence[str],
    data: Sequence[str],
    *,
    predictions: Sequence[str] = (),
    changes: Mapping[str, Any] | None = None,
    prompt: Mapping[str, Any] | None = None,
    shots: Sequence[int] = (),
    examples: Sequence[str] = (),
    out: Path | None = None,
) -> Results:
    """Judge models of one kind, or saved predictions; see `evaluate`, `evaluate_masked` and `evaluate_tasks`.

    Decoders are asked to do a task that is named, or that a fine-tuned model beside them does: see `few_shot`. Raises
    UserError for models of different kinds, and where there is nothing to judge.
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
    named = (changes or {}).get("name")
    if set(kinds) == {WRITES, UNDERSTANDS} or (set(kinds) == {WRITES} and named in ASKING):
        return few_shot.evaluate_few_shot(
            paths,
            data,
            decoders={path for path, kind in zip(paths, kinds, strict=True) if kind == WRITES},
            changes=changes or {},
            prompt=prompt or {},
            shots=shots,
            examples=examples,
            out=out,
        )
    if shots or examples or prompt:
        fix = f"Set task.name to {', '.join(ASKING)}, and name a decoder."
        raise UserError("shots, examples and prompts are for decoders that are asked to do a task", fix=fix)
    for folder, kind in zip(folders, kinds, strict=True):
        if kind != kinds[0]:
            raise UserError(f"{kind}, but {folders[0]} {kinds[0]}", where=folder, fix="Compare models of one kind.")
    task = decoder_task(paths, data, changes or {}) if kinds[0] == WRITES else None
    if kinds[0] == UNDERSTANDS or task is not None:
        return tasks.evaluate_tasks(paths, data, changes=changes, task=task, out=out)
    if changes:
        raise UserError(f"task.{next(iter(changes))} is for models that were fine-tuned", where=folders[0])
    if kinds[0] == LISTS:
        return words.evaluate_words(paths, data, out=out)
    if kinds[0] == FINDS:
        return masked.evaluate_folders(paths, data, out=out)
    return language.evaluate(paths, data, out=out)


def describe(results: Results) -> str:
    """The results for people."""
    if "prompt" in results:
        return few_shot.describe(results)
    if "task" in results:
        return tasks.describe(results)
    if "words" in results:
        return words.describe_words(results)
    first = results["models"][0]
    return masked.describe(results) if "sequences" in first else language.describe(results)


def kind_of(folder: Path) -> str:
    """What a model does, by its family, its head and the task it was fine-tuned for. Raises FolderError."""
    family, config = read_config(folder)
    kind = FAMILIES[family].kind
    if kind == "decoder":
        return WRITES
    if kind == "encoder-decoder":
        return UNDERSTANDS if read_facts(folder).get("task") else FINDS
    if isinstance(config, StaticConfig) and not read_facts(folder).get("task"):
        return LISTS
    return FINDS if config.head in masked.OBJECTIVE_OF_HEAD else UNDERSTANDS
