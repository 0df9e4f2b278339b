"""A request checked: nothing is converted, nothing unknown is passed over, the first bad field is named."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from lexloom.serve.errors import ApiError

SHOWN_CHARACTERS = 80
"""Of a value that is refused."""
B = TypeVar("B", bound=BaseModel)

NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (False, True),
    "functions": ([],),
    "store": (False,),
    "service_tier": ("auto", "default"),
}
"""Fields of OpenAI that aren't supported, with the values that ask for nothing; some clients always send them."""


class Body(BaseModel):
    """A request: nothing is converted, nothing unknown is passed over."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


def parse(kind: type[B], values: Mapping[str, Any]) -> B:
    """Check a request. A null is a field that isn't given. Raises ApiError 400 that names the first bad field."""
    given = {name: value for name, value in values.items() if value is not None and not _neutral(name, value)}
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise invalid(error) from None


def invalid(error: ValidationError) -> ApiError:
    """What is wrong with the first bad field, and where it is."""
    problems = error.errors(include_url=False)
    # Where several types are allowed, the one that got furthest is the one that was meant
    same = [problem for problem in problems if problem["loc"][:1] == problems[0]["loc"][:1]]
    problem = max(same, key=lambda problem: len(problem["loc"]))
    path = _path(problem["loc"])
    if problem["type"] == "extra_forbidden":
        return ApiError(400, f"{path or 'a field'} is not supported", param=path, code="unsupported_parameter")
    said = problem["msg"].removeprefix("Value error, ")
    shown = "" if problem["type"] == "missing" else f" (given: {problem['input']!r:.{SHOWN_CHARACTERS}})"
    return ApiError(400, f"{path}: {said}{shown}" if path else said, param=path, code="invalid_value")


def _neutral(name: str, value: Any) -> bool:
    return any(
        value == nothing and isinstance(value, bool) == isinstance(nothing, bool) for nothing in NEUTRAL.get(name, ())
    )


def _path(places: tuple[int | str, ...]) -> str | None:
    """`messages[0].content`; where several types are allowed, pydantic names the type as well, which is left out."""
    named = [part for number, part in enumerate(places) if not _is_type(places, number)]
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in named)
    return text.removeprefix(".")[:SHOWN_CHARACTERS] or None


def _is_type(places: tuple[int | str, ...], number: int) -> bool:
    part = places[number]
    if number == 0 or not isinstance(part, str):
        return False
    return part == "str" or part.startswith("list[") or places[number - 1] == "response_format"
