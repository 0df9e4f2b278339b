"""Typed settings: one TOML file, unknown keys refused with the nearest name.

Priority: default < file < environment (`LEXLOOM_TRAIN__LR`) < command line (`train.lr=3e-4`).
"""

import difflib
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationError

from lexloom.base.errors import RecipeError

ENVIRONMENT_PREFIX = "LEXLOOM_"


class Settings(BaseModel):
    """A frozen section of a recipe; the docstring under each field is its documentation."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    rivals: ClassVar[tuple[str, ...]] = ()
    """Keys of which only one may be set; set by one source, it replaces any other that an earlier source has set."""


S = TypeVar("S", bound=Settings)


def load_recipe(
    kind: type[S],
    file: Path | None,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] = os.environ,
) -> S:
    """Read, merge and check a recipe.

    `overrides` are `section.key=value` strings; a value is read as TOML where it is TOML, else as text.
    Raises RecipeError naming the key, the value and, for an unknown key, the nearest known one.
    """
    values = _read_toml(file) if file is not None else {}
    for source in (_from_environment(kind, environment), [_split(override) for override in overrides]):
        values = _merged(kind, values, _nested(source))
    return check(kind, values, where=str(file) if file else "the recipe")


def named_sections(file: Path, overrides: Sequence[str] = ()) -> set[str]:
    """The sections that a file and the command line name, unchecked: they tell what kind of recipe it is."""
    return {*_read_toml(file), *parse_overrides(overrides)}


def parse_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    """`section.key=value` strings as sections of plain values; raises RecipeError for what isn't one."""
    return _nested([_split(override) for override in overrides])


def check(kind: type[S], values: dict[str, Any], *, where: str) -> S:
    """Build settings from plain values, or raise a RecipeError that lists every problem."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problems = [_explain(kind, problem) for problem in error.errors(include_url=False)]
        raise RecipeError("; ".join(problems), where=where) from None


def to_toml(settings: Settings) -> str:
    """The resolved recipe as TOML; unset optional keys are left out, since TOML has no null."""
    return tomli_w.dumps(_without_none(settings.model_dump(mode="json")))


def nearest(name: str, known: Sequence[str]) -> str:
    """A hint such as `did you mean 'cosine'?`, or the list of known names when none is near."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"


def choose(table: Mapping[str, Any], name: str, *, field: str) -> Any:
    """Look a recipe's word up in one of the literal dicts, or raise a RecipeError with the nearest name."""
    if name not in table:
        raise RecipeError(f"unknown value {name!r}; {nearest(name, list(table))}", where=field)
    return table[name]


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise RecipeError("no such recipe", where=str(file), fix="Run `lexloom init` to write one.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"can't be read as TOML: {error}", where=str(file)) from None


def _from_environment(kind: type[Settings], environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """`LEXLOOM_TRAIN__LR=…` → `train.lr`; a variable whose section the recipe doesn't have is somebody else's."""
    found = []
    for name in sorted(environment):
        dotted = name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".")
        if name.startswith(ENVIRONMENT_PREFIX) and dotted.partition(".")[0] in kind.model_fields:
            found.append((dotted, environment[name]))
    return found


def _nested(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Dotted names and texts as sections of values."""
    values: dict[str, Any] = {}
    for dotted, text in pairs:
        _set(values, dotted, _parse_value(text))
    return values


def _split(override: str) -> tuple[str, str]:
    dotted, equals, text = override.partition("=")
    if not equals:
        raise RecipeError(f"{override!r} is not an override", fix="Write it as section.key=value.")
    return dotted.strip(), text.strip()


def _merged(kind: Any, values: dict[str, Any], named: dict[str, Any]) -> dict[str, Any]:
    """`values` with what a later source has `named`, section by section."""
    rivals = getattr(kind, "rivals", ())
    replaced = rivals if any(name in named for name in rivals) else ()
    merged = {name: value for name, value in values.items() if name not in replaced}
    for name, value in named.items():
        earlier = merged.get(name)
        if isinstance(value, dict) and isinstance(earlier, dict):
            field = getattr(kind, "model_fields", {}).get(name)
            value = _merged(None if field is None else field.annotation, earlier, value)
        merged[name] = value
    return merged


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _set(values: dict[str, Any], dotted: str, value: Any) -> None:
    *path, last = dotted.split(".")
    for depth, name in enumerate(path):
        inner = values.setdefault(name, {})
        if not isinstance(inner, dict):
            raise RecipeError("is a value, not a section", where=".".join(path[: depth + 1]))
        values = inner
    values[last] = value


def _explain(kind: type[BaseModel], problem: Any) -> str:
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] != "extra_forbidden":
        return f"{place} = {problem['input']!r}: {problem['msg']}"
    section: Any = kind
    for name in problem["loc"][:-1]:
        section = section.model_fields[name].annotation if name in getattr(section, "model_fields", {}) else None
    known = list(getattr(section, "model_fields", {}))
    return f"unknown key {place!r}; {nearest(str(problem['loc'][-1]), known)}"


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    return value
