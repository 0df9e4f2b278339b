"""Examples made of bare texts, as people hand them over in Python or on a command line."""

from collections.abc import Callable

from lexloom.base.errors import DataError, UserError
from lexloom.labelled.examples import Choices, Example, Labelled, Pair, Question, Related, Tagged
from lexloom.labelled.marks import without_marks
from lexloom.labelled.words import word_spans

Parts = tuple[str, ...]


def example_of(task: str, parts: Parts, where: str) -> Example:
    """What a task reads, without a target.

    `parts` is the text, or both texts of a pair; for `relation` a text that marks `<e1>…</e1>` and `<e2>…</e2>`; for
    `span` question and passage; for `choice` the text and the candidates; for `text2text` the text to be answered.
    Raises UserError if they don't fit the task.
    """
    return EXAMPLES[task](parts, where)


def _text_or_pair(parts: Parts, where: str) -> Labelled:
    if len(parts) > 2:
        raise UserError(f"the model reads a text or a pair, not {len(parts)} texts", where=where)
    return Labelled(where, {}, parts, None)


def _pair(parts: Parts, where: str) -> Labelled:
    _expect(parts, 2, "similarity is that of two texts", where)
    return Labelled(where, {}, parts, None)


def _tagged(parts: Parts, where: str) -> Tagged:
    _expect(parts, 1, "the model reads single texts", where)
    return Tagged(where, {}, parts[0], word_spans(parts[0]), None)


def _related(parts: Parts, where: str) -> Related:
    _expect(parts, 1, "the model reads single texts", where)
    text, first, second = without_marks(parts[0], where)
    return Related(where, {}, text, first, second, None)


def _question(parts: Parts, where: str) -> Question:
    _expect(parts, 2, "the model reads a question and a passage", where)
    question, passage = parts
    return Question(where, {}, where, question, passage, None)


def _choices(parts: Parts, where: str) -> Choices:
    if len(parts) < 3:
        raise DataError("a choice needs a text and two candidates or more", where=where)
    return Choices(where, {}, parts[:1], parts[1:], None)


def _source(parts: Parts, where: str) -> Pair:
    _expect(parts, 1, "the model reads single texts", where)
    return Pair(where, {}, parts[0], None)


EXAMPLES: dict[str, Callable[[Parts, str], Example]] = {
    "classify": _text_or_pair,
    "regress": _text_or_pair,
    "tag": _tagged,
    "relation": _related,
    "span": _question,
    "similarity": _pair,
    "choice": _choices,
    "text2text": _source,
}


def _expect(parts: Parts, number: int, reason: str, where: str) -> None:
    if len(parts) != number:
        raise UserError(f"{reason}, not {len(parts)} text{'s' * (len(parts) != 1)}", where=where)
