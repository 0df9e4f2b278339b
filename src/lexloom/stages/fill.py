"""`lexloom fill MODEL TEXT`: what a masked language model puts in the place of each mask."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from lexloom.base.console import aligned
from lexloom.base.errors import FolderError
from lexloom.base.recipe import Settings
from lexloom.tasks.folder import load_reader
from lexloom.tasks.masks import fill as fill_masks


class FillSettings(Settings):
    """How many candidates are shown."""

    top: int = Field(default=5, ge=1)
    """Candidates for each mask."""


@dataclass(frozen=True)
class Filled:
    """For each mask of the text the most probable tokens."""

    text: str
    masks: list[list[dict[str, Any]]]


def fill(folder: Path, text: str, *, top: int = 5) -> Filled:
    """The `top` candidates for each mask, see `tasks.masks.fill`. Raises UserError, FolderError."""
    contents = load_reader(folder)
    if contents.tokenizer is None:
        raise FolderError("has no tokenizer.json", where=str(folder))
    found = fill_masks(contents.model, contents.tokenizer, text, top=top)
    return Filled(text, [[asdict(candidate) for candidate in candidates] for candidates in found])


def describe(result: Filled) -> str:
    """The candidates for people."""
    parts = []
    for number, candidates in enumerate(result.masks, start=1):
        rows = [(f"{100 * one['probability']:.1f} %", one["token"], one["text"]) for one in candidates]
        parts += [f"mask {number}"] * (len(result.masks) > 1) + [aligned(rows, right=(0,))]
    return "\n".join(parts)
