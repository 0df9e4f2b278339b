"""`lexloom demo`: the whole line on the bundled texts, through the same functions as the commands.

Run again on the same folder it goes on where it was stopped, as every stage does.
"""

import json
import shlex
import time
from pathlib import Path
from typing import Any

from lexloom.base import files
from lexloom.base.console import duration, say
from lexloom.base.recipe import load_recipe
from lexloom.bundled import DEMO_RECIPE, SHAKESPEARE, TANG, bundled
from lexloom.generate.reply import continue_texts
from lexloom.generate.settings import SamplingSettings
from lexloom.generate.text import collect
from lexloom.models.folder import load_model
from lexloom.report.page import REPORT
from lexloom.stages import prepare as preparing
from lexloom.stages.evaluate import RESULTS
from lexloom.stages.pretrain import pretrain
from lexloom.stages.recipe import Recipe

PREPARED = "prepared"
RUN = "run"
MODEL = "model"
POEMS = ("《春夜》", "《秋山》", "《送友人》李白\n", "明月")
SPEECHES = ("ROMEO:\n", "JULIET:\nO ", "KING HENRY VI:\nMy lord,", "To be, or not to be")
WRITING = {"max_tokens": 120, "temperature": 0.7, "top_p": 0.95, "seed": 0}

Facts = dict[str, Any]


def demo(out: Path, *, overrides: tuple[str, ...] = ()) -> Facts:
    """Prepare, plan, train, evaluate, report and write; everything is left under `out`.

    Returns {prepared, run, model, report, bits_per_byte, texts: [{prompt, text}], seconds, next}. `overrides` are
    settings as on the command line (`train.minutes=1`). Raises what the stages raise.
    """
    started = time.monotonic()
    recipe = demo_recipe(overrides)
    prepared, run = out / PREPARED, out / RUN
    say("1/3  From text to tokens 文本到词元: Tang poems and Shakespeare 唐诗与莎士比亚\n")
    say(preparing.describe(preparing.prepare(recipe.prepare, prepared, replace=True)))
    say("\n2/3  Train a small Llama, evaluate it, report 训练小型 Llama，评估，报告\n")
    outcome = pretrain(recipe, prepared, run)
    say("\n3/3  Write 写作\n")
    texts = write_texts(outcome.model)
    return {
        "prepared": str(prepared),
        "run": str(run),
        "model": str(outcome.model),
        "report": str(run / REPORT),
        "bits_per_byte": files.read_json(run / RESULTS)["models"][0]["bits_per_byte"],
        "texts": texts,
        "seconds": time.monotonic() - started,
        "next": _next(prepared, run, outcome.model),
    }


def demo_recipe(overrides: tuple[str, ...] = ()) -> Recipe:
    """The bundled recipe with the bundled texts as its sources; the environment has no say in it."""
    sources = json.dumps([str(bundled(TANG)), str(bundled(SHAKESPEARE))])
    return load_recipe(Recipe, bundled(DEMO_RECIPE), [f"prepare.data.sources={sources}", *overrides], environment={})


def write_texts(model: Path) -> list[dict[str, str]]:
    """Continue a few beginnings of poems and speeches, each as far as the model goes."""
    prompts = POEMS + SPEECHES
    settings = SamplingSettings.model_validate(WRITING)
    replies = collect(continue_texts(load_model(model), prompts, settings), rows=len(prompts))
    return [{"prompt": prompt, "text": reply.text.rstrip()} for prompt, reply in zip(prompts, replies, strict=True)]


def describe(facts: Facts) -> str:
    """What was written, and what to type next."""
    texts = "\n\n".join(f"{text['prompt']}{text['text']}" for text in facts["texts"])
    bits = facts["bits_per_byte"]
    commands = "\n".join(f"  {command}" for command in facts["next"])
    return (
        f"{texts}\n\n"
        f"All this took {duration(facts['seconds'])}. On held-out text the model needs {bits['value']:.3f} bits per "
        f"byte ({bits['low']:.3f} to {bits['high']:.3f}).\n"
        f"Open {facts['report']} in a browser to see how it learned.\n\n"
        f"Next 接下来\n{commands}"
    )


def _next(prepared: Path, run: Path, model: Path) -> list[str]:
    where = {name: shlex.quote(str(path)) for name, path in (("data", prepared), ("run", run), ("model", model))}
    return [
        f"lexloom generate {where['model']} 《山居》",
        f"lexloom show {where['run']}",
        f"lexloom evaluate {where['model']} --data {where['data']}",
        "lexloom init my.toml YOUR-TEXTS/*.txt",
    ]
