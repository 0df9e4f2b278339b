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
    file: Annotated[Path, typer.Argument(metavar="FILE.gguf|ELMO", help="A GGUF file, or a folder of AllenNLP's.")],
    out: Annotated[Path, typer.Argument(metavar="FOLDER", help="The model folder to make.")],
) -> None:
    """Make a model folder of a GGUF file (extra gguf), or of AllenNLP's options.json and weights.hdf5 (extra elmo).

    Example: lexloom import SmolLM2-135M-Instruct.Q4_1.gguf smollm2
    """
    from lexloom.base.console import say
    from lexloom.models.allennlp import import_elmo, is_elmo
    from lexloom.models.gguf import import_gguf

    if is_elmo(file):
        import_elmo(file, out)
        say(f"Made {out}. Next: lexloom finetune model.folder={out} task.name=tag data.train=FILE")
        return
    import_gguf(file, out)
    say(f"Made {out}. Next: lexloom chat {out}")


@app.command(rich_help_panel="Look")
def doctor(json: Json = False) -> None:
    """Look at this machine: what is installed, how fast it is, what will be slow and how to mend it."""
    from lexloom.stages import doctor as stage

    print_result(stage.doctor(), stage.describe, json=json)
