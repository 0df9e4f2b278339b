"""`lexloom explain MODEL TEXT...`: why a model answers as it does, as a page and as numbers.

Of a model that writes about a source, as a translator does, it shows where it looked while it wrote.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lexloom.base import files
from lexloom.base.console import aligned, progress
from lexloom.base.errors import UserError
from lexloom.base.recipe import choose
from lexloom.explain.explanation import ATTENTION, METHODS, Explained, Explanation
from lexloom.explain.explanation import explain as explain_example
from lexloom.explain.targets import EXPLAINABLE
from lexloom.explain.translation import Translation, explain_translation
from lexloom.labelled.examples import Example
from lexloom.models.folder import load_model
from lexloom.report.explanation import render_explanations, signed
from lexloom.report.translation import render_translations
from lexloom.tasks.folder import TaskModel, task_model
from lexloom.tasks.given import example_of

PAGE = Path("explain.html")
MOST_WORDS = 30
"""Of a text, on the terminal; the page and JSON have all."""
ENCODER_DECODER = "encoder-decoder"
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
    """Explain a fine-tuned model's answer to each text, and write the page `out` (None: no page).

    `pairs` holds the second text of each pair: the passage of a question, the candidates of a choice. `label` asks what
    speaks for another label than the answer; `methods` are some of METHODS, all if none is named. Of an
    encoder–decoder's texts the attention to the source is shown.
    Raises UserError for texts that don't fit the model's task, and for what can't be asked about it.
    """
    for method in methods:
        choose(dict.fromkeys(METHODS), method, field="--method")
    model = task_model(load_model(folder), folder)
    how = _way(model, label, methods or METHODS)
    examples = [example_of(model.name, (text, *pairs), f"text {number}") for number, text in enumerate(texts, start=1)]
    found = []
    with progress("explaining", len(examples)) as tick:
        for example in examples:
            found.append(how.explain(example))
            tick(len(found))
    if out is not None:
        files.write_file(out, how.render(found, model="/".join(folder.resolve().parts[-2:]), task=model.name))
    return Result(None if out is None else str(out), str(folder), model.name, [how.plain(each) for each in found])


def explain_one(
    model: TaskModel, parts: tuple[str, ...], *, label: str | None = None, methods: Collection[str] = METHODS
) -> dict[str, Any]:
    """The same of one example for a model that is loaded, as plain values: what stands in `Result.explanations`."""
    how = _way(model, label, methods)
    return how.plain(how.explain(example_of(model.name, parts, "text 1")))


def explainable(model: TaskModel) -> bool:
    """Whether `explain_one` can say anything about the model's answers."""
    return model.name in EXPLAINABLE or ENCODER_DECODER in model.task.needs


def describe(result: Result) -> str:
    """The result for people: words with their numbers, and where the page is."""
    parts = []
    for explanation in result.explanations:
        if "written" in explanation:
            parts += _looks(explanation)
            continue
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
        if explanation["left_out"]:
            parts.append(f"not explained, ask about them with --label: {', '.join(explanation['left_out'])}")
    if result.page is not None:
        parts.append(f"wrote {result.page}; open it in a browser")
    return "\n\n".join(parts)


def _weightiest(words: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The words that count most, in their order."""
    least = sorted((abs(word["value"]) for word in words), reverse=True)[:MOST_WORDS][-1:]
    return [word for word in words if abs(word["value"]) >= least[0]]


@dataclass(frozen=True)
class Way:
    """How the answers of a kind of model are explained and shown."""

    explain: Callable[[Example], Any]
    render: Callable[..., str]
    plain: Callable[[Any], dict[str, Any]]


def _way(model: TaskModel, label: str | None, methods: Collection[str]) -> Way:
    if model.name in EXPLAINABLE:
        return Way(partial(_explain, model, label, methods), render_explanations, _plain)
    if ENCODER_DECODER not in model.task.needs:
        raise UserError(f"answers of the task {model.name} can't be explained yet")
    if label is not None or ATTENTION not in methods:
        raise UserError("a text that was written has no label; what can be shown is attention to the source")
    return Way(partial(_translate, model), render_translations, _translation)


def _explain(model: TaskModel, label: str | None, methods: Collection[str], example: Example) -> Explanation:
    return explain_example(model.model, model.name, example, model.setting, label=label, methods=methods)


def _translate(model: TaskModel, example: Example) -> Translation:
    return explain_translation(model.model, model.name, example, model.setting)


def _plain(explanation: Explanation) -> dict[str, Any]:
    return {
        "texts": list(explanation.texts),
        "prediction": explanation.prediction,
        "left_out": list(explanation.left_out),
        "targets": [_target(explanation, explained) for explained in explanation.explained],
        "attention": [
            {
                "tokens": list(maps.tokens),
                "special": list(maps.special),
                "rollout": np.round(maps.rollout, DECIMALS).tolist(),
            }
            for maps in explanation.attention
        ],
    }


def _translation(translation: Translation) -> dict[str, Any]:
    maps, mean_TS = translation.maps, translation.maps.mean_TS
    looks = zip(maps.target, maps.looked_at, mean_TS.tolist(), strict=True)
    return {
        "source": translation.source,
        "written": translation.prediction["text"],
        "words": [
            {"word": word, "looked_at": maps.source[place], "share": round(shares_S[place], DECIMALS)}
            for word, place, shares_S in looks
            if place is not None
        ],
        "attention": {
            "read": list(maps.source),
            "read_special": list(maps.special_S),
            "written": list(maps.target),
            "written_special": list(maps.special_T),
            "mean": np.round(mean_TS, DECIMALS).tolist(),
        },
    }


def _looks(explanation: dict[str, Any]) -> list[str]:
    """A text that was written, and for each word the one of the source that it took most of."""
    rows = [(word["word"], word["looked_at"], f"{word['share']:.0%}") for word in explanation["words"][:MOST_WORDS]]
    return [explanation["written"], aligned([("written", "looked at most", "share"), *rows], right=(2,))]


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
