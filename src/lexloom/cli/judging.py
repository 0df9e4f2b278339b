"""Commands that say how good a model is, and why it answers as it does."""

from pathlib import Path
from typing import Annotated

import typer

from lexloom.cli.shared import Folder, Json, Overrides, RecipeFile, app, files_and_task, print_result


@app.command(rich_help_panel="Judge")
def evaluate(
    folders: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL...] [task.KEY=VALUE] [prompt.KEY=VALUE]...",
            help="Model folders, settings of their task, and how untrained decoders are asked to do it.",
        ),
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option(help="A prepared folder, text files, or labelled examples; may be repeated.")
    ] = None,
    shots: Annotated[
        list[int] | None, typer.Option(help="How many examples a decoder is shown of a task; may be repeated.")
    ] = None,
    examples: Annotated[
        list[str] | None, typer.Option(help="Labelled examples to show, as --data; may be repeated.")
    ] = None,
    predictions: Annotated[
        list[str] | None, typer.Option(help="Saved predictions to judge, without a model; may be repeated.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A folder for results.json.")] = None,
    json: Json = False,
) -> None:
    """Say how good models are, with intervals, and whether they really differ.

    Language models are judged by how well they predict a text, fine-tuned models by labelled examples. A decoder does a
    task that it was not trained for where the task is named: by the likelihood of each answer, after a few examples.

    Example: lexloom evaluate run-a/model run-b/model --data test.csv

    Example: lexloom evaluate smollm2 --data test.csv --examples train.csv --shots 0 --shots 8 task.name=classify

    Example: lexloom evaluate --predictions a.jsonl --predictions b.jsonl --data test.csv task.name=classify
    """
    from lexloom.stages import evaluating as stage

    words, task = files_and_task(folders)
    models, prompt = files_and_task(words, "prompt")
    results = stage.evaluate(
        models,
        data or (),
        predictions=predictions or (),
        changes=task,
        prompt=prompt,
        shots=shots or (),
        examples=examples or (),
        out=out,
    )
    print_result(results, stage.describe, json=json)


@app.command(rich_help_panel="Judge")
def compare(
    recipe: RecipeFile,
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option(help="The folder of the comparison, to make or to go on with.")] = Path(
        "comparison"
    ),
    json: Json = False,
) -> None:
    """Train several models on the same text or labels with the same budget, and set them side by side.

    The same command on an interrupted comparison goes on where it stopped, and leaves finished models alone.

    Example: lexloom compare recipes/compare-tangshi.toml --out comparison budget.minutes=1
    """
    from lexloom.base.recipe import load_recipe
    from lexloom.stages import compare as stage
    from lexloom.stages.compare_recipe import CompareRecipe

    print_result(stage.compare(load_recipe(CompareRecipe, recipe, overrides or ()), out), stage.describe, json=json)


@app.command(rich_help_panel="Judge")
def explain(
    folder: Folder,
    texts: Annotated[
        list[str], typer.Argument(metavar="TEXT...", help="Texts; `<e1>…</e1>` and `<e2>…</e2>` mark a relation.")
    ],
    pair: Annotated[
        list[str] | None, typer.Option(help="The second text of a pair, a question's passage, a candidate of a choice.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="What to explain instead of the answer: a label, a type.")] = None,
    method: Annotated[list[str] | None, typer.Option(help="gradients, occlusion or attention; unset: all.")] = None,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("explain.html"),
    json: Json = False,
) -> None:
    """Show why a fine-tuned model answers as it does: what each word adds, and where it looks.

    Example: lexloom explain run/model "这部电影真好看" --out why.html
    """
    from lexloom.stages import explain as stage

    result = stage.explain(folder, texts, pairs=pair or (), label=label, methods=method or (), out=out)
    print_result(result, stage.describe, json=json)


@app.command(rich_help_panel="Judge")
def report(folder: Folder, json: Json = False) -> None:
    """Write the page about a run again, finished or not.

    Example: lexloom report run
    """
    from lexloom.stages import report as stage

    print_result(stage.report(folder), stage.describe, json=json)
