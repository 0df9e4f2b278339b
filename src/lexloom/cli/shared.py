"""What commands share: the application, kinds of arguments, and how results are shown."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

STDIN = "-"

app = typer.Typer(
    name="lexloom",
    help="From raw text to a language model, on the machine you have.",
    epilog="Exit codes: 0 done, 2 something you can mend, 3 a run stopped itself, 4 a file is damaged, "
    "130 and 143 interrupted after saving.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe, a TOML file.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings that win over the recipe: train.lr=3e-4")
]
Sampling = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="max_tokens, temperature, top_k, top_p, min_p, seed, stop, …"),
]
Prepared = Annotated[Path, typer.Option("--data", help="The prepared folder.")]
Folder = Annotated[Path, typer.Argument(metavar="FOLDER")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]


def read_recipe(file: Path, overrides: list[str] | None) -> Any:
    """A recipe of preparing and pre-training."""
    from lexloom.base.recipe import load_recipe
    from lexloom.stages.recipe import Recipe

    return load_recipe(Recipe, file, overrides or ())


def read_sampling(settings: list[str] | None) -> Any:
    """How a reply is sampled."""
    from lexloom.base.recipe import load_recipe
    from lexloom.generate.settings import SamplingSettings

    return load_recipe(SamplingSettings, None, settings or ())


def files_and_task(words: list[str] | None, section: str = "task") -> tuple[list[str], dict[str, Any]]:
    """Words of a command line: files, and `task.key=value` settings (or those of another section)."""
    from lexloom.base.recipe import parse_overrides

    settings = [word for word in words or () if word.startswith(f"{section}.") and "=" in word]
    task = parse_overrides(settings).get(section, {})
    return [word for word in words or () if word not in settings], task


def print_result(result: Any, describe: Callable[[Any], str], *, json: bool) -> None:
    """For people, or with `--json` for programs."""
    from lexloom.base.console import print_json

    if json:
        print_json(dataclasses.asdict(result) if dataclasses.is_dataclass(result) else result)  # type: ignore[arg-type]
    else:
        typer.echo(describe(result))


def print_beside(result: Any, describe: Callable[[Any], str], *, out: str, json: bool) -> None:
    """As `print_result`, but where rows went to standard output, what is told of them goes to people only."""
    from lexloom.base.console import say

    if out == STDIN:
        say(describe(result))
    else:
        print_result(result, describe, json=json)
