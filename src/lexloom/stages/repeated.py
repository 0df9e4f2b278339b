"""Fine-tuning several times: with several seeds, or once for each fold of the data.

Small data give figures that depend on the seed and on the split; here that is measured. Each run is a run folder of its
own inside of the run's (`seed-0`, `fold-0`, …), and resumes by itself.
"""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lexloom.base import files
from lexloom.base.console import say
from lexloom.base.recipe import to_toml
from lexloom.labelled.split import in_folds
from lexloom.report.page import write_report
from lexloom.stages.adapting import Data, fitted, read_data
from lexloom.stages.beginning import open_base
from lexloom.stages.evaluate import RESULTS
from lexloom.stages.finetune_once import PREDICTIONS, VALIDATION, finetune_once
from lexloom.stages.finetune_recipe import FinetuneRecipe
from lexloom.stages.judging import Row, describe_figures, judged, read_predictions
from lexloom.stages.opening import MODEL, RECIPE, Outcome
from lexloom.stages.prepare import LEDGER
from lexloom.train.diary import FILE as METRICS
from lexloom.train.parallel import leads

COPIED = (METRICS, PREDICTIONS, LEDGER)


def with_seeds(recipe: FinetuneRecipe, run: Path, *, allow_change: Sequence[str] = ()) -> Outcome:
    """Train with the seeds seed, seed + 1, …; the best on the validation split, or else the first, gives the model.

    results.json has every run's figures, their mean, deviation and range, and which run was chosen.
    """
    data, first = read_data(recipe), recipe.train.seed
    outcomes = {}
    for seed in range(first, first + recipe.train.seeds):
        say(f"Seed {seed}")
        train = recipe.train.model_copy(update={"seed": seed, "seeds": 1})
        one = recipe.model_copy(update={"train": train})
        outcomes[f"seed-{seed}"] = finetune_once(one, data, run / f"seed-{seed}", allow_change=allow_change)
    chosen = _summarise_seeds(recipe, run, list(outcomes)) if leads() else next(iter(outcomes))
    already = all(outcome.already_finished for outcome in outcomes.values())
    return Outcome(run / MODEL, outcomes[chosen].steps, already_finished=already)


def with_folds(recipe: FinetuneRecipe, run: Path, *, allow_change: Sequence[str] = ()) -> Outcome:
    """Cross-validation: train once for each fold on all others, judge all predictions together, then train on all.

    The figures over the examples of all folds, each foretold by a model that hasn't seen it, stand in results.json as
    the split "folds"; those of the final model on test data beside them.
    """
    assert recipe.data.folds is not None, "there are folds"
    data = read_data(recipe)
    parts = in_folds(data.train, recipe.data.folds)
    once = recipe.model_copy(update={"data": recipe.data.model_copy(update={"folds": None, "validation_share": 0.0})})
    for fold, (train, validation) in enumerate(parts):
        say(f"Fold {fold}")
        finetune_once(once, Data(train, validation, (), data.ledger), run / f"fold-{fold}", allow_change=allow_change)
    say("All of the training data")
    outcome = finetune_once(once, Data(data.train, (), data.test, data.ledger), run, allow_change=allow_change)
    if leads():
        _summarise_folds(recipe, run, data, [validation for _, validation in parts])
    return outcome


def _summarise_seeds(recipe: FinetuneRecipe, run: Path, names: Sequence[str]) -> str:
    results = {name: files.read_json(run / name / RESULTS) for name in names}
    chosen, why = _chosen(results)
    spread = {split: _spread([row["splits"][split] for row in results.values()]) for split in results[chosen]["splits"]}
    files.write_json(
        run / RESULTS,
        {
            **results[chosen],
            "runs": [{"run": name, "splits": row["splits"]} for name, row in results.items()],
            "spread": spread,
            "chosen": chosen,
            "why": why,
        },
    )
    for split, figures in spread.items():
        say(f"{split}, over {len(names)} seeds: " + ", ".join(f"{name} {_shown(row)}" for name, row in figures.items()))
    say(f"The model is that of {chosen}: {why}")
    files.write_file(run / RECIPE, to_toml(recipe))
    for name in COPIED:
        if (run / chosen / name).is_file():
            files.write_file(run / name, (run / chosen / name).read_bytes())
    _copy_folder(run / chosen / MODEL, run / MODEL)
    say(f"The report is in {write_report(run)}")
    return chosen


def _chosen(results: dict[str, Row]) -> tuple[str, str]:
    """The run with the best main figure on the validation split, of equal ones the first; and why."""
    first = next(iter(results))
    row = results[first]["splits"].get(VALIDATION)
    if row is None or not row["figures"]:
        return first, "the first, since there is no labelled validation data"
    main = row["main"]
    values = {name: result["splits"][VALIDATION]["figures"][main]["value"] for name, result in results.items()}
    better = min if row["figures"][main].get("lower_is_better") else max
    best = better(values, key=lambda name: values[name])
    return best, f"the best {main} on the validation split"


def _spread(rows: Sequence[Row]) -> Row:
    """Metric → mean, deviation (of the sample), least and greatest of the runs' figures."""
    spread: Row = {}
    for name, figure in rows[0]["figures"].items():
        values = [row["figures"][name]["value"] for row in rows]
        spread[name] = {
            "mean": statistics.fmean(values),
            "deviation": statistics.stdev(values),
            "least": min(values),
            "greatest": max(values),
            "percent": figure["percent"],
        }
    return spread


def _shown(row: Row) -> str:
    times, digits = (100, 2) if row["percent"] else (1, 4)
    mean, deviation, least, greatest = (
        f"{times * row[key]:.{digits}f}" for key in ("mean", "deviation", "least", "greatest")
    )
    return f"{mean} ± {deviation} ({least} to {greatest})"


def _summarise_folds(recipe: FinetuneRecipe, run: Path, data: Data, parts: Sequence[Sequence[Any]]) -> None:
    names = [f"fold-{fold}" for fold in range(len(parts))]
    task, setting = fitted(recipe, data.train, open_base(recipe, data.train, run / names[0]))
    examples = [example for part in parts for example in part]
    predictions = [line for name in names for line in read_predictions(run / name / PREDICTIONS)]
    rows = [files.read_json(run / name / RESULTS)["splits"][VALIDATION] for name in names]
    together = judged(task, examples, predictions, setting)
    say(describe_figures("folds", together))
    spread = _spread(rows)
    results = files.read_json(run / RESULTS)
    folds = {**together, "runs": [{"run": name, **row} for name, row in zip(names, rows, strict=True)]}
    files.write_json(
        run / RESULTS, {**results, "splits": {"folds": folds, **results["splits"]}, "spread": {"folds": spread}}
    )
    for name, row in spread.items():
        say(f"folds: {name} {_shown(row)}")
    write_report(run)


def _copy_folder(source: Path, target: Path) -> None:
    manifest = files.verify_folder(source)
    facts = {key: value for key, value in manifest.items() if key != "files"}
    with files.new_folder(target, facts=facts, replace=True) as folder:
        for name in manifest["files"]:
            folder.write(name, (source / name).read_bytes())
