"""`lexloom predict MODEL FILES`: what a fine-tuned model says to every row of a table, beside the row itself.

The input is read twice: first to find rows that can't be read, and to count them, before any time is spent on
predictions; then a few thousand at a time, so that memory stays bounded. Standard input is read once.
"""

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from lexloom.base.console import aligned, progress
from lexloom.base.ledger import Ledger
from lexloom.labelled.columns import OF_THE_FILE
from lexloom.stages.evaluate_decoders import named_task
from lexloom.stages.rows import STDOUT, beside, new_lines, new_table
from lexloom.tasks import Prediction
from lexloom.tasks.encoding import CUT
from lexloom.tasks.encoding import STAGE as ENCODE
from lexloom.tasks.folder import TaskModel, changed, load_task_model
from lexloom.text.sources import STDIN

ROWS_AT_ONCE = 4096
PREFIX = "predicted_"
USUAL = ("examples", "without a label", "without a target")
"""Outcomes of reading that are no news to somebody who wants predictions."""


@dataclass(frozen=True)
class Predicted:
    """How many rows were written where, and what was counted on the way."""

    rows: int
    out: str
    task: str
    ledger: tuple[dict[str, Any], ...]
    hint: str | None
    """What to do about texts that were cut."""


def predict(
    folder: Path,
    sources: Sequence[str],
    *,
    out: str = STDOUT,
    lines: bool = False,
    changes: Mapping[str, Any] | None = None,
) -> Predicted:
    """Write every row of the tables with the model's answer in further columns, in the order of the input.

    The columns are named `predicted_…` after the fields of the prediction; none of the input is overwritten: a name
    that is taken gets a number. With `lines`, and in a .txt, the answers stand alone, a line each.

    `changes` are settings of the task, such as the columns of these tables; of how the training's files were written
    (delimiter, names of columns, encoding) nothing is taken over. A row that can't be read ends the command before
    anything is predicted, unless `skip_bad_rows` allows it to be left out, which the ledger lists. Raises UserError for
    what can't be read, FolderError for a model without a task.
    """
    model, ledger = _for_new_files(_loaded(folder, changes or {}), changes or {}), Ledger()
    total = None if STDIN in sources else _count(model, sources)
    rows = 0
    with _output(model, out, ledger, lines=lines) as write, progress("predicting", total) as tick:
        for some in _chunks(model.task.stream(sources, model.setting.settings, ledger)):
            done = rows
            predictions = model.predict(some, ledger=ledger, tick=lambda count, done=done: tick(done + count))  # type: ignore[misc]
            for example, prediction in zip(some, predictions, strict=True):
                write(example, prediction)
            rows += len(some)
    return Predicted(rows, out, model.name, tuple(_news(ledger)), cut_note(model, ledger))


def describe(result: Predicted) -> str:
    """The result for people."""
    rows = [("what", "rows", "characters", "where")]
    for row in result.ledger:
        rows.append((row["outcome"], f"{row['documents']:,}", f"{row['characters']:,}", "; ".join(row["examples"])))
    place = "standard output" if result.out == STDOUT else result.out
    parts = [f"{result.rows:,} rows written to {place}"]
    parts += [aligned(rows, right=(1, 2))] if result.ledger else []
    return "\n\n".join([*parts, *([result.hint] if result.hint else [])])


@contextlib.contextmanager
def _output(model: TaskModel, out: str, ledger: Ledger, *, lines: bool) -> Iterator[Callable[[Any, Prediction], None]]:
    """Yields what writes an example's answer."""
    if lines or out.lower().endswith(".txt"):
        with new_lines(out, ledger) as line:
            yield lambda example, prediction: line(_as_text(model.task.plain(prediction)))
    else:
        with new_table(out, ledger) as write:
            yield lambda example, prediction: write(
                beside(example.row, {PREFIX + key: value for key, value in prediction.items()})
            )


def _as_text(answer: Any) -> str:
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)


def cut_note(model: TaskModel, ledger: Ledger) -> str | None:
    """How much of the texts the model didn't read, and how it can; None if it read everything."""
    entry = ledger[ENCODE, CUT]
    if not entry.documents:
        return None
    limit = model.setting.max_tokens
    cut = f"{entry.documents:,} texts were cut at {limit:,} tokens: {entry.characters:,} characters were not read."
    windows = hasattr(model.setting.settings, "long_texts")
    return cut + (" To read all of them in windows: task.long_texts=windows" if windows else "")


def _loaded(folder: Path, changes: Mapping[str, Any]) -> TaskModel:
    return load_task_model(folder, task=named_task([folder], changes))


def _for_new_files(model: TaskModel, changes: Mapping[str, Any]) -> TaskModel:
    fields = type(model.setting.settings).model_fields
    return changed(
        model,
        {
            **{name: fields[name].default for name in OF_THE_FILE if name in fields},
            **model.task.when_predicting,
            **changes,
        },
    )


def _count(model: TaskModel, sources: Sequence[str]) -> int:
    return sum(1 for _ in model.task.stream(sources, model.setting.settings, Ledger()))


def _chunks(examples: Iterable[Any]) -> Iterator[list[Any]]:
    left = iter(examples)
    while some := list(islice(left, ROWS_AT_ONCE)):
        yield some


def _news(ledger: Ledger) -> list[dict[str, Any]]:
    return [row for row in ledger.to_json() if row["outcome"] not in USUAL]
