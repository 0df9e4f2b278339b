"""Folders of tiny models that do a task, for tests of use and evaluation."""

from pathlib import Path
from typing import Any

import torch

from lexloom.models.folder import save_model
from lexloom.models.sentences import Pooling
from tests.understanding import model_for, setting_of


def write_task_model(path: Path, name: str, *, seed: int = 0, max_tokens: int = 64, **settings: Any) -> Path:
    """A model of a task with large random weights, so that what it says depends on what it reads."""
    setting = setting_of(name, max_tokens=max_tokens, **settings)
    model = _made_loud(model_for(name, setting), seed)
    save_model(
        path,
        model.eval(),
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


def _made_loud(model: Any, seed: int) -> Any:
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3, generator=rng)
    return model
