"""GloVe: vectors whose products are the logarithms of how often two words stand near one another.

Source: Pennington, Socher and Manning 2014 (https://aclanthology.org/D14-1162). For words i and j that stand together
X times (each time counted as 1/distance), Σ f(X) · (w_i · c_j + b_i + b̃_j − log X)² becomes least, with
f(X) = min(1, (X / most)^power), by AdaGrad; a word's vector is w + c.
Axes: V vocabulary, D width, P pairs of a batch, U different words in it, E width with the bias in its last column.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lexloom.base.console import Tick
from lexloom.base.errors import DataError
from lexloom.base.rng import generator
from lexloom.data.cooccurrence import Pairs, count_pairs, count_tokens
from lexloom.nn.checks import check_number
from lexloom.nn.published import Published
from lexloom.nn.static import (
    StaticConfig,
    StaticVectors,
    init_static,
    read_static,
    static_heads,
    static_weights,
    write_static,
)

KIND = "encoder"
PUBLISHED = False

# ---- config ----


@dataclass(frozen=True, kw_only=True)
class Config(StaticConfig):
    """The table, and how it is learned; impossible numbers raise UserError."""

    window: int = 10
    """Neighbours on each side that count."""
    least_count: int = 5
    """A word that the corpus has less often gets no vector (a row of zeros)."""
    most: float = 100.0
    """From this count on a pair has its full weight (x_max)."""
    power: float = 0.75
    """How the weight of rarer pairs falls (alpha of the paper)."""
    alpha: float = 0.05
    """AdaGrad's learning rate."""
    batch: int = 8192
    """Pairs that are learned from at once: fewer learn more in a pass, and take longer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, low, high in BOUNDS:
            check_number(name, getattr(self, name), low, high)


BOUNDS = (
    ("window", 1, 1000),
    ("least_count", 1, 1e9),
    ("most", 1e-3, 1e9),
    ("power", 0, 1),
    ("alpha", 1e-6, 10),
    ("batch", 1, 1 << 24),
)
HEADS = static_heads("GloVe")

# ---- model ----


class Model(StaticVectors):
    """The table that was learned."""


def init_weights(model: Model, seed: int) -> None:
    """Small random vectors, for a classifier that begins from nothing."""
    init_static(model, seed)


# ---- learning ----

FIT_SETTINGS = ("tokenizer", "seed", "epochs")
EPOCHS = 15
COUNTING_SHARE = 0.1  # of the progress shown; the rest is for the passes
TICK_BATCHES = 64


def fit(config: Config, units: Any, tick: Tick, *, scratch: Any, tokenizer: Any, seed: int, epochs: Any) -> Model:
    """Count the windows' documents, then learn the table; the tokenizer's special tokens are skipped.

    The same corpus gives the same bytes. Raises DataError if no two words are frequent enough.
    """
    shards = units.shards
    known_V = count_tokens(shards, config.vocab_size, tokenizer.special_ids) >= config.least_count
    pairs = count_pairs(shards, known_V, config.window, lambda done: tick(COUNTING_SHARE * done, "counting"))
    if not len(pairs.keys_P):
        raise DataError(
            f"no two words that occur {config.least_count} times stand near one another",
            fix="Set model.least_count to 1, or add text.",
        )
    words, contexts = (Side(config, seed, name) for name in ("words", "contexts"))
    passes = EPOCHS if epochs is None else max(1, round(epochs))
    for epoch in range(passes):
        for done, loss in _learn(words, contexts, pairs, config, (seed, epoch)):
            share = (epoch + done) / passes
            tick(COUNTING_SHARE + (1 - COUNTING_SHARE) * share, f"loss {loss:.4f}")
    model = Model(config)
    init_weights(model, seed)
    vectors_VD = words.values_VE[:, :-1] + contexts.values_VE[:, :-1]
    model.tokens.weight.data = vectors_VD * torch.from_numpy(known_V)[:, None]
    return model


class Side:
    """The vectors of words, or of contexts, with their biases, under AdaGrad."""

    def __init__(self, config: Config, seed: int, name: str) -> None:
        drawn = generator("glove", seed, name).random((config.vocab_size, config.width + 1), np.float32)
        self.values_VE = torch.from_numpy((drawn - 0.5) / config.width)
        self.squares_VE = torch.ones_like(self.values_VE)

    def step(self, ids_P: Tensor, gradients_PE: Tensor, alpha: float) -> None:
        """One step with the sum of each word's gradients, so that a word that the batch has often can't run away."""
        ids_U, places_P = torch.unique(ids_P, return_inverse=True)
        gradients_UE = gradients_PE.new_zeros(len(ids_U), gradients_PE.shape[1]).index_add_(0, places_P, gradients_PE)
        squares_UE = self.squares_VE[ids_U].addcmul_(gradients_UE, gradients_UE)
        self.squares_VE[ids_U] = squares_UE
        self.values_VE.index_add_(0, ids_U, gradients_UE.mul_(squares_UE.rsqrt_()), alpha=-alpha)


def _learn(
    words: Side, contexts: Side, pairs: Pairs, config: Config, draw: tuple[int, int]
) -> Iterator[tuple[float, float]]:
    """A pass over all pairs in a random order, each as word and context in a drawn direction.

    Yields now and then the share that is done, and the mean loss of the last batch.
    """
    rng = generator("glove pass", *draw)
    order = rng.permutation(len(pairs.keys_P)).astype(np.int32 if len(pairs.keys_P) < 1 << 31 else np.int64)
    for number, start in enumerate(range(0, len(order), config.batch)):
        chosen = order[start : start + config.batch]
        one, other = np.divmod(pairs.keys_P[chosen], pairs.vocab_size)
        turned = rng.random(len(chosen)) < 0.5
        ids, company = np.where(turned, other, one), np.where(turned, one, other)
        counts_P = torch.from_numpy(pairs.weights_P[chosen])
        loss = _step(words, contexts, torch.from_numpy(ids), torch.from_numpy(company), counts_P, config)
        if number % TICK_BATCHES == 0:
            yield start / len(order), float(loss) / len(chosen)


def _step(words: Side, contexts: Side, ids_P: Tensor, company_P: Tensor, counts_P: Tensor, config: Config) -> Tensor:
    """A step on a batch; the sum of its losses."""
    words_PE, contexts_PE = words.values_VE[ids_P], contexts.values_VE[company_P]
    products_P = torch.linalg.vecdot(words_PE[:, :-1], contexts_PE[:, :-1])
    errors_P = products_P + words_PE[:, -1] + contexts_PE[:, -1] - counts_P.log()
    weighed_P = errors_P * (counts_P / config.most).pow_(config.power).clamp_(max=1.0)
    loss = torch.dot(errors_P, weighed_P)
    words_PE[:, -1] = contexts_PE[:, -1] = 1.0  # what a bias is multiplied with
    words.step(ids_P, contexts_PE.mul_(weighed_P[:, None]), config.alpha)
    contexts.step(company_P, words_PE.mul_(weighed_P[:, None]), config.alpha)
    return loss


# ---- presets: named shapes, `dataclasses.replace` changes what should differ ----

PRESETS: dict[str, Config] = {
    "toy": Config(vocab_size=1024, width=32, least_count=1),
    "glove-100": Config(vocab_size=50_000, width=100),
    "glove-300": Config(vocab_size=400_000, width=300),
}

# ---- published names ----

PREFIX = ""
IGNORED_WEIGHTS = (r"(?!)",)
"""None: the field's own format is a text file, see text/vectors.py."""


def from_hugging_face(values: Mapping[str, Any]) -> Config:
    """The Config of a config.json, or UserError naming the setting that we can't compute."""
    return Config(**read_static(values, FIELDS, HEADS, "glove"))


def to_hugging_face(config: Config) -> dict[str, Any]:
    """The config.json; its model_type is our own."""
    return write_static(config, HEADS, "glove")


def tied_copies(config: Config) -> dict[str, str]:
    """No tensor is there twice."""
    return {}


def weights(config: Config) -> dict[str, Published]:
    """Where each of our parameters is in the file."""
    return static_weights(config)


FIELDS = tuple(field.name for field in fields(Config) if field.name not in ("head", "labels"))
