"""Texts that must keep a form: one of some choices, a regular expression, JSON of a schema.

Through llguidance (extra `serve`), which tells of each token whether the form could still be kept after it (Koo et al.
2024, arXiv:2407.08103, say how such masks come about). JSON is written on one line, so that no text consists of ever
more white space.
Axes: V vocabulary, P spellings of tokens.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lexloom.base.errors import UserError
from lexloom.generate.guide import Allowed
from lexloom.generate.spellings import Spellings, spellings_of
from lexloom.text.tokenizers import Tokenizer

SEPARATORS = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""How JSON is laid out: as Python's `json.dumps` does, the commonest form on one line."""
LONGEST_MESSAGE = 400


class BadConstraint(UserError):
    """A form that can't be understood, or that no text has."""


class Stuck(UserError):
    """The text can't go on: the vocabulary has no token for what must come next."""

    def __init__(self) -> None:
        super().__init__(
            "the text can't keep its form: the vocabulary has no token for what must come next",
            fix="Use a tokenizer that can spell everything, such as byte-level BPE, or another constraint.",
        )


@dataclass(frozen=True)
class Constraint:
    """The form of a text, for any tokenizer; made by `choices`, `regex` and `json_schema`."""

    grammar: str
    """As llguidance takes it."""

    def start(self, tokenizer: Tokenizer) -> "Form":
        """The guide of one text.

        Raises BadConstraint for a form that can't be understood or kept, and UserError without llguidance.
        """
        library = _library()
        spellings = spellings_of(tokenizer)
        matcher = library.LLMatcher(spellings.library_tokenizer(library), self.grammar, log_level=0)
        if matcher.is_error():
            raise BadConstraint(_told(matcher.get_error()), where="constraint")
        form = Form(matcher, spellings)
        if form.impossible:
            raise BadConstraint("no text has this form", where="constraint")
        return form


def choices(texts: Sequence[str]) -> Constraint:
    """The text is one of these. Raises BadConstraint if there are none, or an empty one."""
    if not texts or not all(texts):
        raise BadConstraint("there must be at least one choice, and none may be empty", where="choices")
    return Constraint(_grammar(lark_grammar="start: " + " | ".join(_quoted(text) for text in texts)))


def regex(pattern: str) -> Constraint:
    """The whole text fits a regular expression, in Rust's syntax (no look-around, no back-references)."""
    if not pattern:
        raise BadConstraint("the regular expression is empty", where="regex")
    return Constraint(_library().LLMatcher.grammar_from_regex(pattern))


def json_schema(schema: Mapping[str, Any] | bool) -> Constraint:
    """The text is JSON that a schema (2020-12, the keywords that llguidance knows) allows.

    Raises BadConstraint for a schema that isn't one, contradicts itself or uses other keywords.
    """
    if not isinstance(schema, Mapping | bool):
        raise BadConstraint(f"a schema is an object, not {type(schema).__name__}", where="json_schema")
    layout = {**schema, "x-guidance": SEPARATORS} if isinstance(schema, Mapping) else schema
    return Constraint(_grammar(json_schema=layout))


class Form:
    """How far one text has come in its form; a `Guide`."""

    def __init__(self, matcher: Any, spellings: Spellings) -> None:
        self._matcher, self._spellings = matcher, spellings
        self._before: int | None = None
        self._spelled = spellings.after(None)

    @property
    def impossible(self) -> bool:
        """Whether nothing can come and the form isn't kept either."""
        anything = self._bits().any()  # which also brings the matcher to where it knows
        return not anything or bool(self._matcher.is_stopped() and not self._matcher.is_accepting())

    def allowed(self, eos_ids: Sequence[int]) -> Allowed:
        """Which ids may come next, bool (V); `eos_ids` where the text may end. Raises Stuck."""
        bits_P = self._bits()
        allowed_V = bits_P[self._spelled]
        allowed_V[list(eos_ids)] = bits_P[self._spellings.end]
        if self._matcher.is_error() or not allowed_V.any():
            raise Stuck
        return allowed_V

    def push(self, id: int) -> bool:
        """Add an id; true if the text is complete and nothing can follow. Raises Stuck for one that wasn't allowed."""
        if not self._matcher.consume_token(int(self._spelled[id])):
            raise Stuck
        self._spelled = self._spellings.after(id)
        return bool(self._matcher.is_stopped())

    def _bits(self) -> Allowed:
        bits = np.unpackbits(np.frombuffer(self._matcher.compute_bitmask(), np.uint8), bitorder="little")
        return bits[: self._spellings.end + 1].astype(np.bool_)


def _grammar(**content: Any) -> str:
    return json.dumps({"grammars": [content]})


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _told(message: str) -> str:
    """The first lines of a message of the library, which goes on with its own state."""
    return message.split("<state>")[0].strip()[:LONGEST_MESSAGE]


def _library() -> Any:
    try:
        import llguidance
    except ImportError:
        raise UserError("constraints need llguidance", fix="pip install 'lexloom[serve]'") from None
    return llguidance
