"""A tiny decoder that knows ChatML, and made-up talk, for tests that tune decoders."""

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

from lexloom.base.recipe import check
from lexloom.models import new_model
from lexloom.models.folder import save_model
from lexloom.models.llama import Config
from lexloom.stages.finetune_recipe import FinetuneRecipe
from lexloom.text.chat import CHAT_FORMATS, with_template
from lexloom.text.tokenizers import Tokenizer, TokenizerSettings, train_tokenizer

THINGS = {"sky": "blue", "snow": "white", "grass": "green", "天空": "蓝的", "雪": "白的", "草": "绿的"}
PLACES = ("here", "there", "at home", "in Paris", "在北京")

# Several micro-batches a step, a checkpoint every third step.
TRAIN = {
    "epochs": 2,
    "batch_size": 8,
    "micro_batch_tokens": 128,
    "lr": 3e-3,
    "checkpoint_every": 3,
    "threads": 1,
}


def asked(thing: str, place: str) -> str:
    return f"What is the {thing} {place}?"


@cache
def speaker_tokenizer(*, template: str | None = "chatml") -> Tokenizer:
    """Byte-level BPE with ChatML's control tokens; `template` is the format that it says it was trained on."""
    texts = [asked(thing, place) + answer for thing, answer in THINGS.items() for place in PLACES]
    tokenizer = train_tokenizer(iter(texts * 3), TokenizerSettings(kind="bpe", vocab_size=420))
    return tokenizer if template is None else with_template(tokenizer, CHAT_FORMATS[template].template)


def write_speaker(path: Path, *, seed: int = 7, template: str | None = "chatml", context: int = 96) -> Path:
    """A Llama of two layers."""
    tokenizer = speaker_tokenizer(template=template)
    config = Config(
        vocab_size=tokenizer.vocab_size, width=32, layers=2, heads=2, kv_heads=1, head_width=16, ffn_width=64,
        context=context, tied=True,
    )  # fmt: skip
    model = new_model("llama", config, seed=seed).eval()
    save_model(path, model, tokenizer, provenance={}, generation=None, card="A test.")
    return path


def write_instructions(path: Path, count: int, *, seed: int = 0) -> Path:
    """Questions whose answer one word decides, in Alpaca's form, with an answer to prefer and one to reject."""
    rng, rows = random.Random(seed), []
    for number in range(count):
        thing, other = rng.sample(sorted(THINGS), 2)
        question = f"{asked(thing, rng.choice(PLACES))} {number}"
        pair = {"chosen": THINGS[thing], "rejected": THINGS[other]}
        rows.append({"instruction": question, "input": "", "output": THINGS[thing], **pair})
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return path


def place_of(folder: Path, *, train: int = 24, validation: int = 8, test: int = 8) -> dict[str, Any]:
    """Write a decoder and files into a folder; returns the sections of a recipe that name them."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, count) in enumerate((("train", train), ("validation", validation), ("test", test))):
        write_instructions(folder / f"{name}.json", count, seed=seed)
    write_speaker(folder / "speaker")
    return sections_of(folder)


def sections_of(folder: Path) -> dict[str, Any]:
    """The sections that name what `place_of` has written."""
    data = {name: str(folder / f"{name}.json") for name in ("train", "validation", "test")}
    return {"data": data, "model": {"folder": str(folder / "speaker")}}


def recipe_of(sections: dict[str, Any], *, task: dict | None = None, **train: Any) -> FinetuneRecipe:
    """A recipe that trains for a second or less."""
    values = {"task": task or {"name": "chat"}, **sections, "train": {**TRAIN, **train}}
    return check(FinetuneRecipe, values, where="test")
