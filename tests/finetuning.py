"""A tiny encoder and made-up reviews, for tests that fine-tune."""

import csv
import random
from pathlib import Path
from typing import Any

from lexloom.base.recipe import check
from lexloom.models import new_model
from lexloom.models.bert import Config
from lexloom.models.folder import save_model
from lexloom.stages.finetune_recipe import FinetuneRecipe
from tests.understanding import tokenizer

GOOD = ("lovely", "quiet", "好看", "真")
BAD = ("dull", "empty", "无聊", "太")
OTHER = ("film", "song", "book", "words", "电影", "书", "and", "the")

# Several micro-batches a step, a checkpoint every third step.
TRAIN = {
    "epochs": 2,
    "batch_size": 8,
    "micro_batch_tokens": 64,
    "lr": 3e-3,
    "checkpoint_every": 3,
    "threads": 1,
}


def write_encoder(path: Path, *, seed: int = 7, dropout: float = 0.1) -> Path:
    """A BERT of two layers without a head."""
    config = Config(
        vocab_size=tokenizer().vocab_size, width=32, layers=2, heads=2, ffn_width=64, context=64, head="none",
        dropout=dropout, attention_dropout=dropout,
    )  # fmt: skip
    model = new_model("bert", config, seed=seed).eval()
    save_model(path, model, tokenizer(), provenance={}, generation=None, card="A test.")
    return path


def write_reviews(path: Path, count: int, *, seed: int = 0, labels: tuple[str, str] = ("good", "bad")) -> Path:
    """A table of texts whose words say which label they have."""
    rng = random.Random(seed)
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for _ in range(count):
            side = rng.randrange(2)
            words = rng.choices((GOOD, BAD)[side], k=2) + rng.choices(OTHER, k=rng.randint(1, 9))
            rng.shuffle(words)
            writer.writerow([" ".join(words), labels[side]])
    return path


def place_of(folder: Path, *, train: int = 48, validation: int = 20, test: int = 20) -> dict[str, Any]:
    """Write encoder and tables into a folder; returns the sections that name them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, count) in enumerate((("train", train), ("validation", validation), ("test", test))):
        write_reviews(folder / f"{name}.csv", count, seed=number)
    write_encoder(folder / "encoder")
    return sections_of(folder)


def sections_of(folder: Path) -> dict[str, Any]:
    """The sections that name what `place_of` has written."""
    data = {name: str(folder / f"{name}.csv") for name in ("train", "validation", "test")}
    return {"data": data, "model": {"folder": str(folder / "encoder")}}


def recipe_of(
    sections: dict[str, Any], *, task: dict | None = None, data: dict | None = None, model: dict | None = None,
    **train: Any,
) -> FinetuneRecipe:  # fmt: skip
    """A recipe that trains for a second or less."""
    values = {
        "task": task or {"name": "classify"},
        "data": {**sections["data"], **(data or {})},
        "model": {**sections["model"], **(model or {})},
        "train": {**TRAIN, **train},
    }
    return check(FinetuneRecipe, values, where="test")
