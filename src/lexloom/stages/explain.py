"""`lexloom explain MODEL TEXT...`: why a model answers as it does, as a page and as numbers."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lexloom.base import files
from lexloom.base.console import aligned, progress
from lexloom.base.errors import FolderError, UserError
from lexloom.base.recipe import check, choose
from lexloom.explain.explanation import METHODS, Explained, Explanation
from lexloom.explain.explanation import explain as explain_example
from lexloom.labelled.examples import Choices, Example, Labelled, Question, Related, Tagged
from lexloom.labelled.marks import without_marks
from lexloom.labelled.words import word_spans
from lexloom.models.folder import CONFIG, ModelFolder, load_model
from lexloom.report.explanation import render_explanations, signed
from lexloom.tasks import TASKS, Setting

PAGE = Path("explain.html")
MOST_TOKENS = 512
MOST_WORDS = 30
"""Of a text, on the terminal; the page and JSON have all."""
DECIMALS = 5
"""Of attention, in JSON."""


@dataclass(frozen=True)
class Result:
    """The page that was written, and what it says of each text."""

    page: str | None
    model: str
    task: str
    explanations: list[dict[str, Any]]


def explain(
    folder: Path,
    texts: Sequence[str],
    *,
    pairs: Sequence[str] = (),
    label: str | None = None,
    methods: Collection[str] = (),
    out: Path | None = PAGE,
) -> Result:
    """Explain a fine-tuned encoder's answer to each text, and write the page `out` (None: no page).

    `pairs` holds the second text of each pair: the passage of a question, the candidates of a choice. `label` asks what
    speaks for another label than the answer; `methods` are some of METHODS, all if none is named.
    Raises UserError for texts that don't fit the model's task.
    """
    for method in methods:
        choose(dict.fromkeys(METHODS), method, field="--method")
    contents = load_model(folder)
    name, setting = task_of(contents, folder)
    examples = [example_of(name, text, pairs, where=f"text {number}") for number, text in enumerate(texts, start=1)]
    found = []
    with progress("explaining", len(examples)) as tick:
        for example in examples:
            explanation = explain_example(
                contents.model, name, example, setting, label=label, methods=methods or METHODS
            )
            found.append(explanation)
            tick(len(found))
    if out is not None:
        files.write_file(out, render_explanations(found, model="/".join(folder.resolve().parts[-2:]), task=name))
    return Result(None if out is None else str(out), str(folder), name, [_plain(explanation) for explanation in found])


def describe(result: Result) -> str:
    """The result for people: words with their numbers, and where the page is."""
    parts = []
    for explanation in result.explanations:
        for target in explanation["targets"]:
            rows = [(word["word"], signed(word["value"])) for word in _weightiest(target["words"])]
            title = f"{target['name']}: {target['measure']} by {target['method']}"
            some = (
                f", the {len(rows)} weightiest of {len(target['words'])} words"
                if len(rows) < len(target["words"])
                else ""
            )
            parts += [f"{title}{some}", aligned(rows, right=(1,))]
            parts.append(_completeness(target))
    if result.page is not None:
        parts.append(f"wrote {result.page}; open it in a browser")
    return "\n\n".join(parts)


def _weightiest(words: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The words that count most, in their order."""
    least = sorted((abs(word["value"]) for word in words), reverse=True)[:MOST_WORDS][-1:]
    return [word for word in words if abs(word["value"]) >= least[0]]


# ---- what the model does ----


def task_of(contents: ModelFolder, folder: Path) -> tuple[str, Setting]:
    """The task that a model was fine-tuned for, by its folder, or else by the head that others gave it.

    Raises FolderError if it has none.
    """
    if contents.tokenizer is None:
        raise FolderError("has no tokenizer.json", where=str(folder))
    stored = contents.facts.get("task") or _published_task(contents, folder)
    task = choose(TASKS, stored["name"], field="task.name")
    return stored["name"], Setting(
        tokenizer=contents.tokenizer,
        settings=check(task.settings, stored["settings"], where="task"),
        labels=tuple(stored["labels"]),
        max_tokens=stored["max_tokens"],
    )


TASK_OF_HEAD = {"sequence": "classify", "token": "tag", "span": "span", "choice": "choice", "none": "similarity"}


def _published_task(contents: ModelFolder, folder: Path) -> dict[str, Any]:
    config = contents.model.config
    name = TASK_OF_HEAD.get(getattr(config, "head", "decoder"))
    if name is None:
        raise FolderError(
            "was fine-tuned for no task, so it gives no answer to explain",
            where=str(folder),
            fix="Fine-tune it with `lexloom finetune`, then name the run's model folder.",
        )
    labels: dict[str, str] = files.read_json(folder / CONFIG).get("id2label") or {}
    names = [labels[key] for key in sorted(labels, key=int)] if name in ("classify", "tag") else []
    if name == "classify" and len(names) == 1:
        return {"name": "regress", "settings": {"mean": 0.0, "scale": 1.0}, "labels": [], "max_tokens": _limit(config)}
    return {"name": name, "settings": {}, "labels": names, "max_tokens": _limit(config)}


def _limit(config: Any) -> int:
    return min(int(config.context), MOST_TOKENS)


# ---- texts to examples ----


def example_of(task: str, text: str, pairs: Sequence[str], *, where: str) -> Example:
    """What a task reads, made of bare texts: relations are marked `<e1>…</e1>` and `<e2>…</e2>`."""
    return EXAMPLES[task](text, pairs, where)


def _labelled(text: str, pairs: Sequence[str], where: str) -> Labelled:
    return Labelled(where, {}, (text, *_one_at_most(pairs)), None)


def _tagged(text: str, pairs: Sequence[str], where: str) -> Tagged:
    _none(pairs)
    return Tagged(where, {}, text, word_spans(text), None)


def _related(text: str, pairs: Sequence[str], where: str) -> Related:
    _none(pairs)
    plain, first, second = without_marks(text, where)
    return Related(where, {}, plain, first, second, None)


def _question(text: str, pairs: Sequence[str], where: str) -> Question:
    if len(pairs) != 1:
        raise UserError("a question needs its passage", fix="Give the passage with --pair.")
    return Question(where, {}, where, text, pairs[0], None)


def _pair(text: str, pairs: Sequence[str], where: str) -> Labelled:
    if len(pairs) != 1:
        raise UserError("similarity is that of two texts", fix="Give the second one with --pair.")
    return Labelled(where, {}, (text, pairs[0]), None)


def _choices(text: str, pairs: Sequence[str], where: str) -> Choices:
    if len(pairs) < 2:
        raise UserError("a choice needs its candidates", fix="Give each of them with --pair.")
    return Choices(where, {}, (text,), tuple(pairs), None)


EXAMPLES: dict[str, Callable[[str, Sequence[str], str], Example]] = {
    "classify": _labelled,
    "regress": _labelled,
    "tag": _tagged,
    "relation": _related,
    "span": _question,
    "similarity": _pair,
    "choice": _choices,
}


def _one_at_most(pairs: Sequence[str]) -> Sequence[str]:
    if len(pairs) > 1:
        raise UserError(f"a pair has one second text, not {len(pairs)}", fix="Give --pair once.")
    return pairs


def _none(pairs: Sequence[str]) -> None:
    if pairs:
        raise UserError("this model reads single texts", fix="Leave --pair out.")


# ---- plain values ----


def _plain(explanation: Explanation) -> dict[str, Any]:
    return {
        "texts": list(explanation.texts),
        "prediction": explanation.prediction,
        "targets": [_target(explanation, explained) for explained in explanation.explained],
        "attention": [
            {"tokens": list(maps.tokens), "rollout": np.round(maps.rollout, DECIMALS).tolist()}
            for maps in explanation.attention
        ],
    }


def _target(explanation: Explanation, explained: Explained) -> dict[str, Any]:
    found = explained.attribution
    return {
        "name": explained.name,
        "measure": explained.measure,
        "method": found.method,
        "masked_with": explanation.blank,
        "output": found.output,
        "baseline": found.baseline,
        "error": found.error,
        "steps": found.steps,
        "complete": found.complete,
        "words": [
            {
                "text": word.text,
                "start": word.start,
                "end": word.end,
                "word": explanation.texts[word.text][word.start : word.end],
                "value": value,
            }
            for word, value in zip(explained.words, found.values, strict=True)
        ],
    }


def _completeness(target: dict[str, Any]) -> str:
    whole = (
        f"{signed(target['output'])} on the text, {signed(target['baseline'])} with {target['masked_with']} for words"
    )
    if target["complete"] is None:
        return f"{whole}; words work together, so these numbers need not add up"
    state = "complete" if target["complete"] else "NOT complete"
    return f"{whole}; {state}: an error of {abs(target['error']):.1e} after {target['steps']} steps"
