"""Explanations of what served models answer."""

import asyncio
from typing import Any

from lexloom.serve.models import Served
from lexloom.serve.threads import aside
from lexloom.stages.explain import explain_one, explainable
from lexloom.tasks.paths import BEGINS

ASKABLE = ("classify", "relation", "tag")
"""Tasks in which one may ask about another label than the model's answer."""


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


async def explanation(served: Served, texts: tuple[str, ...], label: str | None, turns: asyncio.Lock) -> dict[str, Any]:
    """What `lexloom explain --json` says of one example; see `stages.explain` for the errors.

    An explanation takes hundreds of passes through the model. So it isn't made in the thread in which models write,
    where everybody would wait for it, but beside it, and one at a time: `turns`.
    """
    task = served.task
    assert task is not None, "only models that do a task are asked to explain it"
    async with turns:
        return await aside(lambda: explain_one(task, texts, label=label))
