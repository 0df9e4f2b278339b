"""Labelled texts, marked pairs and multiple choice from tables with named columns."""

from collections.abc import Iterator, Sequence
from typing import Any

from lexloom.base.errors import DataError
from lexloom.base.ledger import Ledger
from lexloom.labelled.columns import USUAL, Columns, TableRow, TableSettings, Usual, guess, listed, read_rows
from lexloom.labelled.examples import Choices, Labelled, Related
from lexloom.labelled.files import STAGE
from lexloom.labelled.marks import Stretch, check_stretch, without_marks
from lexloom.labelled.targets import TARGETS, Kind, label_of
from lexloom.text.rows import check_unicode, check_values, kind

BEGINNINGS = "context_options"
"""The usual name of candidates that are beginnings of the text, as in WinoGrande."""
USUAL_CHOICES = ("choices", "candidates", "options", "endings", BEGINNINGS)
USUAL_OF_CHOICES = Usual(
    pairs=(("passage", "question"), ("context", "question"), ("article", "question"), ("premise", "question")),
    texts=("query", "text", "sentence", "question", "context", "premise", "continuation"),
    labels=("gold", "label", "answer", "target"),
)


class RelationSettings(TableSettings):
    """Tables of texts with two marked stretches and the relation between them."""

    first: tuple[str, str] | None = None
    """The columns where the first stretch starts and ends, in characters from 0 (the end is the character after it);
    unset: the text marks it, as <e1>…</e1>."""

    second: tuple[str, str] | None = None
    """The same of the second stretch, <e2>…</e2>."""


class ChoiceSettings(TableSettings):
    """Tables of multiple choice, and the JSON of C3 (Sun et al. 2020)."""

    choices: str | tuple[str, ...] | None = None
    """The column of the list of candidates, or one column for each; unset: choices, candidates, options, endings or
    context_options."""

    candidates_first: bool | None = None
    """Whether the candidates are beginnings, which the text ends; unset: if their column is context_options, as in
    WinoGrande."""

    label: str | None = None
    """The column of the right candidate, its text or its number from 0; unset: gold, label, answer or target."""


def stream_labelled(
    sources: Sequence[str], settings: TableSettings, ledger: Ledger, *, kind: Kind = "label"
) -> Iterator[Labelled]:
    """Texts or pairs, each with a label, several labels, or a number.

    The ledger gets under "labelled" the examples, the columns that were guessed, rows without a label, empty texts.
    Raises DataError with file, line and fix for columns that aren't clear and for rows that can't be used.
    """
    columns = Columns(settings, USUAL, ledger)
    for row in read_rows(sources, settings, ledger):
        try:
            texts = columns.texts(row)
            target = TARGETS[kind](columns.label(row), settings.label_separator, row.where)
            check_values(row.values, row.where)
        except DataError as error:
            row.reading.bad_rows.add(error)
            continue
        _count(ledger, row, texts, target)
        yield Labelled(row.where, row.values, texts, target)


def stream_related(sources: Sequence[str], settings: RelationSettings, ledger: Ledger) -> Iterator[Related]:
    """Texts with two marked stretches: by marks in the text, which are taken out, or by columns of offsets.

    Raises and counts as `stream_labelled`.
    """
    columns = Columns(settings, USUAL, ledger)
    for row in read_rows(sources, settings, ledger):
        try:
            text, first, second = _stretches(columns.texts(row), row, settings)
            target = label_of(columns.label(row), settings.label_separator, row.where)
            check_values(row.values, row.where)
        except DataError as error:
            row.reading.bad_rows.add(error)
            continue
        _count(ledger, row, (text,), target)
        yield Related(row.where, row.values, text, first, second, target)


def stream_choices(sources: Sequence[str], settings: ChoiceSettings, ledger: Ledger) -> Iterator[Choices]:
    """Questions with candidates, one of them right. Raises and counts as `stream_labelled`."""
    columns = Columns(settings, USUAL_OF_CHOICES, ledger)
    for row in read_rows(sources, settings, ledger, _questions_of_c3):
        try:
            texts = columns.texts(row)
            candidates = _candidates(row, settings)
            target = _right_one(columns.label(row), candidates, row.where)
            check_values(row.values, row.where)
        except DataError as error:
            row.reading.bad_rows.add(error)
            continue
        _count(ledger, row, (*texts, *candidates), target)
        if len(set(candidates)) < len(candidates):
            ledger.count(STAGE, "candidates alike", where=row.where)
        yield Choices(row.where, row.values, texts, candidates, target, _are_first(row, settings))


def read_labelled(
    sources: Sequence[str], settings: TableSettings, ledger: Ledger, *, kind: Kind = "label"
) -> list[Labelled]:
    """All that `stream_labelled` gives."""
    return list(stream_labelled(sources, settings, ledger, kind=kind))


def read_related(sources: Sequence[str], settings: RelationSettings, ledger: Ledger) -> list[Related]:
    """All that `stream_related` gives."""
    return list(stream_related(sources, settings, ledger))


def read_choices(sources: Sequence[str], settings: ChoiceSettings, ledger: Ledger) -> list[Choices]:
    """All that `stream_choices` gives."""
    return list(stream_choices(sources, settings, ledger))


def _count(ledger: Ledger, row: TableRow, texts: Sequence[str], target: Any) -> None:
    ledger.count(STAGE, "examples", characters=sum(map(len, texts)), where=row.where)
    if target is None:
        ledger.count(STAGE, "without a label", where=row.where)
    if any(not text or text.isspace() for text in texts):
        ledger.count(STAGE, "empty text", where=row.where)


def _stretches(texts: tuple[str, ...], row: TableRow, settings: RelationSettings) -> tuple[str, Stretch, Stretch]:
    if len(texts) != 1:
        raise DataError("a relation stands in one text", where=row.where, fix="Name one column in the setting text.")
    if settings.first is None or settings.second is None:
        return without_marks(texts[0], row.where)
    first, second = (_offsets(names, row) for names in (settings.first, settings.second))
    return texts[0], check_stretch(first, texts[0], row.where), check_stretch(second, texts[0], row.where)


def _offsets(names: tuple[str, str], row: TableRow) -> Stretch:
    start, end = (_whole_number(row.values.get(name), name, row.where) for name in names)
    return start, end


def _whole_number(value: Any, name: str, where: str) -> int:
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 20:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise DataError(f"the column {name!r} holds {kind(value)}, not a whole number", where=where)


def _candidates(row: TableRow, settings: ChoiceSettings) -> tuple[str, ...]:
    names = _choice_columns(row, settings)
    if names is None:
        fix = f"Name it in the setting choices; the columns are {listed(list(row.values))}."
        raise DataError("has no column with a usual name for the candidates", where=row.where, fix=fix)
    values = row.values.get(names) if isinstance(names, str) else [row.values.get(name) for name in names]
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise DataError(f"the candidates in {names!r} aren't a list of texts", where=row.where)
    if len(values) < 2:
        raise DataError(f"has {len(values)} candidates; a choice needs two", where=row.where)
    return tuple(check_unicode(value, row.where) for value in values)


def _choice_columns(row: TableRow, settings: ChoiceSettings) -> str | tuple[str, ...] | None:
    if settings.choices is not None:
        return settings.choices
    return guess(list(row.values), USUAL_CHOICES, what="choices", where=row.where)


def _are_first(row: TableRow, settings: ChoiceSettings) -> bool:
    if settings.candidates_first is not None:
        return settings.candidates_first
    return _choice_columns(row, settings) == BEGINNINGS


def _right_one(gold: Any, candidates: tuple[str, ...], where: str) -> int | None:
    """The number of the right candidate, from its text, or else its number."""
    if gold is None or gold == "":
        return None
    if gold in candidates:
        return candidates.index(gold)
    number = int(gold) if isinstance(gold, str) and gold.isdecimal() and len(gold) < 5 else gold
    if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < len(candidates):
        return number
    what = f"the right one, {str(gold)[:80]!r}, is none of the {len(candidates)} candidates"
    raise DataError(what, where=where, fix="Give its text, or its number from 0.")


def _questions_of_c3(value: Any) -> list[Any]:
    """C3 has [[lines of the passage], [{question, choice, answer}, …], id] for each passage."""
    match value:
        case [list(lines), list(questions), *_] if all(isinstance(line, str) for line in lines):
            passage = "\n".join(lines)
            return [_question_of_c3(passage, question) for question in questions]
    return [value]


def _question_of_c3(passage: str, question: Any) -> Any:
    if not isinstance(question, dict):
        return question
    renamed = {"choices" if name == "choice" else name: value for name, value in question.items()}
    return {"passage": passage, **renamed}
