"""Checkpoints: `checkpoints/step-00002000/` is complete or absent, and holds all that the next step depends on.

    model.safetensors       parameters by name
    optimizer.safetensors   optimizer state as parameter/key
    state.json              progress, the best measurement, the length of metrics.jsonl
    manifest.json           sizes, hashes, and what the run was made with; written last

There are no generators in it: every random draw is named by the seed and the position (train/course.py).
"""

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lexloom.base import files
from lexloom.base.errors import DamagedError, FolderError, RunStopped
from lexloom.nn.tensors import TensorFile, write_tensors
from lexloom.train.optim import Optimizer

NAME = re.compile(r"step-(\d{8,})")
MODEL = "model.safetensors"
OPTIMIZER = "optimizer.safetensors"
STATE = "state.json"

Facts = Mapping[str, Any]
"""What a run was made with, nested: recipe, data, tokenizer, machine."""


def folder_of(checkpoints: Path, step: int) -> Path:
    """Where the checkpoint of `step` is, or will be."""
    return checkpoints / f"step-{step:08d}"


def write_checkpoint(
    checkpoints: Path, step: int, model: nn.Module, optimizer: Optimizer, *, state: Facts, made_with: Facts
) -> Path:
    """Save everything after `step` steps; raises RunStopped rather than save a weight that is not finite."""
    tensors = {name: parameter.detach() for name, parameter in model.named_parameters()}
    broken = next((name for name, tensor in tensors.items() if not tensor.isfinite().all()), None)
    if broken is not None:
        raise RunStopped(f"{broken} is not finite at step {step}; nothing was saved", fix="Lower the learning rate.")
    path = folder_of(checkpoints, step)
    facts = {"kind": "checkpoint", "step": step, "made_with": made_with}
    with files.new_folder(path, facts=facts, replace=True) as folder:
        write_tensors(folder, MODEL, tensors)
        write_tensors(folder, OPTIMIZER, optimizer.state())
        folder.write_json(STATE, state)
    return path


def complete_steps(checkpoints: Path) -> list[int]:
    """The steps that have a folder with a manifest, in numeric order; other folders are not ours."""
    found = [(NAME.fullmatch(path.name), path) for path in checkpoints.glob("step-*")]
    return sorted(int(match[1]) for match, path in found if match and (path / files.MANIFEST).is_file())


def choose(checkpoints: Path, warn: Callable[[str], None], *, step: int | None = None) -> Path | None:
    """The newest checkpoint whose hashes verify, or None if there is none at all.

    A damaged one is named to `warn`, and the one before it taken. With `step` it is that one or an error:
    FolderError if it is absent, DamagedError if it is damaged. DamagedError also if all are damaged.
    """
    if step is not None:
        path = folder_of(checkpoints, step)
        if not path.is_dir():
            known = ", ".join(str(number) for number in complete_steps(checkpoints)) or "none"
            raise FolderError(f"there is no checkpoint of step {step}; there are: {known}", where=str(checkpoints))
        files.verify_folder(path)
        return path
    steps = complete_steps(checkpoints)
    for number in reversed(steps):
        path = folder_of(checkpoints, number)
        try:
            files.verify_folder(path)
            return path
        except DamagedError as error:
            warn(f"Warning: the checkpoint of step {number} is damaged and was passed over: {error}")
    if steps:
        raise DamagedError(
            "every checkpoint is damaged", where=str(checkpoints), fix="Remove the folder to begin from nothing."
        )
    return None


def load_checkpoint(path: Path, model: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
    """Fill model and optimizer from a verified checkpoint and return its state.json.

    Raises DamagedError naming a tensor that is missing, extra or of another shape.
    """
    load_weights(path, model)
    stored = TensorFile(path / OPTIMIZER)
    optimizer.load_state({name: stored.read(name) for name in stored.shapes}, where=str(stored.path))
    state = files.read_json(path / STATE)
    assert isinstance(state, dict), "a checkpoint's hash verifies, so its state is what was written"
    return state


@torch.no_grad()
def load_weights(path: Path, model: nn.Module) -> None:
    """Fill a model with the weights of a checkpoint; raises DamagedError if they are another model's."""
    stored = TensorFile(path / MODEL)
    expected = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    found = {name: shape for name, (_, shape) in stored.shapes.items()}
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        name = wrong[0]
        raise DamagedError(f"{name} is {found.get(name)}, the model has {expected.get(name)}", where=str(stored.path))
    for name, parameter in model.named_parameters():
        parameter.copy_(stored.read(name))


def check_unchanged(path: Path, made_with: Facts, *, allow: Collection[str]) -> list[str]:
    """Compare what a checkpoint was made with to now: returns the allowed differences, as `field: old → new`.

    `allow` names fields (`train.lr`) or sections (`machine`). Raises FolderError listing all differences that it does
    not name.
    """
    old, new = _flat(files.read_manifest(path)["made_with"]), _flat(made_with)
    changed = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    lines = {name: f"{name}: {old.get(name)} → {new.get(name)}" for name in changed}
    refused = [name for name in changed if not any(name == field or name.startswith(f"{field}.") for field in allow)]
    if refused:
        listed = "".join(f"\n  {lines[name]}" for name in refused)
        flags = " ".join(f"--allow-change {name}" for name in refused)
        raise FolderError(
            f"the run was made with other settings, so it can't be resumed exactly:{listed}",
            where=str(path),
            fix=f"Undo the change, choose a new run folder, or accept it with {flags}.",
        )
    return list(lines.values())


def prune(checkpoints: Path, *, keep: int, newest: int, protect: Collection[int] = ()) -> None:
    """Remove the oldest complete checkpoints until `keep` are left, counting up to `newest`, the one just saved.

    `protect` are never removed and don't count; neither do folders beyond `newest` or of other names.
    """
    assert keep >= 1, "the newest checkpoint is never pruned"
    ours = [step for step in complete_steps(checkpoints) if step <= newest and step not in protect]
    for step in ours[: max(0, len(ours) - keep)]:
        if step != newest:
            files.discard(folder_of(checkpoints, step))


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {prefix: list(value) if isinstance(value, tuple) else value}
    return {
        name: leaf
        for key, inner in value.items()
        for name, leaf in _flat(inner, f"{prefix}.{key}" if prefix else str(key)).items()
    }
