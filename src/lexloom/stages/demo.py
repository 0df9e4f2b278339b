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
from lexloom.base.recipe import check, load_recipe
from lexloom.bundled import DEMO_RECIPE, SHAKESPEARE, TANG, bundled
from lexloom.generate.reply import continue_texts
from lexloom.generate.settings import SamplingSettings
from lexloom.generate.text import collect
from lexloom.models.folder import load_model
from lexloom.report.page import REPORT
from lexloom.stages import prepare as preparing
from lexloom.stages.compare import compare_runs, write_comparison
from lexloom.stages.compare import describe as describe_comparison
from lexloom.stages.compare_recipe import SamplesSection
from lexloom.stages.evaluate import RESULTS
from lexloom.stages.pretrain import pretrain
from lexloom.stages.recipe import Recipe

PREPARED = "prepared"
RUN = "run"
MODEL = "model"
COMPARISON = "comparison"
ANCESTOR_ORDER = 4
POEMS = ("《春夜》", "《秋山》", "《送友人》李白\n", "明月")
SPEECHES = ("ROMEO:\n", "JULIET:\nO ", "KING HENRY VI:\nMy lord,", "To be, or not to be")
WRITING = {"max_tokens": 120, "temperature": 0.7, "top_p": 0.95, "seed": 0}

Facts = dict[str, Any]


def demo(out: Path, *, overrides: tuple[str, ...] = ()) -> Facts:
    """Prepare, plan, train, evaluate, report, write and compare; everything is left under `out`.

    Returns {prepared, run, model, report, bits_per_byte, texts: [{prompt, text}], comparison, compared, seconds, next}.
    `overrides` are settings as on the command line (`train.minutes=1`). Raises what the stages raise.
    """
    started = time.monotonic()
    recipe = demo_recipe(overrides)
    prepared, run = out / PREPARED, out / RUN
    say("1/4  From text to tokens 文本到词元: Tang poems and Shakespeare 唐诗与莎士比亚\n")
    say(preparing.describe(preparing.prepare(recipe.prepare, prepared, replace=True)))
    say("\n2/4  Train a small Llama, evaluate it, report 训练小型 Llama，评估，报告\n")
    outcome = pretrain(recipe, prepared, run)
    say("\n3/4  Write 写作\n")
    texts = write_texts(outcome.model)
    say("\n4/4  Set the ancestor beside it 与前辈模型对照: an n-gram model n 元模型\n")
    compared = compare_with_ancestor(prepared, run, out)
    return {
        "prepared": str(prepared),
        "run": str(run),
        "model": str(outcome.model),
        "report": str(run / REPORT),
        "bits_per_byte": files.read_json(run / RESULTS)["models"][0]["bits_per_byte"],
        "texts": texts,
        "comparison": str(out / COMPARISON / REPORT),
        "compared": describe_comparison(compared),
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


def compare_with_ancestor(prepared: Path, run: Path, out: Path) -> Facts:
    """Count an n-gram model on the same text, and compare both on what neither has seen; seconds."""
    ancestor = out / f"{ANCESTOR_ORDER}-gram"
    settings = {"model": {"family": "ngram", "order": ANCESTOR_ORDER}}
    pretrain(check(Recipe, settings, where="the demo"), prepared, ancestor)
    beginnings = SamplesSection.model_validate({**WRITING, "beginnings": (POEMS[0], SPEECHES[0])})
    results = compare_runs({ancestor.name: ancestor, "Llama": run}, prepared, beginnings)
    write_comparison(results, out / COMPARISON)
    return results


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
        f"{facts['compared']}\n"
        f"Open {facts['comparison']} to see both side by side.\n\n"
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
