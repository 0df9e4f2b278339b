"""`lexloom generate MODEL TEXT`: continue a text, shown as it comes."""

import secrets
import sys
import time
from pathlib import Path
from typing import Any

from lexloom.base.console import print_json
from lexloom.generate.reply import continue_texts, load_speaker
from lexloom.generate.settings import MAX_SEED, SamplingSettings

Facts = dict[str, Any]


def generate(folder: Path, prompt: str, settings: SamplingSettings, *, json: bool = False) -> Facts:
    """Write the prompt and its continuation to stdout, piece by piece; with `json` the facts as one object instead.

    Returns {prompt, text, finish, tokens, tokens_per_s, seed}; the seed is one that gives this text again. Raises
    UserError for a prompt and reply longer than the context, FolderError or DamagedError for a bad folder.
    """
    if settings.seed is None:
        settings = settings.model_copy(update={"seed": secrets.randbelow(MAX_SEED)})
    contents = load_speaker(folder)
    pieces = continue_texts(contents, [prompt], settings)
    started = time.perf_counter()
    texts: list[str] = []
    finish = None
    _write("" if json else prompt)
    for piece in pieces:
        texts.append(piece.text)
        finish = piece.finish
        _write("" if json else piece.text)
    facts = {
        "prompt": prompt,
        "text": "".join(texts),
        "finish": finish,
        "tokens": len(texts),
        "tokens_per_s": len(texts) / (time.perf_counter() - started),
        "seed": settings.seed,
    }
    if json:
        print_json(facts)
    else:
        _write("\n")
    return facts


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
