"""Corpora in memory, and models that were counted on them."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lexloom.base.rng import generator
from lexloom.data.batches import Windows
from lexloom.models import FAMILIES

COUNTED = [name for name, family in FAMILIES.items() if family.fit is not None and family.kind == "decoder"]
"""Families of decoders that are counted, so that they have neither gradients nor dropout."""
WINDOW_TOKENS = 8


class Corpus:
    """Documents as a part of a prepared folder shows them; the separator 0 ends each one."""

    END = 0

    def __init__(self, documents: Sequence[Sequence[int]]) -> None:
        self.ids = np.array([word for document in documents for word in [*document, self.END]], np.uint32)
        ends = np.cumsum([len(document) + 1 for document in documents])
        self.documents = np.stack([ends, ends, ends], axis=1).astype(np.int64)
        self.total_tokens = len(self.ids)

    def tokens(self, start: int, stop: int) -> np.ndarray:
        return self.ids[start:stop]


def random_documents(seed: int, *, words: int = 10, documents: int = 40) -> list[list[int]]:
    """Words from 1 on, of very different frequencies, so that every count occurs; the first document is empty."""
    rng = generator("documents", seed)
    lengths = rng.integers(0, 12, size=documents)
    return [(1 + (words * rng.random(length) ** 3).astype(int)).tolist() for length in [0, *lengths]]


def counted_model(family: str, config: Any, documents: Sequence[Sequence[int]]) -> Any:
    """The model of these documents, in evaluation mode."""
    entry = FAMILIES[family]
    windows = Windows(Corpus(documents), WINDOW_TOKENS, boundaries=False)
    with tempfile.TemporaryDirectory() as scratch:
        settings = {"memory_mb": 100, "scratch": Path(scratch)}
        return entry.fit(config, windows, lambda share, note="": None, **settings).eval()
