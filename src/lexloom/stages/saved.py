"""Predictions that somebody saved: by `lexloom predict`, by a fine-tuning run, by another tool."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from lexloom.base.errors import DataError
from lexloom.base.ledger import Ledger
from lexloom.labelled.files import FileSettings, open_sources
from lexloom.stages.predict import PREFIX
from lexloom.tasks import Prediction, Task
from lexloom.text.readers import ROWS

PLAIN: Literal[".txt"] = ".txt"


def saved_predictions(file: str, task: Task, settings: FileSettings, examples: int) -> list[Prediction]:
    """The predictions in a file, which have to be as many as the examples.

    Raises DataError for what can't be read, holds no predictions of the task, or too many or too few.
    """
    found = []
    for number, row in enumerate(_rows(file, settings), start=1):
        prediction = _fields(row)
        try:
            task.plain(prediction)
        except (KeyError, TypeError, ValueError):
            named = ", ".join(prediction) or "none"
            what = f"holds no prediction of this task, only the fields {named}"
            raise DataError(what, where=f"{file} row {number}") from None
        found.append(prediction)
    if len(found) != examples:
        raise DataError(
            f"holds {len(found):,} predictions for {examples:,} examples",
            where=file,
            fix="Predict exactly the rows of the data, in their order.",
        )
    return found


def _rows(file: str, settings: FileSettings) -> Iterator[Mapping[str, Any]]:
    """A plain file holds a text in each line, blank or not; without a known suffix it is plain if the data may be."""
    suffix = PLAIN if settings.suffix == PLAIN else ".jsonl"
    for reading in open_sources([file], FileSettings(suffix=suffix), Ledger()):
        if reading.source.format == "text":
            yield from ({"text": text} for _, text in reading.decoded())
            continue
        for number, row in ROWS[reading.source.format](reading, ()):
            if not isinstance(row, dict):
                raise DataError("is not an object with named fields", where=reading.place(number))
            yield row


def _fields(row: Mapping[str, Any]) -> Prediction:
    """A prediction's fields: under "prediction", or in columns `predicted_…`, or the row itself."""
    inner = row.get("prediction")
    if isinstance(inner, dict):
        return inner
    ours = {key.removeprefix(PREFIX): value for key, value in row.items() if key.startswith(PREFIX)}
    return {key: _value(key, value) for key, value in (ours or row).items()}


def _value(key: str, value: Any) -> Any:
    """Tables hold as text what JSON has as numbers, lists and objects; labels and answers are text."""
    if not isinstance(value, str) or key in ("label", "answer", "text", "id"):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
