"""Models that are learned in one go from labelled examples, on examples made at random."""

import tempfile
from pathlib import Path
from typing import Any

from lexloom.base.rng import generator
from lexloom.models import FAMILIES
from lexloom.tasks.batches import EncodedExamples
from lexloom.tasks.contract import Encoded, Piece

SOLVED = [name for name, family in FAMILIES.items() if family.fit is not None and family.fit_on == "examples"]
"""Families that are solved, so that they have neither gradients nor dropout."""
TEXTS, TOKENS = 400, 30


def solved_model(family: str, config: Any) -> Any:
    """The model of random texts with random labels, in evaluation mode."""
    rng = generator("solved", family)
    ids = rng.integers(config.vocab_size, size=(TEXTS, TOKENS)).tolist()
    labels = rng.integers(config.labels, size=TEXTS).tolist()
    pieces = zip(ids, labels, strict=True)
    units = EncodedExamples([Encoded((Piece(row, [0] * TOKENS, [0]),), label) for row, label in pieces])
    with tempfile.TemporaryDirectory() as scratch:
        return FAMILIES[family].fit(config, units, lambda share, note="": None, scratch=Path(scratch)).eval()
