"""Commands that let a model write, answer and read."""

import sys
from typing import Annotated

import typer

from lexloom.cli.shared import (
    STDIN,
    Folder,
    Json,
    Sampling,
    app,
    files_and_task,
    print_beside,
    print_result,
    read_sampling,
)


@app.command(rich_help_panel="Use")
def generate(
    folder: Folder,
    prompt: Annotated[str, typer.Argument(help="The beginning of a text; - reads it from standard input.")],
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...", help="max_tokens, temperature, top_k, seed, stop, …, or beams, n_best, …"
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Continue a text, or search for its most probable continuations.

    Example: lexloom generate run/model "春眠不覺曉" max_tokens=60 temperature=0.7 seed=1

    Example: lexloom generate run/model "春眠不覺曉" max_tokens=20 beams=4 n_best=4 no_repeat_ngram=3
    """
    from lexloom.base.recipe import load_recipe
    from lexloom.generate.settings import GenerateSettings
    from lexloom.stages.generate import generate as run

    text = sys.stdin.read() if prompt == STDIN else prompt
    run(folder, text, load_recipe(GenerateSettings, None, settings or ()), json=json)


@app.command(rich_help_panel="Use")
def chat(
    folder: Folder,
    settings: Sampling = None,
    system: Annotated[str | None, typer.Option(help="Instructions that stand before the conversation.")] = None,
    chat_format: Annotated[
        str | None, typer.Option("--format", help="The chat format, if it isn't recognised.")
    ] = None,
) -> None:
    """Talk with a model; one message a line, Ctrl-D ends.

    Example: lexloom chat smollm2 temperature=0
    """
    from lexloom.stages.chat import chat as run

    run(folder, read_sampling(settings), format_name=chat_format, system=system)


@app.command(rich_help_panel="Use")
def predict(
    folder: Folder,
    sources: Annotated[
        list[str],
        typer.Argument(metavar="FILE... [task.KEY=VALUE]...", help="Tables (- is stdin), and settings of the task."),
    ],
    out: Annotated[
        str, typer.Option(help="A .jsonl, .csv or .tsv to write, or a .txt of answers; - is JSON lines on stdout.")
    ] = STDIN,
    lines: Annotated[bool, typer.Option("--lines", help="Write the answers alone, a line each.")] = False,
    json: Json = False,
) -> None:
    """Write every row of a table with what a fine-tuned model says to it.

    Example: lexloom predict run/model new.csv --out answers.csv task.text=review task.long_texts=windows

    Example: lexloom predict translator/model letter.txt --out brief.txt
    """
    from lexloom.stages import predict as stage

    files, task = files_and_task(sources)
    print_beside(stage.predict(folder, files, out=out, lines=lines, changes=task), stage.describe, out=out, json=json)


@app.command(rich_help_panel="Use")
def embed(
    folder: Folder,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE... [task.KEY=VALUE]...", help="Tables, or texts of a sentence a line; - is stdin."
        ),
    ],
    out: Annotated[str, typer.Option(help="A .npy or .jsonl to write; - is JSON lines on stdout.")] = STDIN,
    pooling: Annotated[str | None, typer.Option(help="mean or cls; left out: as the folder says.")] = None,
    normalise: Annotated[
        bool | None, typer.Option("--normalise/--no-normalise", help="Vectors of length 1; left out: as it says.")
    ] = None,
    json: Json = False,
) -> None:
    """Turn every row's text into a vector.

    Example: lexloom embed minilm sentences.txt --out vectors.npy
    """
    from lexloom.stages import embed as stage

    files, task = files_and_task(sources)
    result = stage.embed(folder, files, out=out, pooling=pooling, normalise=normalise, changes=task)
    print_beside(result, stage.describe, out=out, json=json)


@app.command(rich_help_panel="Use")
def fill(
    folder: Folder,
    text: Annotated[str, typer.Argument(help="A text with a mask, such as [MASK], or several.")],
    settings: Annotated[list[str] | None, typer.Argument(metavar="[top=N]", help="Candidates for each mask.")] = None,
    json: Json = False,
) -> None:
    """Say what a masked language model puts in the place of a mask.

    Example: lexloom fill bert "Paris is the [MASK] of France." top=5
    """
    from lexloom.base.recipe import load_recipe
    from lexloom.stages import fill as stage

    top = load_recipe(stage.FillSettings, None, settings or ()).top
    print_result(stage.fill(folder, text, top=top), stage.describe, json=json)
