"""Explanations of what served models answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from lexloom.serve.models import Served
from lexloom.stages.explain import explain_one, explainable
from lexloom.tasks.folder import TaskModel
from lexloom.tasks.paths import BEGINS

ASKABLE = ("classify", "relation", "tag")
"""Tasks in which one may ask about another label than the model's answer."""


@dataclass(frozen=True)
class Asked:
    """An example, and what is asked about it."""

    texts: tuple[str, ...]
    label: str | None


def askable_labels(served: Served) -> list[str] | None:
    """The labels that can be asked about; None for a model whose answers can't be explained."""
    if served.task is None or not explainable(served.task):
        return None
    labels = served.task.setting.labels
    if served.task.name not in ASKABLE:
        return []
    if served.task.name == "tag":
        return [label.removeprefix(BEGINS) for label in labels if label.startswith(BEGINS)]
    return list(labels)


async def explanation(served: Served, asked: Asked) -> dict[str, Any]:
    """What `lexloom explain --json` says of one example. Raises UserError for what can't be explained."""
    assert served.task is not None, "only models that do a task are asked to explain it"
    (found,) = await served.engine.run(partial(_explained, served.task), [asked])
    plain: dict[str, Any] = found
    return plain


def _explained(task: TaskModel, examples: Sequence[Asked]) -> list[dict[str, Any]]:
    """Runs in the model's own thread, where no gradient is kept unless one says so."""
    with torch.inference_mode(False), torch.enable_grad():
        return [explain_one(task, each.texts, label=each.label) for each in examples]
