"""`lexloom init`: a recipe to begin with, every setting explained beside its value."""

import textwrap
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel

from lexloom.base import files
from lexloom.base.errors import FolderError
from lexloom.stages.recipe import Recipe

COMMENT_COLUMNS = 100
FIRST_PRESET = "toy"


def init(path: Path, *, sources: list[str]) -> Path:
    """Write a commented recipe that reads `sources`.

    Raises FolderError if the file exists: a recipe is somebody's work.
    """
    if path.exists():
        raise FolderError("already exists", where=str(path), fix="Name another file.")
    recipe = Recipe.model_validate({"prepare": {"data": {"sources": sources}}, "model": {"preset": FIRST_PRESET}})
    files.write_file(path, commented_toml(recipe))
    return path


def commented_toml(settings: BaseModel, section: str = "") -> str:
    """Settings as TOML with each field's documentation above it; an unset optional key stands there commented out."""
    lines: list[str] = []
    sections: list[str] = []
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            dotted = f"{section}.{name}" if section else name
            sections.append(f"\n{_comment(field.description)}[{dotted}]\n{commented_toml(value, dotted)}")
        else:
            lines.append(_comment(field.description) + _assignment(name, value))
    return "".join(lines + sections)


def _assignment(name: str, value: Any) -> str:
    if value is None:
        return f"# {name} =\n"
    if isinstance(value, dict):
        # A table of its own would swallow the keys that follow it
        pairs = ", ".join(tomli_w.dumps({key: inner}).strip() for key, inner in value.items())
        return f"{name} = {{{pairs}}}\n"
    return tomli_w.dumps({name: list(value) if isinstance(value, tuple) else value})


def _comment(text: str | None) -> str:
    return "".join(f"# {line}\n" for line in textwrap.wrap(text or "", COMMENT_COLUMNS))
