"""Folders of tiny models that do a task, for tests of use and evaluation."""

from pathlib import Path
from typing import Any

from lexloom.models import FAMILIES
from lexloom.models.folder import save_model
from lexloom.models.sentences import Pooling
from lexloom.tasks import TASKS, Setting
from tests.folders import SHAPES, drawn
from tests.understanding import bytes_tokenizer, setting_of, tokenizer

FAMILY = {"encoder": "bert", "encoder-decoder": "transformer"}
"""The one that does a task unless another one is named."""


def write_task_model(
    path: Path, name: str, *, family: str | None = None, seed: int = 0, max_tokens: int = 64, **settings: Any
) -> Path:
    """A model of a task with large random weights, so that what it says depends on what it reads."""
    chosen = FAMILY[TASKS[name].needs[0]] if family is None else family
    reader = bytes_tokenizer() if chosen == "elmo" else tokenizer()
    setting = setting_of(name, max_tokens=max_tokens, reader=reader, **settings)
    save_model(
        path,
        drawn(chosen, _config(chosen, name, setting), seed).eval(),
        setting.tokenizer,
        provenance={},
        generation=None,
        card="A test.",
        labels=list(setting.labels) or None,
        task={
            "name": name,
            "settings": setting.settings.model_dump(mode="json"),
            "labels": list(setting.labels),
            "max_tokens": setting.max_tokens,
        },
        problem_type={"regress": "regression"}.get(name),
        pooling=Pooling(mode="mean", normalise=True, max_tokens=max_tokens) if name == "similarity" else None,
    )
    return path


def _config(family: str, name: str, setting: Setting) -> Any:
    entry, task, pad_id = FAMILIES[family], TASKS[name], setting.tokenizer.pad_id
    if entry.kind == "encoder":
        own = {"head": task.head, "labels": max(1, task.columns(setting.labels))}
    else:
        own = {"start_id": pad_id, "pad_id": pad_id}
    size = {"vocab_size": setting.tokenizer.vocab_size, "context": max(64, setting.max_tokens)}
    return entry.config(**size, **SHAPES[family], **own)
