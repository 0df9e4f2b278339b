"""How well a model predicts text: nats and perplexity per token, perplexity per word, bits per byte, with intervals.

Only bits per byte may be compared between models with different tokenizers. A document's end-of-text token counts among
its tokens, so that the bits are those of a complete code. Axes: U units of text, T tokens.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lexloom.base.errors import UserError
from lexloom.evaluate.intervals import Difference, Estimate, difference, ratio

MIN_DOCUMENTS = 20  # with fewer, resampling documents says little
BLOCK_BYTES = 1_000  # far longer than the reach of most dependence between neighbouring tokens
MAX_EXPONENT = 700.0  # e^700 is near the largest float

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DocumentScores:
    """What a model made of each document."""

    nats: Sequence[Floats]
    """Per document, −ln p of each of its tokens."""
    utf8_bytes: Counts
    words: Counts


@dataclass(frozen=True)
class Units:
    """Sums over each unit of text that is resampled, (U); the same text gives the same units for every tokenizer."""

    name: str
    """What a unit is: `documents`, or `blocks of about 1,000 bytes`."""
    nats: Floats
    tokens: Floats
    utf8_bytes: Floats
    words: Floats


@dataclass(frozen=True)
class Evaluation:
    """How well a model predicts a text, with 95 % intervals."""

    documents: int
    tokens: int
    words: int
    utf8_bytes: int
    nats_per_token: Estimate
    perplexity_per_token: Estimate
    perplexity_per_word: Estimate | None
    """None for a text without words."""
    bits_per_byte: Estimate | None
    """None for a text without bytes (end-of-text tokens only)."""
    resampled: str
    """What the intervals' bootstrap draws: `documents`, or `blocks of about 1,000 bytes` if there are fewer than 20."""

    def to_json(self) -> dict[str, Any]:
        """Plain values, as in results.json."""
        return asdict(self)


def evaluate(scores: DocumentScores, *, seed: int = 0) -> Evaluation:
    """Sum the scores up; UserError if there is nothing to sum."""
    units = units_of(scores)
    per_token = ratio(units.nats, units.tokens, seed=seed)
    per_word = ratio(units.nats, units.words, seed=seed) if scores.words.sum() > 0 else None
    per_byte = ratio(units.nats / math.log(2), units.utf8_bytes, seed=seed) if scores.utf8_bytes.sum() > 0 else None
    return Evaluation(
        documents=len(scores.nats),
        tokens=int(units.tokens.sum()),
        words=int(scores.words.sum()),
        utf8_bytes=int(scores.utf8_bytes.sum()),
        nats_per_token=per_token,
        perplexity_per_token=exponential(per_token),
        perplexity_per_word=None if per_word is None else exponential(per_word),
        bits_per_byte=per_byte,
        resampled=units.name,
    )


def compare(first: DocumentScores, second: DocumentScores, *, seed: int = 0) -> Difference | None:
    """The second model's bits per byte minus the first's on the same documents, with a paired test.

    None if there is too little text for a test.
    """
    one, two = units_of(first), units_of(second)
    assert np.array_equal(one.utf8_bytes, two.utf8_bytes), "a paired test needs the same documents twice"
    if one.utf8_bytes.sum() == 0:
        return None
    return difference(one.nats / math.log(2), two.nats / math.log(2), one.utf8_bytes, seed=seed)


def units_of(scores: DocumentScores) -> Units:
    """Documents, or with fewer than 20 of them, equal blocks of each.

    A block's share of its document's bytes and words is taken as even, and a token lies in the block that its place
    among the document's tokens points to: near enough to resample, and the same blocks for every tokenizer.
    """
    if sum(map(len, scores.nats)) == 0:
        raise UserError(
            "there are no tokens to evaluate", fix="Name a text, or prepare the corpus with a larger share."
        )
    by_document = len(scores.nats) >= MIN_DOCUMENTS
    blocks = np.ones_like(scores.utf8_bytes) if by_document else np.maximum(1, scores.utf8_bytes // BLOCK_BYTES)
    first = np.cumsum(blocks) - blocks
    lengths = np.array([len(nats) for nats in scores.nats])
    unit_T = np.concatenate(
        [start + np.arange(n) * count // max(n, 1) for start, count, n in zip(first, blocks, lengths, strict=True)]
    )
    total = int(blocks.sum())
    return Units(
        name="documents" if by_document else f"blocks of about {BLOCK_BYTES:,} bytes",
        nats=np.bincount(unit_T, np.concatenate(scores.nats), total).astype(np.float64),
        tokens=np.bincount(unit_T, minlength=total).astype(np.float64),
        utf8_bytes=np.repeat(scores.utf8_bytes / blocks, blocks),
        words=np.repeat(scores.words / blocks, blocks),
    )


def exponential(estimate: Estimate) -> Estimate:
    """Exact for the interval too: the exponential keeps order, so quantiles stay quantiles."""
    value, low, high = (
        None if x is None else math.exp(min(x, MAX_EXPONENT)) for x in (estimate.value, estimate.low, estimate.high)
    )
    assert value is not None, "an estimate has a value"
    return Estimate(value, low, high)
