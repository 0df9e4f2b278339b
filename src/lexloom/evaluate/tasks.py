"""How well a model does its task: figures with intervals, which labels it confuses, how sure it is, where it errs.

Everything is computed from predictions and examples, so saved predictions can be judged without the model.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lexloom.base.ledger import Ledger
from lexloom.evaluate.calibration import Calibration, calibration
from lexloom.evaluate.confusion import Confusion, confusion
from lexloom.evaluate.figures import figures, paired
from lexloom.evaluate.intervals import Difference, Estimate
from lexloom.evaluate.slices import Slice, Slicing, by_label, by_length, by_script, by_unknown, mistakes, sliced
from lexloom.labelled.split import groups_of
from lexloom.labelled.views import view
from lexloom.metrics import Metric, exact_match
from lexloom.metrics.likelihood import Likelihood, Preferring
from lexloom.tasks.contract import Prediction, Setting, Task
from lexloom.tasks.folder import TaskModel
from lexloom.text.tokenizers import Tokenizer

Tick = Callable[[int], None]

MISTAKES_KEPT = 50
MOST_SLICED_LABELS = 50
NUMBERS = (float, Likelihood, Preferring)
"""What metrics take of tasks that can't be right or wrong."""
TEXT_SHOWN = 300
"""Characters of an example's text that stand beside a mistake."""


@dataclass(frozen=True)
class Judged:
    """The labelled ones among a split's examples, with what the metrics take of them."""

    examples: Sequence[Any]
    predictions: Sequence[Prediction]
    plain: Sequence[Any]
    references: Sequence[Any]
    unlabelled: int


@dataclass(frozen=True)
class Figure:
    """A metric with its interval, and whether people state it times 100."""

    value: float
    low: float | None
    high: float | None
    percent: bool
    detail: str = ""
    """What must be known to compare it with others' figures, such as sacrebleu's signature."""
    lower_is_better: bool = False

    def __str__(self) -> str:
        times, digits = (100, 2) if self.percent else (1, 4)
        value = f"{times * self.value:.{digits}f}"
        if self.low is None or self.high is None:
            return value
        return f"{value} ({times * self.low:.{digits}f}–{times * self.high:.{digits}f})"


@dataclass(frozen=True)
class Wrong:
    """A mistake: where the example is, its text, what is right and what was said."""

    where: str
    text: str
    reference: Any
    prediction: Any
    confidence: float | None


@dataclass(frozen=True)
class TaskResults:
    """What is known of a model's predictions for a split."""

    examples: int
    """Those with a label."""
    unlabelled: int
    main: str
    """The metric that decides; the first of `figures`."""
    figures: dict[str, Figure]
    confusion: Confusion | None
    """For tasks where one label of several is given."""
    calibration: Calibration | None
    slices: dict[str, tuple[Slice, ...]]
    """The main metric on parts of the data: by length, label, script, unknown tokens."""
    wrong: int
    """How many examples were got wrong, of tasks that are right or wrong."""
    mistakes: tuple[Wrong, ...]
    """The first of them, those first that the model was surest of."""

    def to_json(self) -> dict[str, Any]:
        """Plain values, as in results.json."""
        return {
            **asdict(self),
            "confusion": None if self.confusion is None else self.confusion.to_json(),
            "calibration": None if self.calibration is None else self.calibration.to_json(),
        }


def evaluate_task(
    model: TaskModel, examples: Sequence[Any], *, ledger: Ledger, tick: Tick | None = None
) -> tuple[TaskResults, list[Prediction]]:
    """Predict and judge; the predictions are those of `model.predict`, whatever the batches."""
    predictions = model.predict(examples, ledger=ledger, tick=tick)
    return judge(model.task, examples, predictions, model.setting), predictions


def judge(task: Task, examples: Sequence[Any], predictions: Sequence[Prediction], setting: Setting) -> TaskResults:
    """Everything in `TaskResults`; examples without a label are left out, and counted."""
    judged = labelled(task, examples, predictions, setting)
    right = _right(judged)
    wrong = [] if right is None else mistakes(judged.plain, judged.references, right, _confidences(judged))
    return TaskResults(
        examples=len(judged.references),
        unlabelled=judged.unlabelled,
        main=task.judge(setting)[0].name,
        figures=judged_figures(task, judged, setting),
        confusion=_confusion(judged, setting),
        calibration=_calibration(judged, setting),
        slices=_slices(task, judged, setting),
        wrong=len(wrong),
        mistakes=tuple(
            Wrong(
                judged.examples[one.example].where,
                _text(judged.examples[one.example]),
                one.reference,
                one.prediction,
                one.confidence,
            )
            for one in wrong[:MISTAKES_KEPT]
        ),
    )


def labelled(task: Task, examples: Sequence[Any], predictions: Sequence[Prediction], setting: Setting) -> Judged:
    """The examples that have a label, with their predictions."""
    references = [task.reference(example, setting) for example in examples]
    known = [number for number, reference in enumerate(references) if reference is not None]
    return Judged(
        examples=[examples[number] for number in known],
        predictions=[predictions[number] for number in known],
        plain=[task.plain(predictions[number]) for number in known],
        references=[references[number] for number in known],
        unlabelled=len(examples) - len(known),
    )


def judged_figures(task: Task, judged: Judged, setting: Setting) -> dict[str, Figure]:
    """Every metric of the task, the main one first; none where no example has a label.

    What is resampled are examples, those together that share a text (questions about a passage).
    """
    if not judged.references:
        return {}
    metrics = task.judge(setting)
    found = figures(metrics, judged.plain, judged.references, groups=_groups(judged))
    return {metric.name: _figure(found[metric.name], metric, judged.references) for metric in metrics}


def compare(task: Task, first: Judged, second: Judged, setting: Setting) -> Difference | None:
    """The second's main figure minus the first's on the same examples; None where there are too few to tell."""
    metric = task.judge(setting)[0]
    return paired(metric, first.plain, second.plain, first.references, groups=_groups(first))


def _figure(estimate: Estimate, metric: Metric, references: Sequence[Any]) -> Figure:
    return Figure(
        estimate.value,
        estimate.low,
        estimate.high,
        metric.percent,
        metric.detail(references),
        metric.lower_is_better,
    )


def _groups(judged: Judged) -> list[bytes]:
    return groups_of(judged.examples)


# ---- right and wrong ----


def _right(judged: Judged) -> list[bool] | None:
    """Whether each prediction is right; None for numbers and what a model writes, which are more or less near."""
    if not judged.plain or isinstance(judged.plain[0], NUMBERS) or "reply" in judged.predictions[0]:
        return None
    if isinstance(judged.plain[0], str) and "text" in judged.predictions[0]:
        return None
    if "answer" in judged.predictions[0]:
        rows_N2 = exact_match().rows(judged.plain, judged.references)
        return [bool(value == count) for value, count in rows_N2]
    pairs = zip(judged.plain, judged.references, strict=True)
    if "labels" in judged.predictions[0]:
        return [set(found) == set(wanted) for found, wanted in pairs]
    return [found == wanted for found, wanted in pairs]


def _confidences(judged: Judged) -> list[float] | None:
    if not judged.predictions or "probability" not in judged.predictions[0]:
        return None
    return [prediction["probability"] for prediction in judged.predictions]


def _confusion(judged: Judged, setting: Setting) -> Confusion | None:
    if not judged.predictions or "label" not in judged.predictions[0]:
        return None
    return confusion(judged.plain, judged.references, setting.labels)


def _calibration(judged: Judged, setting: Setting) -> Calibration | None:
    """Of the examples whose label the model knows."""
    if not judged.predictions or not isinstance(judged.predictions[0].get("probabilities"), dict):
        return None
    if "label" not in judged.predictions[0]:
        return None
    columns = {label: column for column, label in enumerate(setting.labels)}
    known = [number for number, reference in enumerate(judged.references) if reference in columns]
    if not known:
        return None
    shares = [[judged.predictions[number]["probabilities"][label] for label in setting.labels] for number in known]
    return calibration(np.array(shares), np.array([columns[judged.references[number]] for number in known]))


# ---- slices ----


def _slices(task: Task, judged: Judged, setting: Setting) -> dict[str, tuple[Slice, ...]]:
    """The main metric by length, label, script and unknown tokens, where that parts the data at all."""
    if not judged.references:
        return {}
    # What is read: of pairs the source, of choices the text with its first candidate
    texts = [" ".join(view(example).pieces[0]) for example in judged.examples]
    slicings: dict[str, Slicing] = {
        "length": by_length([len(text) for text in texts], "characters"),
        "label": _label_slicing(judged),
        "script": by_script(texts),
        "unknown tokens": by_unknown(_unknown_shares(texts, setting.tokenizer)),
    }
    metric = task.judge(setting)[0]
    return {
        name: sliced(metric, judged.plain, judged.references, slicing)
        for name, slicing in slicings.items()
        if len(slicing) > 1
    }


def _label_slicing(judged: Judged) -> Slicing:
    if "label" not in judged.predictions[0] and "labels" not in judged.predictions[0]:
        return {}
    slicing = by_label(judged.references)
    return slicing if len(slicing) <= MOST_SLICED_LABELS else {}


def _unknown_shares(texts: Sequence[str], tokenizer: Tokenizer | None) -> list[float]:
    if tokenizer is None or tokenizer.unk_id is None:
        return [0.0] * len(texts)
    return [ids.count(tokenizer.unk_id) / max(1, len(ids)) for ids in tokenizer.encode_batch(texts)]


def _text(example: Any) -> str:
    return " | ".join(view(example).texts)[:TEXT_SHOWN]
