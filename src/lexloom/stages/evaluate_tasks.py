"""`lexloom evaluate` for fine-tuned models, and for predictions that were saved by anybody."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lexloom.base import files
from lexloom.base.console import aligned, progress
from lexloom.base.errors import DataError, RecipeError, UserError
from lexloom.base.ledger import Ledger
from lexloom.base.recipe import check, choose
from lexloom.evaluate.intervals import Difference
from lexloom.evaluate.tasks import Figure, TaskResults, compare, judge, labelled
from lexloom.stages.evaluate import RESULTS, Results
from lexloom.stages.predict import cut_note
from lexloom.stages.saved import saved_predictions
from lexloom.tasks import TASKS, Prediction, Setting, Task
from lexloom.tasks.folder import StoredTask, TaskModel, load_task_model

CONFUSED_SHOWN = 5
MISTAKES_SHOWN = 5
WIDEST = 100
"""Characters of a text in a line for people."""


@dataclass(frozen=True)
class Contender:
    """Predictions for the examples, under the name of the model or file they come from."""

    name: str
    predictions: Sequence[Prediction]
    setting: Setting
    results: TaskResults
    notes: tuple[str, ...] = ()


def evaluate_tasks(
    folders: Sequence[Path],
    data: Sequence[str],
    *,
    changes: Mapping[str, Any] | None = None,
    task: StoredTask | None = None,
    out: Path | None = None,
) -> Results:
    """Judge models that do the same task on labelled examples; every one after the first is compared with the first.

    `changes` are settings of the task, such as the columns of the data; with `task` all models do that one. Returns
    {task, data, models: [{folder, …TaskResults}], comparisons, ledger}; with `out` also in out/results.json. Raises
    UserError for models of different tasks, DataError for data that can't be read or has no labels.
    """
    models = [load_task_model(folder, changes, task=task) for folder in folders]
    for folder, model in zip(folders, models, strict=True):
        if model.name != models[0].name:
            raise UserError(f"does {model.name}, but {folders[0]} does {models[0].name}", where=str(folder))
    ledger = Ledger()
    first = models[0]
    examples = read_examples(first.task, data, first.setting.settings, ledger)
    contenders = [predicted(str(folder), model, examples) for folder, model in zip(folders, models, strict=True)]
    contenders += without_model(first.task, examples, first.setting)
    return results_of(first.name, first.task, data, examples, contenders, ledger, out)


def evaluate_predictions(
    predictions: Sequence[str], data: Sequence[str], *, changes: Mapping[str, Any], out: Path | None = None
) -> Results:
    """Judge saved predictions, one for each example and in their order, without a model.

    A file is what `lexloom predict` or a fine-tuning run wrote, any JSON lines or CSV with the fields of the task's
    predictions (`label`, `score`, `tags`, `answer`, `choice`, `text`), or a plain file with a text a line. `changes`
    names the task. Returns and raises as `evaluate_tasks`.
    """
    settings = dict(changes)
    name = settings.pop("name", None)
    if name is None:
        raise RecipeError("says nothing of the task", where="task.name", fix=f"Set task.name to {', '.join(TASKS)}.")
    task: Task = choose(TASKS, name, field="task.name")
    ledger = Ledger()
    examples = read_examples(task, data, check(task.settings, settings, where="task"), ledger)
    settled = task.settle(examples, check(task.settings, settings, where="task"))
    # No text is encoded where predictions are at hand, so there is nothing to encode it with
    setting = Setting(tokenizer=None, settings=settled, labels=task.labels(examples, settled), max_tokens=0)  # type: ignore[arg-type]
    contenders = []
    for file in predictions:
        found = saved_predictions(file, task, settled, len(examples))
        contenders.append(Contender(file, found, setting, judge(task, examples, found, setting)))
    contenders += without_model(task, examples, setting)
    return results_of(name, task, data, examples, contenders, ledger, out)


def describe(results: Results) -> str:
    """The results for people: figures, what differs, what is confused, where it errs."""
    models = results["models"]
    parts = [_figures(models), *(comparison["verdict"] for comparison in results["comparisons"])]
    parts += [part for model in models for part in (_confused(model), _calibrated(model)) if part]
    parts += [_slices(models), _mistakes(models[0])]
    parts += [note for model in models for note in model["notes"]]
    return "\n\n".join(part for part in parts if part)


# ---- reading ----


def read_examples(task: Task, data: Sequence[str], settings: Any, ledger: Ledger) -> list[Any]:
    """The examples, at least one. Raises DataError."""
    examples = task.read(data, settings, ledger)
    if not examples:
        raise DataError("there are no examples to evaluate on", where=", ".join(data))
    return examples


def predicted(name: str, model: TaskModel, examples: Sequence[Any]) -> Contender:
    """What a fine-tuned model says of the examples, judged."""
    ledger = Ledger()
    with progress(f"predicting with {name}", len(examples)) as tick:
        predictions = model.predict(examples, ledger=ledger, tick=tick)
    note = cut_note(model, ledger)
    results = judge(model.task, examples, predictions, model.setting)
    return Contender(name, predictions, model.setting, results, () if note is None else (f"{name}: {note}",))


def without_model(task: Task, examples: Sequence[Any], setting: Setting) -> list[Contender]:
    """The task's baseline, judged; none where the task has none."""
    baseline = task.baseline(setting)
    if baseline is None:
        return []
    predictions = [baseline.predict(example) for example in examples]
    return [Contender(baseline.name, predictions, setting, judge(task, examples, predictions, setting))]


# ---- results ----


def results_of(
    name: str,
    task: Task,
    data: Sequence[str],
    examples: Sequence[Any],
    contenders: Sequence[Contender],
    ledger: Ledger,
    out: Path | None,
) -> Results:
    """What `evaluate_tasks` returns, of contenders that were judged."""
    if contenders[0].results.examples == 0:
        raise DataError(
            "no example has a label", where=", ".join(data), fix=f"Name the column: task.{_column(task)}=NAME."
        )
    first = contenders[0]
    results = {
        "task": name,
        "data": list(data),
        "models": [{"folder": one.name, "notes": list(one.notes), **one.results.to_json()} for one in contenders],
        "comparisons": [_compare(task, examples, first, later) for later in contenders[1:]],
        "ledger": ledger.to_json(),
    }
    if out is not None:
        files.write_json(out / RESULTS, results)
    return results


def _column(task: Task) -> str:
    """The setting that names the column of what is right."""
    return "target" if "target" in task.settings.model_fields else "label"


def _compare(task: Task, examples: Sequence[Any], first: Contender, second: Contender) -> Results:
    one, two = (labelled(task, examples, each.predictions, each.setting) for each in (first, second))
    found = compare(task, one, two, first.setting)
    metric = task.judge(first.setting)[0]
    pair = {"first": first.name, "second": second.name, "metric": metric.name}
    if found is None:
        return {**pair, "verdict": f"There are too few examples to tell {second.name} from {first.name}."}
    lower_is_better = metric.lower_is_better
    return {
        **pair,
        **found.to_json(),
        "verdict": _verdict(found, pair, percent=metric.percent, lower_is_better=lower_is_better),
    }


def _verdict(found: Difference, pair: Mapping[str, str], *, percent: bool, lower_is_better: bool) -> str:
    first, second = pair["first"], pair["second"]
    better, worse = (second, first) if (found.value > 0) != lower_is_better else (first, second)
    times, digits, unit = (100, 2, " points") if percent else (1, 4, "")
    size = f"{times * abs(found.value):.{digits}f}{unit} of {pair['metric']}"
    start = f"{better} is better than {worse} by {size}" if found.real else f"{second} and {first} can't be told apart"
    between = f"{times * found.low:+.{digits}f} to {times * found.high:+.{digits}f}"
    return f"{start} (difference {times * found.value:+.{digits}f}, {between}, p = {found.p:.2g})."


# ---- for people ----


def _figures(models: Sequence[Results]) -> str:
    names = list(dict.fromkeys(name for model in models for name in model["figures"]))
    rows = [("", *(model["folder"] for model in models))]
    rows += [(name, *(_shown(model["figures"].get(name)) for model in models)) for name in names]
    sizes = f"{models[0]['examples']:,} examples"
    if models[0]["unlabelled"]:
        sizes += f" with a label, {models[0]['unlabelled']:,} without"
    return "\n".join([aligned(rows), "", f"{sizes}; 95 % intervals by bootstrap over examples.", *_details(models[0])])


def _details(model: Results) -> list[str]:
    """How figures were computed that depend on it, such as BLEU's on tokenisation."""
    named: dict[str, list[str]] = {}
    for name, figure in model["figures"].items():
        named.setdefault(figure["detail"], []).append(name)
    return [f"{', '.join(names)}: {detail}" for detail, names in named.items() if detail]


def _shown(figure: Results | None) -> str:
    return "–" if figure is None else str(Figure(**figure))


def _confused(model: Results) -> str:
    worst = (model["confusion"] or {}).get("worst", [])[:CONFUSED_SHOWN]
    if not worst:
        return ""
    rows = [("is", "said to be", "examples", "of them")]
    rows += [
        (one["reference"], one["prediction"], f"{one['examples']:,}", f"{100 * one['share']:.1f} %") for one in worst
    ]
    return f"{model['folder']} confuses\n{aligned(rows, right=(2, 3))}"


def _calibrated(model: Results) -> str:
    found = model["calibration"]
    if found is None:
        return ""
    error = f"calibration error {100 * found['expected_error']:.1f} %"
    if found["calibrated"]:
        return f"{model['folder']} can be taken at its probabilities: {error}, no more than chance makes it."
    sure = "too sure" if found["temperature"] > 1 else "not sure enough"
    return f"{model['folder']} is {sure}: {error}; temperature {found['temperature']:.2f} would mend it."


def _slices(models: Sequence[Results]) -> str:
    rows = [(f"{models[0]['main']} by", "", "examples", *(model["folder"] for model in models))]
    percent = models[0]["figures"][models[0]["main"]]["percent"]
    for kind, parts in models[0]["slices"].items():
        names = [part["name"] for part in parts]
        if any([part["name"] for part in model["slices"].get(kind, ())] != names for model in models):
            continue  # what is unknown to one tokenizer another may know
        for number, part in enumerate(parts):
            same = [model["slices"][kind][number]["figure"] for model in models]
            shown = [_shown({**figure, "percent": percent}) for figure in same]
            rows.append((kind if number == 0 else "", part["name"], f"{part['examples']:,}", *shown))
    return aligned(rows, right=(2,)) if len(rows) > 1 else ""


def _mistakes(model: Results) -> str:
    if not model["mistakes"]:
        return ""
    rows = [
        (one["where"], f"{_short(one['reference'])} → {_short(one['prediction'])}", _short(one["text"]))
        for one in model["mistakes"][:MISTAKES_SHOWN]
    ]
    return f"{model['folder']} got {model['wrong']:,} wrong, those it was surest of first\n{aligned(rows)}"


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"
