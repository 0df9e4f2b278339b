"""Figures of answers that were not trained for: by every way of comparing likelihoods, and of closed answers."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

from lexloom.evaluate.fewshot.prompts import Score
from lexloom.evaluate.fewshot.queries import Answered, Asking
from lexloom.evaluate.figures import figure
from lexloom.evaluate.tasks import Figure, judged_figures, labelled
from lexloom.metrics import Metric, exact_text
from lexloom.metrics.contract import Rows, mean_rows, ratio_of_sums
from lexloom.tasks.contract import Setting, Task

SAID: dict[Score, str] = {
    "total": "whole answers",
    "token": "per token",
    "byte": "per byte",
    "unconditional": "over unconditional",
}


def exactly(task: Task, *, cloze: bool) -> Task:
    """The same task, judged first of all by whether the text is exactly the target; in a cloze by nothing else."""
    return replace(task, judge=lambda setting: (exact_text(), *(() if cloze else task.judge(setting))))


def more_figures(
    task: Task, asking: Asking, examples: Sequence[Any], answered: Sequence[Answered], setting: Setting, chosen: Score
) -> dict[str, Figure]:
    """The main figure by the likelihoods that were not chosen to decide; of closed answers their perplexity."""
    if not asking.compares:
        return {"perplexity": _perplexity(answered)}
    found = {}
    for score in get_args(Score):
        if score != chosen:
            predictions = [
                asking.prediction(example, setting, one, score) for example, one in zip(examples, answered, strict=True)
            ]
            figures = judged_figures(task, labelled(task, examples, predictions, setting), setting)
            name, main = next(iter(figures.items()))
            found[f"{name}, {SAID[score]}"] = main
    return found


def _perplexity(answered: Sequence[Answered]) -> Figure:
    """Of whole answers, as lm-evaluation-harness states it for LAMBADA."""

    def rows(predictions: Sequence[Any], references: Sequence[Any]) -> Rows:
        return mean_rows(predictions)

    metric = Metric("perplexity", rows, lambda rows: math.exp(ratio_of_sums(rows)), percent=False, lower_is_better=True)
    nats = [-one.likelihoods[0].log_probability for one in answered]
    found = figure(metric, nats, nats)
    return Figure(found.value, found.low, found.high, percent=False)
