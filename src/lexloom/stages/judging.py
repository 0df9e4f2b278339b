"""A model's predictions for a split, judged by its task's metrics."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lexloom.evaluate.tasks import Figure, judge
from lexloom.labelled.views import view
from lexloom.tasks import Prediction, Setting, Task

Row = dict[str, Any]


def values_of(
    task: Task, examples: Sequence[Any], predictions: Sequence[Prediction], setting: Setting
) -> dict[str, float]:
    """Every metric of the task, the main one first; empty if no example has a label."""
    _, plain, references = _labelled(task, examples, predictions, setting)
    if not references:
        return {}
    return {metric.name: metric.value(metric.rows(plain, references)) for metric in task.judge(setting)}


def judged(task: Task, examples: Sequence[Any], predictions: Sequence[Prediction], setting: Setting) -> Row:
    """A split in results.json: figures with their intervals, confusion, calibration, slices, mistakes (TaskResults)."""
    return judge(task, examples, predictions, setting).to_json()


def describe_figures(split: str, row: Row) -> str:
    """The figures for people: `test: accuracy 91.20 (89.80–92.50), …`."""
    parts = [f"{name} {Figure(**figure)}" for name, figure in row["figures"].items()]
    return f"{split}: {', '.join(parts) if parts else 'no labels'} on {row['examples']:,} examples"


def lines_of(task: Task, examples: Sequence[Any], predictions: Sequence[Prediction], setting: Setting) -> list[Row]:
    """The lines of predictions.jsonl: where the example is, what was read, what is right and what was foretold."""
    return [
        {
            "where": example.where,
            "texts": list(view(example).texts),
            "reference": task.reference(example, setting),
            "prediction": prediction,
        }
        for example, prediction in zip(examples, predictions, strict=True)
    ]


def read_predictions(path: Path) -> list[Prediction]:
    """The predictions of a predictions.jsonl, in their order."""
    return [json.loads(line)["prediction"] for line in path.read_text(encoding="utf-8").splitlines()]


def _labelled(
    task: Task, examples: Sequence[Any], predictions: Sequence[Prediction], setting: Setting
) -> tuple[list[Any], list[Any], list[Any]]:
    references = [task.reference(example, setting) for example in examples]
    known = [number for number, reference in enumerate(references) if reference is not None]
    plain = [task.plain(predictions[number]) for number in known]
    return [examples[number] for number in known], plain, [references[number] for number in known]
