"""Commands that look at folders, vocabularies, files of others and the machine."""

from pathlib import Path
from typing import Annotated

import typer

from lexloom.cli.shared import Folder, Json, app, print_result


@app.command(rich_help_panel="Look")
def show(folder: Folder, json: Json = False) -> None:
    """Explain any prepared, run or model folder, and verify its hashes.

    Example: lexloom show run/model
    """
    from lexloom.stages import show as stage

    print_result(stage.show(folder), stage.describe, json=json)


@app.command(rich_help_panel="Look")
def tokenizer(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A prepared or model folder, or a vocabulary.")],
    texts: Annotated[list[str], typer.Argument(metavar="TEXT...", help="Text files, folders or patterns.")],
    json: Json = False,
) -> None:
    """Measure a tokenizer on texts: fertility, bytes per token, unknown tokens, by script.

    Example: lexloom tokenizer run/model poems/*.txt
    """
    from lexloom.stages import tokenizer as stage

    print_result(stage.tokenizer(folder, texts), stage.describe, json=json)


@app.command("import", rich_help_panel="Look")
def import_(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A .gguf or .arpa file, word vectors (.txt .vec .bin), AllenNLP's folder."),
    ],
    out: Annotated[Path, typer.Argument(metavar="FOLDER", help="The model folder to make.")],
) -> None:
    """Make a model folder of GGUF (extra gguf), of n-grams (ARPA), of word vectors, or of AllenNLP's ELMo (extra elmo).

    Example: lexloom import SmolLM2-135M-Instruct.Q4_1.gguf smollm2

    Example: lexloom import glove.6B.50d.txt glove
    """
    from lexloom.base.console import say
    from lexloom.stages.exchange import import_file

    say(import_file(file, out))


@app.command(rich_help_panel="Look")
def export(
    folder: Folder,
    out: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
    format: Annotated[
        str | None,
        typer.Option(help="word2vec, word2vec-binary, glove, arpa; unset: by the file's name, or the model's family."),
    ] = None,
) -> None:
    """Write a model in another tool's format: word vectors as word2vec's or GloVe's, n-grams as ARPA.

    Example: lexloom export run/model vectors.txt

    Example: lexloom export run/model vectors.bin

    Example: lexloom export run/model model.arpa
    """
    from lexloom.base.console import say
    from lexloom.stages.exchange import export_file

    say(export_file(folder, out, format=format))


@app.command(rich_help_panel="Look")
def doctor(json: Json = False) -> None:
    """Look at this machine: what is installed, how fast it is, what will be slow and how to mend it."""
    from lexloom.stages import doctor as stage

    print_result(stage.doctor(), stage.describe, json=json)
