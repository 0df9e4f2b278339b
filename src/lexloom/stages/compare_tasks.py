"""Models that do a task, compared by how many labelled examples each needs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lexloom.base import files
from lexloom.base.console import say
from lexloom.base.errors import DataError, RecipeError
from lexloom.evaluate.every_pair import every_pair
from lexloom.evaluate.tasks import Judged, labelled
from lexloom.evaluate.tasks import compare as compare_judged
from lexloom.labelled.split import by_hash
from lexloom.report.read import read_run
from lexloom.stages.adapting import Data, read_data
from lexloom.stages.compare_recipe import CompareRecipe, finetuning_recipe
from lexloom.stages.evaluate import RESULTS, Results
from lexloom.stages.finetune_once import PREDICTIONS, TEST, VALIDATION, finetune_once
from lexloom.stages.finetune_recipe import FinetuneRecipe, check_recipe
from lexloom.stages.judging import read_predictions
from lexloom.tasks import Setting, Task


def compare_tasks(recipe: CompareRecipe, out: Path) -> Results:
    """Train every model on each share of the labelled examples, the same ones for all, and judge it on the same test.

    Returns {kind, task, metric, percent, split, data, models: [{name, family, parameters, points: [{labels, seconds,
    figure, run}]}], pairs}; the pairs are those of models that were trained on everything. Raises as `finetune` does.
    """
    recipes = {name: finetuning_recipe(recipe, name) for name in recipe.models}
    for name, one in recipes.items():
        check_recipe(one)
        if one.train.seeds > 1 or one.data.folds is not None:
            raise RecipeError("several runs of one model can't be compared", where=f"models.{name}")
    data = read_data(next(iter(recipes.values())))
    split, examples = (TEST, data.test) if data.test else (VALIDATION, data.validation)
    if not examples:
        raise DataError("there is nothing to judge the models on", fix="Name data.test or data.validation.")
    parts = [_share(data, share) for share in recipe.shares]
    rows = [_row(name, one, parts, recipe.shares, out / name, split) for name, one in recipes.items()]
    task, settings = next(iter(recipes.values())).task.resolved()
    setting = _setting(task, settings, data.train)
    judged = [_judged(row, task, examples, setting) for row in rows]
    metric = task.judge(setting)[0]
    return {
        "kind": "task",
        "task": recipes[rows[0]["name"]].task.name,
        "metric": metric.name,
        "percent": metric.percent,
        "lower_is_better": metric.lower_is_better,
        "split": split,
        "data": {"train": len(data.train), split: len(examples)},
        "models": rows,
        "pairs": every_pair(list(recipes), lambda one, two: compare_judged(task, judged[one], judged[two], setting)),
    }


def _share(data: Data, share: float) -> Data:
    """The training examples whose content falls to the share: a larger one holds all of a smaller one."""
    some = data.train if share == 1 else by_hash(data.train, share)[1]
    return Data(some, data.validation, data.test, data.ledger)


def _row(
    name: str, recipe: FinetuneRecipe, parts: Sequence[Data], shares: Sequence[float], folder: Path, split: str
) -> Results:
    points, run = [], None
    for share, data in zip(shares, parts, strict=True):
        say(f"\n{name} on {len(data.train):,} examples")
        place = folder / f"{share:g}"
        finetune_once(recipe, data, place)
        run = read_run(place)
        found = files.read_json(place / RESULTS)["splits"][split]
        figure = found["figures"][found["main"]]
        points.append({"labels": len(data.train), "seconds": run.seconds, "figure": figure, "run": str(place)})
    assert run is not None, "there is a share"
    return {"name": name, "family": str(run.facts["family"]), "parameters": run.parameters, "points": points}


def _setting(task: Task, settings: Any, train: Sequence[Any]) -> Setting:
    # No text is encoded where predictions are at hand, so there is nothing to encode it with
    settled = task.settle(train, settings)
    return Setting(tokenizer=None, settings=settled, labels=task.labels(train, settled), max_tokens=0)  # type: ignore[arg-type]


def _judged(row: Results, task: Task, examples: Sequence[Any], setting: Setting) -> Judged:
    predictions = read_predictions(Path(row["points"][-1]["run"]) / PREDICTIONS)
    return labelled(task, examples, predictions, setting)
