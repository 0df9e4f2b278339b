"""A model folder that does a task: which one, with which labels and settings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lexloom.base.errors import FolderError, RecipeError
from lexloom.base.ledger import Ledger
from lexloom.base.recipe import check, choose
from lexloom.models import FAMILIES
from lexloom.models.folder import ModelFolder, load_model
from lexloom.nn.linear import pack_for_inference
from lexloom.tasks import TASKS
from lexloom.tasks.contract import Prediction, Setting, Task
from lexloom.tasks.predict import predict

TASK_OF_HEAD = {"sequence": "classify", "token": "tag", "span": "span", "choice": "choice"}
"""What a published encoder's head is for, where nothing says more."""
MOST_TOKENS = 512
"""The longest piece that a published model is given, unless its own limit is shorter."""


StoredTask = Mapping[str, Any]
"""A task as lexloom.json keeps it: name, settings, labels, max_tokens."""


@dataclass(frozen=True)
class TaskModel:
    """A model, the task it does, and what the task stands on."""

    name: str
    task: Task
    setting: Setting
    model: Any

    def predict(
        self, examples: Sequence[Any], *, ledger: Ledger, tick: Callable[[int], None] | None = None
    ) -> list[Prediction]:
        """One prediction per example, in their order; what is cut is counted."""
        return predict(self.model, self.task, examples, self.setting, ledger=ledger, tick=tick)


def load_task_model(
    path: Path, changes: Mapping[str, Any] | None = None, *, task: StoredTask | None = None, verify: bool = True
) -> TaskModel:
    """Read a fine-tuned folder for use, not for training it further; `changes` are task settings to use instead.

    With `task` the model does that one, whatever it was tuned for. Raises FolderError (also for a model without a
    task), DamagedError, RecipeError.
    """
    return task_model(load_reader(path, verify=verify), path, changes, task=task)


def load_reader(path: Path, *, verify: bool = True) -> ModelFolder:
    """Load an encoder's folder for reading texts, laid out for it; not for training it further."""
    contents = load_model(path, verify=verify)
    pack_for_inference(contents.model)
    return contents


def task_model(
    contents: ModelFolder, path: Path, changes: Mapping[str, Any] | None = None, *, task: StoredTask | None = None
) -> TaskModel:
    """The task that a loaded folder was fine-tuned for, by lexloom.json, or else by the head that others gave it."""
    if contents.tokenizer is None:
        raise FolderError("has no tokenizer.json", where=str(path))
    stored = task or contents.facts.get("task") or _published_task(contents)
    if stored is None:
        raise FolderError(
            "was fine-tuned for no task",
            where=str(path),
            fix="Fine-tune it with `lexloom finetune`, then name the run's model folder.",
        )
    does: Task = choose(TASKS, stored["name"], field="task.name")
    setting = Setting(
        tokenizer=contents.tokenizer,
        settings=check(does.settings, stored["settings"], where=str(path)),
        labels=tuple(stored["labels"]),
        max_tokens=min(stored["max_tokens"], contents.model.config.context),
    )
    return changed(TaskModel(stored["name"], does, setting, contents.model), changes or {})


def changed(model: TaskModel, changes: Mapping[str, Any]) -> TaskModel:
    """The same with other task settings, such as the columns of another table. Raises RecipeError."""
    if not changes:
        return model
    if changes.get("name", model.name) != model.name:
        raise RecipeError(f"the model does {model.name}, not {changes['name']}", where="task.name")
    values = {**model.setting.settings.model_dump(), **{key: changes[key] for key in changes if key != "name"}}
    settings = check(model.task.settings, values, where="task")
    return replace(model, setting=replace(model.setting, settings=settings))


def _published_task(contents: ModelFolder) -> dict[str, Any] | None:
    config = contents.model.config
    if FAMILIES[contents.family].kind == "encoder-decoder":
        return {"name": "text2text", "settings": {}, "labels": (), "max_tokens": min(config.context, MOST_TOKENS)}
    labels = contents.labels or tuple(f"LABEL_{number}" for number in range(getattr(config, "labels", 0)))
    name = TASK_OF_HEAD.get(getattr(config, "head", "decoder"))
    settings: dict[str, Any] = {}
    if name is None and contents.pooling is not None:
        name, settings = "similarity", {"lowest": 0.0, "highest": 1.0}
    if name == "classify" and (len(labels) == 1 or contents.problem_type == "regression"):
        name, settings = "regress", {"mean": 0.0, "scale": 1.0}
    if name == "classify" and contents.problem_type == "multi_label_classification":
        settings = {"several": True}
    if name == "span":
        settings = {"unanswerable": False, "language": "en"}
    if name is None:
        return None
    if name not in ("classify", "tag"):
        labels = ()
    limit = MOST_TOKENS if contents.pooling is None else contents.pooling.max_tokens or MOST_TOKENS
    return {"name": name, "settings": settings, "labels": labels, "max_tokens": min(config.context, limit)}
