"""`lexloom compare RECIPE`: named models × one corpus × one budget become one table, one picture and one page.

Each model has a run folder of its own under models/, made by the ordinary stages one after the other: the same command
on the same folder goes on where it was stopped, and leaves alone what is finished. Models may be added later.
"""

import tomllib
from pathlib import Path
from typing import Any

from lexloom.base import files
from lexloom.base.console import aligned, duration, say, size
from lexloom.base.errors import FolderError
from lexloom.base.recipe import to_toml
from lexloom.evaluate.every_pair import every_pair
from lexloom.evaluate.perplexity import compare as compare_scores
from lexloom.evaluate.perplexity import evaluate as summarise
from lexloom.generate.reply import continue_texts
from lexloom.generate.settings import SamplingSettings
from lexloom.generate.text import collect
from lexloom.models.folder import load_model
from lexloom.report.compare import picture, render_comparison
from lexloom.report.page import REPORT
from lexloom.report.read import PICTURE, Run, number, read_run
from lexloom.stages import prepare as preparing
from lexloom.stages.compare_recipe import CompareRecipe, SamplesSection, check_names, pretraining_recipe
from lexloom.stages.compare_tasks import compare_tasks
from lexloom.stages.evaluate import RESULTS, Results, Text, score
from lexloom.stages.opening import MODEL, RECIPE
from lexloom.stages.pretrain import pretrain
from lexloom.text.readers import DataSettings

MODELS = "models"
PREPARED = "prepared"


def compare(recipe: CompareRecipe, out: Path) -> Results:
    """Train what isn't trained yet, measure all models on the same held-out text or examples, and write the page.

    Returns, and writes to out/results.json: {models, pairs, …}, see `compare_writers` and `compare_tasks`; beside it
    report.html and picture.svg. Raises FolderError if `out` was begun with other settings, RecipeError, and what the
    stages raise.
    """
    check_names(recipe)
    with files.lock(out):
        _begin(recipe, out)
        results = compare_tasks(recipe, out / MODELS) if recipe.labelled else compare_writers(recipe, out)
        write_comparison(results, out)
    return {**results, "report": str(out / REPORT)}


def write_comparison(results: Results, out: Path) -> None:
    """Write results.json, report.html and picture.svg."""
    files.write_json(out / RESULTS, results)
    files.write_file(out / REPORT, render_comparison(results))
    files.write_file(out / PICTURE, picture(results))


def compare_writers(recipe: CompareRecipe, out: Path) -> Results:
    """Train the language models of a recipe and compare them, see `compare_runs`."""
    recipes = {name: pretraining_recipe(recipe, name) for name in recipe.models}
    prepared = _prepared(recipe, out)
    for number_, (name, one) in enumerate(recipes.items(), start=1):
        say(f"\n{number_}/{len(recipes)}  {name}")
        pretrain(one, prepared, out / MODELS / name)
    runs = {name: out / MODELS / name for name in recipes}
    return {"budget": recipe.budget.model_dump(exclude_none=True), **compare_runs(runs, prepared, recipe.samples)}


def compare_runs(runs: dict[str, Path], prepared: Path, samples: SamplesSection) -> Results:
    """Compare the models of finished runs on the validation part of the prepared folder that they learned from.

    Returns {kind, data, models: [{name, family, parameters, tokens, seconds, bits_per_byte, curve, samples, run}],
    pairs: [{first, second, value, low, high, p, corrected_p, real}]}; a curve is a list of (seconds of training, bits
    per byte).
    """
    text = Text([str(prepared)], DataSettings())
    scores, rows = [], []
    for name, folder in runs.items():
        contents, run = load_model(folder / MODEL), read_run(folder)
        scores.append(score(name, contents, text))
        found = summarise(scores[-1]).to_json()
        rows.append(
            {
                "name": name,
                "family": contents.family,
                "parameters": run.parameters,
                "tokens": run.tokens,
                "seconds": run.seconds,
                "bits_per_byte": found["bits_per_byte"],
                "perplexity_per_token": found["perplexity_per_token"],
                "curve": curve_of(run),
                "samples": _samples(contents, samples),
                "run": str(folder),
            }
        )
    return {
        "kind": "language models",
        "data": {"prepared": str(prepared), "documents": len(scores[0].nats), "bytes": int(scores[0].utf8_bytes.sum())},
        "models": rows,
        "pairs": every_pair(list(runs), lambda one, two: compare_scores(scores[one], scores[two])),
    }


def curve_of(run: Run) -> list[tuple[float, float]]:
    """(seconds of training, bits per byte) of every measurement on the validation split."""
    steps, seconds = run.metrics.steps["step"], run.metrics.steps["seconds"]
    points = []
    for row in run.metrics.validations:
        spent = float(seconds[steps <= number(row["step"])].sum()) if steps.size else run.seconds
        points.append((spent, number(row.get("bits_per_byte"))))
    return points


def describe(results: Results) -> str:
    """The comparison for people: the table, what can't be told apart, and where the page is."""
    labelled = results["kind"] == "task"
    rows = [("", results["metric"] if labelled else "bits per byte", "parameters", "time")]
    for model in results["models"]:
        best = model["points"][-1] if labelled else model
        rows.append((model["name"], _shown(results, best), size(model["parameters"], ""), duration(best["seconds"])))
    alike = [f"{pair['first']} and {pair['second']}" for pair in results["pairs"] if not pair.get("real")]
    notes = f"Can't be told apart: {'; '.join(alike)}." if alike else "All differences are real."
    where = f"The page is {results['report']}" if "report" in results else ""
    return "\n".join([aligned(rows, right=(2, 3)), "", notes, where]).rstrip()


def _shown(results: Results, row: Results) -> str:
    figure = row["figure"] if "figure" in row else row["bits_per_byte"]
    times, digits = (100, 1) if results.get("percent") else (1, 3)
    value = f"{times * figure['value']:.{digits}f}"
    if figure["low"] is None:
        return value
    return f"{value} ({times * figure['low']:.{digits}f}–{times * figure['high']:.{digits}f})"


def _begin(recipe: CompareRecipe, out: Path) -> None:
    """Keep the recipe; refuse to go on with one that would make the models' figures incomparable."""
    place = out / RECIPE
    text = to_toml(recipe)
    if place.is_file():
        old, new = tomllib.loads(place.read_text(encoding="utf-8")), tomllib.loads(text)
        models = {*old.get("models", {})} & {*recipe.models}
        changed = [key for key in sorted({*old, *new} - {"models", "samples"}) if old.get(key) != new.get(key)]
        changed += [f"models.{name}" for name in sorted(models) if old["models"][name] != new["models"][name]]
        if changed:
            raise FolderError(
                f"was begun with other settings: {', '.join(changed)}", where=str(out), fix="Name another folder."
            )
    files.write_file(place, text)


def _prepared(recipe: CompareRecipe, out: Path) -> Path:
    if recipe.prepared is not None:
        return Path(recipe.prepared)
    if not (out / PREPARED / files.MANIFEST).is_file():
        say(preparing.describe(preparing.prepare(recipe.prepare, out / PREPARED)))
    return out / PREPARED


def _samples(contents: Any, samples: SamplesSection) -> list[dict[str, str]]:
    settings = SamplingSettings.model_validate(samples.model_dump(exclude={"beginnings"}))
    replies = collect(continue_texts(contents, samples.beginnings, settings), rows=len(samples.beginnings))
    return [{"prompt": prompt, "text": reply.text} for prompt, reply in zip(samples.beginnings, replies, strict=True)]
