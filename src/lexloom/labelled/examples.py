"""Labelled examples, one form for each shape of data; every reader gives one of them, every task takes one.

`where` is `file:line` (or `file#id`), `row` holds the columns as they were read, for predictions to stand beside them.
A target is None where the data has no labels. Offsets count characters of the text as read; ends are exclusive.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lexloom.text.chat import Message

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Labelled:
    """One text or a pair, with a label, several labels (multi-label) or a number."""

    where: str
    row: Row
    texts: tuple[str, ...]
    target: str | tuple[str, ...] | float | None


@dataclass(frozen=True, slots=True)
class Entity:
    """A named stretch of a text: characters `start` to before `end`."""

    start: int
    end: int
    type: str


@dataclass(frozen=True, slots=True)
class Tagged:
    """A text cut into words (characters for Chinese), and the entities in it; `spans[i]` is where word i lies.

    Entities begin and end where words do. `entities` is None where the data has no labels.
    """

    where: str
    row: Row
    text: str
    spans: tuple[tuple[int, int], ...]
    entities: tuple[Entity, ...] | None

    @property
    def words(self) -> list[str]:
        """The words themselves."""
        return [self.text[start:end] for start, end in self.spans]


@dataclass(frozen=True, slots=True)
class Related:
    """A text with two marked stretches (start, end) and the relation between them."""

    where: str
    row: Row
    text: str
    first: tuple[int, int]
    second: tuple[int, int]
    target: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer and the character of the passage where it starts.

    `start` is None for an answer that isn't in the passage, word for word: it counts in scoring, not in training.
    """

    text: str
    start: int | None


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a passage; `answers` is empty where the passage has none, and None where nobody knows."""

    where: str
    row: Row
    id: str
    question: str
    passage: str
    answers: tuple[Answer, ...] | None


@dataclass(frozen=True, slots=True)
class Choices:
    """A text (or several, such as passage and question), the candidates, and the number of the right one (from 0)."""

    where: str
    row: Row
    texts: tuple[str, ...]
    candidates: tuple[str, ...]
    target: int | None
    candidates_first: bool = False
    """Whether the candidates are beginnings, which the text ends, rather than endings or answers."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns of a user and an assistant, behind a system message if there is one; unanswered if the user's is last."""

    where: str
    row: Row
    messages: tuple[Message, ...]

    @property
    def answers(self) -> tuple[str, ...]:
        """What the assistant says."""
        return tuple(message.content for message in self.messages if message.role == "assistant")


@dataclass(frozen=True, slots=True)
class Preference:
    """A conversation that ends with the user's turn, and two answers of which people prefer the first.

    Both are None where nobody has answered.
    """

    where: str
    row: Row
    messages: tuple[Message, ...]
    chosen: str | None
    rejected: str | None


@dataclass(frozen=True, slots=True)
class Pair:
    """A text that is read and the one that is to be written; several if they are equally good, None if nobody knows."""

    where: str
    row: Row
    source: str
    target: str | tuple[str, ...] | None

    @property
    def targets(self) -> tuple[str, ...]:
        """All targets that are right; none where nobody knows."""
        if self.target is None:
            return ()
        return (self.target,) if isinstance(self.target, str) else self.target


Example = Labelled | Tagged | Related | Question | Choices | Conversation | Preference | Pair
