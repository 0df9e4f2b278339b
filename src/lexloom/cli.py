"""The command line: thin commands over the plain functions in `stages`, imported only when they are called.

Every stage module offers the function that works and `describe`, which puts its result into words.
"""

import dataclasses
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from lexloom import __version__
from lexloom.base.errors import EXIT_USER, UserError

INTERRUPTED = 130
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


def main() -> None:
    """Run a command; what a user can mend ends in a message and an exit code, never in a traceback."""
    try:
        app()
    except UserError as error:
        _explain(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader has left, as in `lexloom show run | head`; Python must not complain again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        # A full disk, a missing permission: the system's words name the file and the reason
        _explain(UserError(error.strerror or str(error), where=error.filename and str(error.filename)))
        sys.exit(EXIT_USER)


@app.command()
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


@app.command()
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

    _show(stage.prepare(_recipe(recipe, overrides).prepare, out, replace=replace), stage.describe, json=json)


@app.command()
def plan(
    recipe: RecipeFile, overrides: Overrides = None, data: Prepared = Path("prepared"), json: Json = False
) -> None:
    """State tokens, steps, memory, disk and time of a run before it, from a few measured steps.

    Example: lexloom plan my.toml --data prepared train.context=512
    """
    from lexloom.stages import plan as stage

    _show(stage.plan(_recipe(recipe, overrides), data), stage.describe, json=json)


@app.command()
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

    recipe_read = _recipe(recipe, overrides)
    _show(stage.pretrain(recipe_read, data, out, allow_change=allow_change or (), step=step), stage.describe, json=json)


@app.command()
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
    _show(stage.finetune(recipe_read, out, allow_change=allow_change or (), step=step), stage.describe, json=json)


@app.command()
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

    words, task = _files_and_task(folders)
    models, prompt = _files_and_task(words, "prompt")
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
    _show(results, stage.describe, json=json)


@app.command()
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

    files, task = _files_and_task(sources)
    _show_beside(stage.predict(folder, files, out=out, lines=lines, changes=task), stage.describe, out=out, json=json)


@app.command()
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

    files, task = _files_and_task(sources)
    result = stage.embed(folder, files, out=out, pooling=pooling, normalise=normalise, changes=task)
    _show_beside(result, stage.describe, out=out, json=json)


@app.command()
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
    _show(stage.fill(folder, text, top=top), stage.describe, json=json)


@app.command("check-data")
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

    files, task = _files_and_task(sources)
    splits = {"train": files, "validation": validation or [], "test": test or []}
    name = str(task.pop("name", "classify"))
    _show(stage.check_data(name, task, splits, model=model, max_tokens=max_tokens), stage.describe, json=json)


@app.command()
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


@app.command()
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

    run(folder, _sampling(settings), format_name=chat_format, system=system)


@app.command()
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
    _show(result, stage.describe, json=json)


@app.command()
def report(folder: Folder, json: Json = False) -> None:
    """Write the page about a run again, finished or not.

    Example: lexloom report run
    """
    from lexloom.stages import report as stage

    _show(stage.report(folder), stage.describe, json=json)


@app.command()
def show(folder: Folder, json: Json = False) -> None:
    """Explain any prepared, run or model folder, and verify its hashes.

    Example: lexloom show run/model
    """
    from lexloom.stages import show as stage

    _show(stage.show(folder), stage.describe, json=json)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE.gguf")],
    out: Annotated[Path, typer.Argument(metavar="FOLDER", help="The model folder to make.")],
) -> None:
    """Make a model folder of a GGUF file (needs the extra gguf).

    Example: lexloom import SmolLM2-135M-Instruct.Q4_1.gguf smollm2
    """
    from lexloom.base.console import say
    from lexloom.models.gguf import import_gguf

    import_gguf(file, out)
    say(f"Made {out}. Next: lexloom chat {out}")


@app.command()
def tokenizer(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A prepared or model folder, or a vocabulary.")],
    texts: Annotated[list[str], typer.Argument(metavar="TEXT...", help="Text files, folders or patterns.")],
    json: Json = False,
) -> None:
    """Measure a tokenizer on texts: fertility, bytes per token, unknown tokens, by script.

    Example: lexloom tokenizer run/model poems/*.txt
    """
    from lexloom.stages import tokenizer as stage

    _show(stage.tokenizer(folder, texts), stage.describe, json=json)


@app.command()
def doctor(json: Json = False) -> None:
    """Look at this machine: what is installed, how fast it is, what will be slow and how to mend it."""
    from lexloom.stages import doctor as stage

    _show(stage.doctor(), stage.describe, json=json)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="The folder for everything it makes.")] = Path("demo"),
    json: Json = False,
) -> None:
    """The whole line on bundled Chinese and English text: about eight minutes on two cores."""
    from lexloom.stages import demo as stage

    _show(stage.demo(out), stage.describe, json=json)


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=lambda wanted: _print_version(wanted), is_eager=True)
    ] = False,
) -> None:
    pass


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


def _recipe(file: Path, overrides: list[str] | None) -> Any:
    from lexloom.base.recipe import load_recipe
    from lexloom.stages.recipe import Recipe

    return load_recipe(Recipe, file, overrides or ())


def _files_and_task(words: list[str] | None, section: str = "task") -> tuple[list[str], dict[str, Any]]:
    """Words of a command line: files, and `task.key=value` settings (or those of another section)."""
    from lexloom.base.recipe import parse_overrides

    settings = [word for word in words or () if word.startswith(f"{section}.") and "=" in word]
    task = parse_overrides(settings).get(section, {})
    return [word for word in words or () if word not in settings], task


def _show_beside(result: Any, describe: Callable[[Any], str], *, out: str, json: bool) -> None:
    """As `_show`, but where rows went to standard output, what is told of them goes to people only."""
    from lexloom.base.console import say

    if out == STDIN:
        say(describe(result))
    else:
        _show(result, describe, json=json)


def _sampling(settings: list[str] | None) -> Any:
    from lexloom.base.recipe import load_recipe
    from lexloom.generate.settings import SamplingSettings

    return load_recipe(SamplingSettings, None, settings or ())


def _show(result: Any, describe: Callable[[Any], str], *, json: bool) -> None:
    from lexloom.base.console import print_json

    if json:
        print_json(dataclasses.asdict(result) if dataclasses.is_dataclass(result) else result)  # type: ignore[arg-type]
    else:
        typer.echo(describe(result))


def _explain(error: UserError) -> None:
    from lexloom.base.console import print_json, say

    if "--json" in sys.argv:
        print_json({"error": {"what": error.what, "where": error.where, "fix": error.fix, "code": error.exit_code}})
    say(f"error: {error}")
