"""`lexloom generate MODEL TEXT`: continue a text, shown as it comes, or search for its most probable continuations."""

import dataclasses
import secrets
import sys
import time
from pathlib import Path
from typing import Any

from lexloom.base import files
from lexloom.base.console import print_json
from lexloom.generate.constraints import Constraint, choices, json_schema, regex
from lexloom.generate.reply import continue_texts, load_speaker, search_texts
from lexloom.generate.settings import MAX_SEED, FormedSettings, GenerateSettings, SamplingSettings
from lexloom.models.folder import ModelFolder

Facts = dict[str, Any]


def generate(folder: Path, prompt: str, settings: SamplingSettings, *, json: bool = False) -> Facts:
    """Write the prompt and its continuation to stdout, piece by piece; with `json` the facts as one object instead.

    GenerateSettings with several beams search instead, and write each of several texts behind its score; the text
    keeps the form that FormedSettings name.
    Returns {prompt, text, finish, tokens, tokens_per_s, seed}; the seed is one that gives this text again, None after a
    search, which adds {found: [{text, score, log_probability, tokens, finish}]}, the best first. Raises UserError for a
    prompt and reply longer than the context, FolderError or DamagedError for a bad folder.
    """
    contents = load_speaker(folder)
    if isinstance(settings, GenerateSettings) and settings.beams > 1:
        facts = _search(contents, prompt, settings, quiet=json)
    else:
        facts = _sample(contents, prompt, settings, quiet=json)
    if json:
        print_json(facts)
    return facts


def _sample(contents: ModelFolder, prompt: str, settings: SamplingSettings, *, quiet: bool) -> Facts:
    if settings.seed is None:
        settings = settings.model_copy(update={"seed": secrets.randbelow(MAX_SEED)})
    pieces = continue_texts(contents, [prompt], settings, constraint=_constraint(settings))
    started = time.perf_counter()
    texts: list[str] = []
    finish = None
    _write("" if quiet else prompt)
    for piece in pieces:
        texts.append(piece.text)
        finish = piece.finish
        _write("" if quiet else piece.text)
    _write("" if quiet else "\n")
    return {
        "prompt": prompt,
        "text": "".join(texts),
        "finish": finish,
        "tokens": len(texts),
        "tokens_per_s": len(texts) / (time.perf_counter() - started),
        "seed": settings.seed,
    }


def _constraint(settings: SamplingSettings) -> Constraint | None:
    """The form that the settings ask for. Raises UserError for one that can't be understood."""
    if isinstance(settings, FormedSettings):
        if settings.choices:
            return choices(settings.choices)
        if settings.regex is not None:
            return regex(settings.regex)
        if settings.json_schema is not None:
            return json_schema(files.read_json(Path(settings.json_schema)))
    return None


def _search(contents: ModelFolder, prompt: str, settings: GenerateSettings, *, quiet: bool) -> Facts:
    started = time.perf_counter()
    (found,) = search_texts(contents, [prompt], settings)
    seconds = time.perf_counter() - started
    for one in found:
        score = f"[{one.score:.4f}] " if settings.n_best > 1 else ""
        _write("" if quiet else f"{score}{prompt}{one.text}\n")
    best = found[0]
    return {
        "prompt": prompt,
        "text": best.text,
        "finish": best.finish,
        "tokens": best.tokens,
        "tokens_per_s": best.tokens / seconds,
        "seed": None,
        "found": [dataclasses.asdict(one) for one in found],
    }


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
