"""Reading comprehension in the JSON of SQuAD 1.1 and 2.0 (Rajpurkar et al. 2016, 2018), CMRC 2018 and XQuAD.

Files of rows (.jsonl, .parquet) hold the same questions one by one, as published data sets have them: context,
question, id, and answers as {"text": […], "answer_start": […]}.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from lexloom.base.errors import DataError
from lexloom.base.ledger import Ledger
from lexloom.labelled.examples import Answer, Question
from lexloom.labelled.files import STAGE, FileSettings, open_sources
from lexloom.text.json_rows import whole_json
from lexloom.text.readers import ROWS
from lexloom.text.reading import Reading
from lexloom.text.rows import check_unicode, check_values, kind

ROWS_OF = ("json lines", "parquet")


def read_questions(sources: Sequence[str], settings: FileSettings, ledger: Ledger) -> list[Question]:
    """Every question of every file, `where` is `file#id` (`file:line` without an id).

    The ledger gets under "labelled" the questions, answers that stand elsewhere than at their offset (the nearest place
    is taken), and answers that aren't in their passage, word for word: they count in scoring, as the official scorers
    have it, but can't be trained on. Raises DataError for what isn't SQuAD's JSON, with the place in it.
    """
    examples = list[Question]()
    for reading in open_sources(sources, settings, ledger):
        before = len(examples)
        for place, passage, values in (_rows if reading.source.format in ROWS_OF else _questions)(reading):
            try:
                question = _question(values, passage, place, reading)
            except DataError as error:
                reading.bad_rows.add(error)
                continue
            if question is not None:
                ledger.count(STAGE, "examples", characters=len(passage) + len(question.question), where=question.where)
                examples.append(question)
        if len(examples) == before:
            ledger.count(STAGE, "file without a row", where=reading.source.name)
    _count_ids(examples, ledger)
    return examples


def nearest(text: str, passage: str, start: int) -> int | None:
    """Where `text` stands in the passage, the place nearest to `start`; None if it doesn't."""
    after = passage.find(text, max(0, start))
    before = passage.rfind(text, 0, max(0, start) + len(text))
    found = [place for place in (before, after) if place >= 0]
    return min(found, key=lambda place: abs(place - start), default=None)


def _questions(reading: Reading) -> Iterator[tuple[str, str, Any]]:
    """(place, passage, the question's values); what has another form is a bad row, but for the file as a whole."""
    whole = whole_json(reading)
    if whole is None:
        return
    name = reading.source.name
    if not isinstance(whole, dict):
        raise DataError(f"is {kind(whole)}, not an object with data", where=name, fix="Give a file in SQuAD's format.")
    for place, article in _items(whole, "data", f"{name}#", reading):
        for inner, paragraph in _items(article, "paragraphs", f"{place}.", reading):
            try:
                passage = _text(paragraph, "context", inner)
            except DataError as error:
                reading.bad_rows.add(error)
                continue
            for deepest, values in _items(paragraph, "qas", f"{inner}.", reading):
                yield deepest, passage, values


def _rows(reading: Reading) -> Iterator[tuple[str, str, Any]]:
    """The same for files of rows."""
    for number, values in ROWS[reading.source.format](reading, ()):
        try:
            yield reading.place(number), _text(values, "context", reading.place(number)), _with_listed_answers(values)
        except DataError as error:
            reading.bad_rows.add(error)


def _with_listed_answers(values: dict[str, Any]) -> dict[str, Any]:
    """A row whose answers are a list of objects, as in SQuAD's JSON, instead of an object of two lists."""
    match values.get("answers"):
        case {"text": list(texts), "answer_start": list(starts)} if len(texts) == len(starts):
            listed = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
            # Here an empty list means that there is no answer: rows have no is_impossible
            return {"is_impossible": not listed, **values, "answers": listed}
    return values


def _items(value: Any, name: str, place: str, reading: Reading) -> Iterator[tuple[str, Any]]:
    """(place, item) of a list in an object: `file#data[0].paragraphs[2]`."""
    items = value.get(name) if isinstance(value, dict) else None
    if not isinstance(items, list):
        what = f"is {kind(items)}, not a list" if isinstance(value, dict) and name in value else "is missing"
        reading.bad_rows.add(DataError(what, where=f"{place}{name}", fix="Give a file in SQuAD's format."))
        return
    yield from ((f"{place}{name}[{index}]", item) for index, item in enumerate(items))


def _question(values: Any, passage: str, place: str, reading: Reading) -> Question | None:
    """None for a question of empty answers alone."""
    text = _text(values, "question", place)
    check_values(values, place)
    number = values.get("id", place)
    if not isinstance(number, str | int) or isinstance(number, bool):
        raise DataError(f"the id is {kind(number)}, not a text", where=place)
    where = f"{reading.source.name}#{number}" if "id" in values else place
    if not text.strip() or not passage.strip():
        reading.ledger.count(STAGE, "empty text", where=where)
    answers = _answers(values, passage, where, reading.ledger)
    if answers == () and values.get("answers") and not values.get("is_impossible"):
        reading.ledger.count(STAGE, "question dropped: all of its answers are empty", where=where)
        return None
    if answers and all(answer.start is None for answer in answers):
        reading.ledger.count(STAGE, "question of whose answers none is in its passage", where=where)
    return Question(where, {"context": passage, **values}, str(number), text, passage, answers)


def _answers(values: dict[str, Any], passage: str, where: str, ledger: Ledger) -> tuple[Answer, ...] | None:
    listed, impossible = values.get("answers"), values.get("is_impossible", False)
    if not isinstance(impossible, bool):
        raise DataError(f"is_impossible is {kind(impossible)}, not true or false", where=where)
    if impossible:
        if listed:
            ledger.count(STAGE, "question marked impossible has answers, which are ignored", where=where)
        return ()
    if listed is None:
        ledger.count(STAGE, "without a label", where=where)
        return None
    if not isinstance(listed, list):
        raise DataError(f"the answers are {kind(listed)}, not a list", where=where)
    if not listed and "is_impossible" not in values:
        ledger.count(STAGE, "question without answers, taken as unanswerable", where=where)
    found = [_answer(value, passage, where, ledger) for value in listed]
    return tuple(answer for answer in found if answer is not None)


def _answer(value: Any, passage: str, where: str, ledger: Ledger) -> Answer | None:
    text = _text(value, "text", where)
    start = value.get("answer_start", -1)
    if not isinstance(start, int) or isinstance(start, bool):
        raise DataError(f"answer_start is {kind(start)}, not a whole number", where=where)
    visible = text.strip()
    if not visible:
        ledger.count(STAGE, "answer dropped: it is empty", where=where)
        return None
    start += len(text) - len(text.lstrip())
    place = nearest(visible, passage, start)
    if place is None:
        ledger.count(STAGE, "answer that isn't in its passage", where=f"{where}: {visible[:40]!r}")
    elif place != start:
        ledger.count(STAGE, "answer not at its offset: the nearest place taken", where=f"{where}: {visible[:40]!r}")
    elif visible != text:
        ledger.count(STAGE, "white space around an answer, left out", where=where)
    return Answer(visible, place)


def _text(value: Any, name: str, where: str) -> str:
    if not isinstance(value, dict):
        raise DataError(f"is {kind(value)}, not an object", where=where)
    if not isinstance(value.get(name), str):
        what = f"the field {name!r} holds {kind(value[name])}, not text" if name in value else f"has no field {name!r}"
        raise DataError(what, where=where, fix="Give a file in SQuAD's format.")
    return check_unicode(value[name], where)


def _count_ids(examples: Sequence[Question], ledger: Ledger) -> None:
    seen = set[str]()
    for example in examples:
        if example.id in seen:
            ledger.count(STAGE, "id that an earlier question has", where=example.where)
        seen.add(example.id)
