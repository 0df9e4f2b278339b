"""The model card of a fine-tuned model: `README.md` of its folder; every number in it was measured."""

import json
from collections.abc import Mapping
from typing import Any

from lexloom.report.card import cell

PIPELINES = {
    "classify": "text-classification",
    "regress": "text-classification",
    "relation": "text-classification",
    "tag": "token-classification",
    "span": "question-answering",
    "similarity": "sentence-similarity",
    "choice": "multiple-choice",
}
"""Our tasks → the names that model hubs have for them."""
MOST_LABELS = 30


def task_card(task: Mapping[str, Any], results: Mapping[str, Any], provenance: Mapping[str, Any]) -> str:
    """The card: what the model does, how well, with intervals, and what it was made from."""
    name = task["name"]
    labels = [f"`{cell(label)}`" for label in task["labels"][:MOST_LABELS]]
    more = len(task["labels"]) - len(labels)
    front = {"library_name": "lexloom", "pipeline_tag": PIPELINES.get(name), "tags": ["lexloom", name]}
    lines = [
        "---",
        *(f"{key}: {json.dumps(value)}" for key, value in front.items() if value),
        "---",
        "",
        f"# A model for the task {name}",
        "",
        f"Fine-tuned with Lexloom on {provenance['train_examples']:,} examples in {provenance['steps']:,} steps; "
        f"texts are read up to {task['max_tokens']:,} tokens. Every number on this page was measured.",
        "",
        *([f"Labels: {', '.join(labels)}{f' and {more} more' if more > 0 else ''}.", ""] if labels else []),
        *_table(results),
        "",
        "```bash",
        "lexloom predict FOLDER new.csv",
        "```",
        "",
    ]
    return "\n".join(lines)


def _table(results: Mapping[str, Any]) -> list[str]:
    rows = [
        f"| {split} | {cell(metric)} | {_number(figure, 'value')} | {_interval(figure)} | {found['examples']:,} |"
        for split, found in results["splits"].items()
        for metric, figure in found["figures"].items()
    ]
    if not rows:
        return ["Nothing was measured: there was no labelled data beside the training data."]
    return ["| split | metric | value | 95 % interval | examples |", "|---|---|---|---|---|", *rows]


def _interval(figure: Mapping[str, Any]) -> str:
    return "–" if figure["low"] is None else f"{_number(figure, 'low')} to {_number(figure, 'high')}"


def _number(figure: Mapping[str, Any], key: str) -> str:
    return f"{100 * figure[key]:.2f}" if figure["percent"] else f"{figure[key]:.4f}"
