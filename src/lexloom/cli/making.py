"""Commands that make folders: from texts and tables to models."""

from pathlib import Path
from typing import Annotated

import typer

from lexloom.cli.shared import Json, Overrides, Prepared, RecipeFile, app, files_and_task, print_result, read_recipe


@app.command(rich_help_panel="Make")
def init(
    recipe: RecipeFile,
    sources: Annotated[list[str], typer.Argument(metavar="TEXT...", help="Text files, folders or patterns.")],
) -> None:
    """Write a recipe to begin with, every setting explained in it.

    Example: lexloom init my.toml poems/*.txt
    """
    from lexloom.base.console import say
    from lexloom.stages.init import init as run

    say(f"Wrote {run(recipe, sources=sources)}. Next: lexloom prepare {recipe} --out prepared")


@app.command(rich_help_panel="Make")
def prepare(
    recipe: RecipeFile,
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option(help="The prepared folder to make.")] = Path("prepared"),
    replace: Annotated[bool, typer.Option("--replace", help="Replace an existing prepared folder.")] = False,
    json: Json = False,
) -> None:
    """Text in, tokens out: clean, redact, drop duplicates, split, train a tokenizer, tokenise.

    Example: lexloom prepare my.toml --out prepared prepare.tokenizer.vocab_size=8000
    """
    from lexloom.stages import prepare as stage

    print_result(stage.prepare(read_recipe(recipe, overrides).prepare, out, replace=replace), stage.describe, json=json)


@app.command(rich_help_panel="Make")
def plan(
    recipe: RecipeFile, overrides: Overrides = None, data: Prepared = Path("prepared"), json: Json = False
) -> None:
    """State tokens, steps, memory, disk and time of a run before it, from a few measured steps.

    A recipe that names a task is one for `finetune`, any other for `pretrain`.
    Example: lexloom plan my.toml --data prepared train.context=512
    """
    from lexloom.base.recipe import load_recipe, named_sections
    from lexloom.stages import plan as stage
    from lexloom.stages.finetune_recipe import FinetuneRecipe

    if "task" in named_sections(recipe, overrides or ()):
        planned = stage.plan_finetuning(load_recipe(FinetuneRecipe, recipe, overrides or ()))
    else:
        planned = stage.plan(read_recipe(recipe, overrides), data)
    print_result(planned, stage.describe, json=json)


@app.command(rich_help_panel="Make")
def pretrain(
    recipe: RecipeFile,
    overrides: Overrides = None,
    data: Prepared = Path("prepared"),
    out: Annotated[Path, typer.Option(help="The run folder to make or to go on with.")] = Path("run"),
    allow_change: Annotated[
        list[str] | None, typer.Option(help="A setting that may differ from those the run began with.")
    ] = None,
    step: Annotated[int | None, typer.Option(help="Go on from this checkpoint and discard later ones.")] = None,
    json: Json = False,
) -> None:
    """Train a model; the same command on an interrupted run goes on where it stopped, exactly.

    Example: lexloom pretrain my.toml --data prepared --out run train.minutes=30
    """
    from lexloom.stages import pretrain as stage

    recipe_read = read_recipe(recipe, overrides)
    print_result(
        stage.pretrain(recipe_read, data, out, allow_change=allow_change or (), step=step), stage.describe, json=json
    )


@app.command("check-data", rich_help_panel="Make")
def check_data(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="FILE... [task.KEY=VALUE]...", help="Training data, and settings of the task."),
    ],
    validation: Annotated[list[str] | None, typer.Option(help="Validation data; may be repeated.")] = None,
    test: Annotated[list[str] | None, typer.Option(help="Test data; may be repeated.")] = None,
    model: Annotated[Path | None, typer.Option(help="A model folder, to count lengths in its tokens.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="The limit that lengths are held against.")] = None,
    json: Json = False,
) -> None:
    """Look labelled data over before training: balance, copies, contradictions, lengths, with line numbers.

    Example: lexloom check-data train.csv --test test.csv --model minilm task.name=classify task.text=review
    """
    from lexloom.stages import check_data as stage

    files, task = files_and_task(sources)
    splits = {"train": files, "validation": validation or [], "test": test or []}
    name = str(task.pop("name", "classify"))
    print_result(stage.check_data(name, task, splits, model=model, max_tokens=max_tokens), stage.describe, json=json)


@app.command(rich_help_panel="Make")
def finetune(
    recipe: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RECIPE] [KEY=VALUE]...", help="A recipe, a TOML file, and settings that win over it."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The run folder to make or to go on with.")] = Path("run"),
    allow_change: Annotated[
        list[str] | None, typer.Option(help="A setting that may differ from those the run began with.")
    ] = None,
    step: Annotated[int | None, typer.Option(help="Go on from this checkpoint and discard later ones.")] = None,
    json: Json = False,
) -> None:
    """Teach a pre-trained model a task from labelled examples; interrupted runs go on where they stopped, exactly.

    Example: lexloom finetune task.name=classify model.folder=minilm data.train=train.csv --out run train.epochs=3
    """
    from lexloom.base.recipe import load_recipe
    from lexloom.stages import finetune as stage
    from lexloom.stages.finetune_recipe import FinetuneRecipe

    words = recipe or []
    file = Path(words[0]) if words and "=" not in words[0] else None
    recipe_read = load_recipe(FinetuneRecipe, file, words[0 if file is None else 1 :])
    print_result(
        stage.finetune(recipe_read, out, allow_change=allow_change or (), step=step), stage.describe, json=json
    )


@app.command(rich_help_panel="Make")
def demo(
    out: Annotated[Path, typer.Option(help="The folder for everything it makes.")] = Path("demo"),
    json: Json = False,
) -> None:
    """The whole line on bundled Chinese and English text: about eight minutes on two cores."""
    from lexloom.stages import demo as stage

    print_result(stage.demo(out), stage.describe, json=json)
