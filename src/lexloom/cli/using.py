"""Commands that let a model write, answer and read."""

import sys
from pathlib import Path
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
from lexloom.serve.settings import LOOPBACK


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

    Example: lexloom generate run/model "Is it raining?" 'regex=(Yes|No), because [a-z ]{5,40}'
    """
    from lexloom.base.recipe import load_recipe
    from lexloom.generate.settings import FormedSettings
    from lexloom.stages.generate import generate as run

    text = sys.stdin.read() if prompt == STDIN else prompt
    run(folder, text, load_recipe(FormedSettings, None, settings or ()), json=json)


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
def neighbours(
    folder: Folder,
    words: Annotated[list[str], typer.Argument(metavar="WORD...", help="Words to look up.")],
    top: Annotated[int, typer.Option(min=1, help="How many are shown.")] = 10,
    analogy: Annotated[
        bool, typer.Option("--analogy", help="Of three words: what is to the third as the second is to the first.")
    ] = False,
    json: Json = False,
) -> None:
    """Show the words whose vectors are nearest to a word's.

    Example: lexloom neighbours run/model moon 月光

    Example: lexloom neighbours run/model man king woman --analogy
    """
    from lexloom.stages import words as stage

    print_result(stage.neighbours(folder, words, top=top, analogy=analogy), stage.describe_neighbours, json=json)


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


@app.command(rich_help_panel="Use")
def serve(
    folders: Annotated[
        list[str], typer.Argument(metavar="[NAME=]FOLDER...", help="Model folders, and the names that clients use.")
    ],
    host: Annotated[
        str, typer.Option(help="The address to listen on; beyond this machine only with a key.")
    ] = LOOPBACK,
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    key_file: Annotated[
        Path | None, typer.Option(help="A file of keys, one a line; LEXLOOM_KEY may hold one more.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A further name of this server, such as a proxy's; may be repeated.")
    ] = None,
    log_prompts: Annotated[bool, typer.Option("--log-prompts", help="Write what people ask into the log.")] = False,
) -> None:
    """Answer over HTTP: OpenAI's routes and those of tasks (needs the extra serve).

    Example: lexloom serve run/model sentiment=reviews/model --port 8000
    """
    from lexloom.serve.settings import ServeSettings, read_keys
    from lexloom.serve.start import serve as run

    settings = ServeSettings(
        host=host,
        port=port,
        keys=read_keys(key_file),
        allowed_hosts=tuple(allow_host or ()),
        log_prompts=log_prompts,
    )
    raise typer.Exit(run(folders, settings))
