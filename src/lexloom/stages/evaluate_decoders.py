"""By which task decoders are judged: any text can be scored, conversations as the task they were tuned for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lexloom.base.errors import DataError
from lexloom.base.ledger import Ledger
from lexloom.base.recipe import check, choose
from lexloom.models.folder import read_facts
from lexloom.tasks import TASKS, Task
from lexloom.tasks.folder import MOST_TOKENS, StoredTask
from lexloom.text.sources import STDIN


def decoder_task(folders: Sequence[Path], data: Sequence[str], changes: Mapping[str, Any]) -> StoredTask | None:
    """The task that all of these decoders are to be judged by, tuned or not; None if plain text is to be scored.

    It is the one that `changes` name, or else the one that a folder was tuned for, if the data's first record is an
    example of it. Raises FolderError for a damaged folder, RecipeError for an unknown task.
    """
    tuned = _tuned(folders)
    if "name" in changes:
        return named_task(folders, changes)
    return tuned if tuned is not None and _reads(tuned, data, changes) else None


def named_task(folders: Sequence[Path], changes: Mapping[str, Any]) -> StoredTask | None:
    """The task that `changes` name, with the settings of the first folder that was tuned for it.

    None if none is named, or one that decoders aren't tuned for.
    """
    if "name" not in changes:
        return None
    task: Task = choose(TASKS, changes["name"], field="task.name")
    if "decoder" not in task.needs:
        return None
    tuned = _tuned(folders, changes["name"])
    return (
        tuned
        if tuned is not None
        else {"name": changes["name"], "settings": {}, "labels": (), "max_tokens": MOST_TOKENS}
    )


def _tuned(folders: Sequence[Path], name: str | None = None) -> StoredTask | None:
    stored = (read_facts(folder).get("task") for folder in folders)
    return next((task for task in stored if task is not None and name in (None, task["name"])), None)


def _reads(tuned: StoredTask, data: Sequence[str], changes: Mapping[str, Any]) -> bool:
    """Whether the data's first record is an example of the task; what can be read only once is left unread."""
    if STDIN in data:
        return False
    task = TASKS[tuned["name"]]
    settings = check(task.settings, {**tuned["settings"], **changes}, where="task")
    try:
        return next(iter(task.stream(data, settings, Ledger())), None) is not None
    except DataError:
        return False
