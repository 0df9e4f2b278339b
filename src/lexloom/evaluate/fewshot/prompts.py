"""Prompts: examples with their answers, one after the other, and then a question without.

Source: Brown et al. 2020 (GPT-3), section 2 and appendix G.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from lexloom.base.errors import DataError, RecipeError
from lexloom.base.recipe import Settings, nearest
from lexloom.text.quality import script_of

ANSWER = "answer"
TEXT = "text"

Score = Literal["total", "token", "byte", "unconditional"]
Language = Literal["en", "zh"]


class PromptSettings(Settings):
    """How questions are put to a model that was not trained for the task."""

    template: str | None = None
    """A question as the model reads it: {answer} is where the answer stands, {text} the text (or several, each on a
    line), any other {name} a column of the data. What follows {answer}, if anything, is scored instead of it. Unset: by
    the task and the language of the data."""

    instruction: str = ""
    """What stands at the beginning of every prompt, before the examples."""

    separator: str = Field(default="\n\n", min_length=1)
    """What stands between the instruction, the examples and the question."""

    words: dict[str, str] = Field(default_factory=dict)
    """What the model reads for a label: {"1": "World", "2": "Sports"}; unset: the label itself."""

    score: Score = "total"
    """Which likelihood decides between the answers: `total`, or divided by the number of its `token`s or `byte`s, or by
    its likelihood without the question (`unconditional`). All four are reported."""

    cloze: bool = False
    """Of text2text: the target ends the text and is not written freely; it counts as said where greedy decoding says
    exactly its tokens. Unset: the answer is written up to the end of its line, and compared."""

    max_tokens: int = Field(default=32, ge=1)
    """The longest answer that is written."""

    nearest: Path | None = None
    """A folder of an encoder: every question gets the examples that are nearest to it instead of any."""

    seed: int = Field(default=0, ge=0)
    """Which examples are drawn, where they are drawn by chance."""

    @field_validator("template", "instruction", "separator")
    @classmethod
    def _line_breaks(cls, text: str | None) -> str | None:
        if text is not None and "\\n" in text:
            raise ValueError('holds a backslash and an n, not a line break: write it in double quotes, "…\\n…"')
        return text


TEMPLATES: dict[str, dict[Language, str]] = {
    "classify": {"en": "Text: {text}\nLabel: {answer}", "zh": "文本：{text}\n标签：{answer}"},
    "choice": {"en": "{text}\nAnswer: {answer}", "zh": "{text}\n答案：{answer}"},
    "text2text": {"en": "{text}\nAnswer: {answer}", "zh": "{text}\n答案：{answer}"},
    "cloze": {"en": "{text} {answer}", "zh": "{text}{answer}"},
    "candidates first": {"en": "{answer} {text}", "zh": "{answer}{text}"},
}


@dataclass(frozen=True, slots=True)
class Query:
    """A question, in the form that prompts are made of."""

    where: str
    texts: tuple[str, ...]
    """Its texts, by which copies are known."""
    columns: Mapping[str, object]
    """The row it comes from."""
    answers: tuple[str, ...]
    """What can be said."""
    target: int | None
    """Which of them is right."""

    @property
    def text(self) -> str:
        """The texts, each on a line."""
        return "\n".join(self.texts)


@dataclass(frozen=True, slots=True)
class Reading:
    """A context and what is scored after it."""

    context: str
    scored: str


class Template:
    """A text with {fields}; raises RecipeError for one that doesn't say where the answer stands."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts = [(_plain(literal), field) for literal, field in _parse(text)]
        if [field for _, field in self._parts].count(ANSWER) != 1:
            fix = "Write {answer} once, where the answer stands."
            raise RecipeError(f"{text!r} has no single {{answer}}", where="prompt.template", fix=fix)

    def shown(self, query: Query) -> str:
        """An example with its answer."""
        assert query.target is not None, "an example has an answer"
        before, after = self._around(query)
        return before + query.answers[query.target] + after

    def readings(self, query: Query) -> list[Reading]:
        """What is compared: for each answer what stands before it and the answer, or (where the template goes on after
        it) what stands before with the answer, and what follows."""
        before, after = self._around(query)
        if after:
            return [Reading(before + answer, after) for answer in query.answers]
        return [Reading(before, answer) for answer in query.answers]

    def unconditional(self, query: Query) -> list[Reading]:
        """The same without the question: of what stands before an answer only the template's own last words."""
        _, after = self._around(query)
        if after:
            return [Reading("", after) for _ in query.answers]
        literal = next(literal for literal, field in self._parts if field == ANSWER)
        return [Reading(literal.lstrip(), answer) for answer in query.answers]

    def _around(self, query: Query) -> tuple[str, str]:
        texts = [literal + _value(query, field) for literal, field in self._parts]
        at = next(place for place, (_, field) in enumerate(self._parts) if field == ANSWER)
        return "".join(texts[: at + 1]), "".join(texts[at + 1 :])


def template_for(settings: PromptSettings, kind: str, queries: Sequence[Query]) -> Template:
    """The template that the settings name, or the usual one of this kind of question in the language of the queries."""
    if settings.template is not None:
        return Template(settings.template)
    return Template(TEMPLATES[kind][language_of(queries)])


def language_of(queries: Sequence[Query]) -> Language:
    """Chinese where Han characters are at least as many as Latin letters."""
    scripts = [script_of(character) for query in queries for character in query.text]
    return "zh" if 0 < scripts.count("Han") >= scripts.count("Latin") else "en"


def joined(instruction: str, examples: Sequence[str], question: str, separator: str) -> str:
    """A whole prompt."""
    return separator.join([*([instruction] if instruction else []), *examples, question])


_FIELD = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")


def _parse(text: str) -> list[tuple[str, str | None]]:
    """(what stands before a field, its name) for each, and what stands behind the last with None."""
    parts: list[tuple[str, str | None]] = []
    start = 0
    for found in _FIELD.finditer(text):
        if found[1] is not None:
            parts.append((text[start : found.start()], found[1]))
            start = found.end()
    return [*parts, (text[start:], None)]


def _plain(literal: str) -> str:
    return literal.replace("{{", "{").replace("}}", "}")


def _value(query: Query, field: str | None) -> str:
    if field is None or field == ANSWER:
        return ""
    if field == TEXT:
        return query.text
    if field not in query.columns:
        hint = nearest(field, [TEXT, *query.columns])
        raise RecipeError(f"names {field!r}, which is no column of {query.where}; {hint}", where="prompt.template")
    value = query.columns[field]
    if isinstance(value, str | int | float):
        return str(value)
    raise DataError(f"the column {field!r} holds no text", where=query.where, fix="Name another in the template.")
