"""Commands around the studio: the page with all that models can do, and what people voted in it."""

from pathlib import Path
from typing import Annotated

import typer

from lexloom.cli.shared import Json, app, print_result
from lexloom.serve.settings import LOOPBACK


@app.command(rich_help_panel="Use")
def studio(
    folders: Annotated[
        list[str] | None, typer.Argument(metavar="[[NAME=]FOLDER]...", help="Model folders, and their names.")
    ] = None,
    runs: Annotated[Path | None, typer.Option(help="A folder of runs, to be watched while they learn.")] = None,
    compare: Annotated[Path | None, typer.Option(help="A folder that `lexloom compare` wrote.")] = None,
    votes: Annotated[
        Path | None, typer.Option(help="Let people judge models blindly, and keep their votes in this SQLite file.")
    ] = None,
    prompts: Annotated[Path | None, typer.Option(help="What models are to answer when judged, a line each.")] = None,
    host: Annotated[
        str, typer.Option(help="The address to listen on; beyond this machine only with a key.")
    ] = LOOPBACK,
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    key_file: Annotated[Path | None, typer.Option(help="A file of keys, one a line.")] = None,
    browse: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
) -> None:
    """Open a page in which to write, chat, classify, explain, watch runs and judge models (needs the extra serve).

    Example: lexloom studio run/model sentiment/model --runs .

    Example: lexloom studio small=a/model large=b/model --votes votes.sqlite --prompts prompts.txt
    """
    from lexloom.base.errors import UserError
    from lexloom.serve.settings import ServeSettings, read_keys
    from lexloom.serve.start import serve
    from lexloom.serve.studio.settings import StudioSettings, read_prompts

    if not folders and runs is None and compare is None:
        raise UserError("there is nothing to show", fix="Name model folders, --runs FOLDER or --compare FOLDER.")
    shown = StudioSettings(runs=runs, compare=compare, votes=votes, prompts=read_prompts(prompts))
    settings = ServeSettings(host=host, port=port, keys=read_keys(key_file))
    raise typer.Exit(serve(folders or (), settings, shown, browse=browse))


@app.command(rich_help_panel="Judge")
def votes(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `lexloom studio --votes FILE` kept.")],
    out: Annotated[Path | None, typer.Option(help="A .jsonl to write all votes to.")] = None,
    json: Json = False,
) -> None:
    """Say which models people prefer, with intervals, and whether it may be chance.

    Example: lexloom votes votes.sqlite --out votes.jsonl
    """
    from lexloom.serve import votes as kept

    print_result(kept.judge(file, out=out), kept.describe, json=json)
