"""word2vec: a word's vector is what foretells its neighbours, or is foretold by them; with fastText's subwords.

Sources: skip-gram and CBOW, Mikolov et al. 2013a (arXiv:1301.3781); negative sampling, hierarchical softmax and
subsampling, Mikolov et al. 2013b (arXiv:1310.4546); subwords, Bojanowski et al. 2017 (arXiv:1607.04606).
The learning itself is gensim's (extra "vectors"), fed from the shards. Axes: V vocabulary, D width.
"""

import itertools
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch

from lexloom.base.console import Tick
from lexloom.base.errors import DataError, UserError
from lexloom.data.cooccurrence import count_tokens
from lexloom.nn.checks import check_choice, check_flag, check_number
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
from lexloom.text.whole_words import word_of

KIND = "encoder"
PUBLISHED = False

# ---- config ----


@dataclass(frozen=True, kw_only=True)
class Config(StaticConfig):
    """The table, and how it is learned; impossible numbers raise UserError."""

    algorithm: str = "skipgram"
    """`skipgram`: a word foretells each neighbour; `cbow`: the mean of the neighbours foretells the word."""
    window: int = 5
    """Neighbours on each side at most; each word draws how many of them count."""
    negative: int = 5
    """Drawn words that each true one is told apart from; 0 for none."""
    hierarchical: bool = False
    """Foretell the way to a word in a Huffman tree (with `negative = 0`: that alone)."""
    subsample: float = 1e-3
    """Words more frequent than this share are left out at random, the more so the more frequent; 0 for never."""
    least_count: int = 5
    """A word that the corpus has less often gets no vector (a row of zeros)."""
    alpha: float = 0.025
    """The learning rate at the beginning; it falls to nearly 0."""
    shortest_subword: int = 0
    """Letters of the shortest n-grams that a word's vector is the sum of, as in fastText (3); 0 for whole words."""
    longest_subword: int = 6
    """Letters of the longest ones."""
    subword_rows: int = 200_000
    """Rows that the n-grams share by a hash."""
    workers: int = 1
    """Threads. With one the same corpus gives the same bytes; with more gensim is faster, but two runs differ."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("algorithm", self.algorithm, ALGORITHMS)
        check_flag("hierarchical", self.hierarchical)
        for name, low, high in BOUNDS:
            check_number(name, getattr(self, name), low, high)
        if self.negative == 0 and not self.hierarchical:
            raise UserError("there is nothing to learn from", where="negative", fix="Set hierarchical = true.")


ALGORITHMS = ("skipgram", "cbow")
BOUNDS = (
    ("window", 1, 1000),
    ("negative", 0, 1000),
    ("subsample", 0, 1),
    ("least_count", 1, 1e9),
    ("alpha", 1e-6, 10),
    ("shortest_subword", 0, 100),
    ("longest_subword", 1, 100),
    ("subword_rows", 1, 1e8),
    ("workers", 1, 1024),
)
HEADS = static_heads("Word2Vec")

# ---- model ----


class Model(StaticVectors):
    """The table that was learned."""


def init_weights(model: Model, seed: int) -> None:
    """Small random vectors, for a classifier that begins from nothing."""
    init_static(model, seed)


# ---- learning ----

FIT_SETTINGS = ("tokenizer", "seed", "epochs")
EPOCHS = 5
SENTENCE_TOKENS = 10_000
"""gensim leaves out, in silence, what is longer."""


def fit(config: Config, units: Any, tick: Tick, *, scratch: Any, tokenizer: Any, seed: int, epochs: Any) -> Model:
    """Learn the table from the windows' documents; the tokenizer's special tokens are skipped.

    With one worker the same corpus gives the same bytes. Raises UserError without gensim, DataError if no word is
    frequent enough.
    """
    spelled = [word_of(tokenizer.token(number) or "") for number in range(config.vocab_size)]
    sentences = Sentences(units.shards, tokenizer.special_ids, spelled)
    counts_V = count_tokens(units.shards, config.vocab_size, tokenizer.special_ids)
    counts = {spelled[number]: int(counts_V[number]) for number in np.flatnonzero(counts_V)}
    if not any(count >= config.least_count for count in counts.values()):
        raise DataError(f"no word occurs {config.least_count} times", fix="Set model.least_count to 1, or add text.")
    machine = _machine(config, seed)
    machine.build_vocab_from_freq(counts, corpus_count=len(sentences))
    passes = EPOCHS if epochs is None else max(1, round(epochs))
    ends = iter(range(1, passes + 1))
    watch = _callback(lambda: tick(next(ends) / passes))
    machine.train(sentences, total_examples=len(sentences), epochs=passes, callbacks=[watch])
    table_VD = np.zeros((config.vocab_size, config.width), np.float32)
    for number, word in enumerate(spelled):
        if word in machine.wv.key_to_index:
            table_VD[number] = machine.wv.get_vector(word)
    model = Model(config)
    init_weights(model, seed)
    model.tokens.weight.data = torch.from_numpy(table_VD)
    return model


class Sentences:
    """A corpus as lists of words, as often as somebody wants them: its documents, long ones cut, no special tokens."""

    def __init__(self, shards: Any, special_ids: Set[int], spelled: list[str]) -> None:
        self._shards, self._spelled = shards, spelled
        self._special = np.array(sorted(special_ids), np.int64)
        ends = [0, *np.minimum(shards.documents[:, 0], shards.total_tokens).tolist()]
        self._spans = [
            (start, min(start + SENTENCE_TOKENS, end))
            for first, end in itertools.pairwise(ends)
            for start in range(first, end, SENTENCE_TOKENS)
        ]

    def __len__(self) -> int:
        return len(self._spans)

    def __iter__(self) -> Iterator[list[str]]:
        words = self._spelled
        for start, end in self._spans:
            yield [words[number] for number in self._ids(start, end).tolist()]

    def _ids(self, start: int, end: int) -> Any:
        ids = np.asarray(self._shards.tokens(start, end)).astype(np.int64)
        return ids[~np.isin(ids, self._special)]


def _machine(config: Config, seed: int) -> Any:
    try:
        from gensim.models import FastText, Word2Vec
    except ImportError:
        raise UserError("word2vec needs gensim", fix="pip install 'lexloom[vectors]'") from None
    settings = {
        "vector_size": config.width,
        "window": config.window,
        "sg": int(config.algorithm == "skipgram"),
        "negative": config.negative,
        "hs": int(config.hierarchical),
        "sample": config.subsample,
        "min_count": config.least_count,
        "alpha": config.alpha,
        "workers": config.workers,
        "seed": seed % (1 << 32),
    }
    if not config.shortest_subword:
        return Word2Vec(**settings)
    letters = {"min_n": config.shortest_subword, "max_n": config.longest_subword, "bucket": config.subword_rows}
    return FastText(**settings, **letters)


def _callback(on_end: Any) -> Any:
    from gensim.models.callbacks import CallbackAny2Vec

    class Watch(CallbackAny2Vec):  # type: ignore[misc]
        def on_epoch_end(self, model: Any) -> None:
            on_end()

    return Watch()


# ---- presets: named shapes, `dataclasses.replace` changes what should differ ----

PRESETS: dict[str, Config] = {
    "toy": Config(vocab_size=1024, width=32, least_count=1),
    "skipgram": Config(vocab_size=50_000),
    "cbow": Config(vocab_size=50_000, algorithm="cbow", alpha=0.05),
    "fasttext": Config(vocab_size=50_000, shortest_subword=3),
}

# ---- published names ----

PREFIX = ""
IGNORED_WEIGHTS = (r"(?!)",)
"""None: the field's own formats are text files, see text/vectors.py."""


def from_hugging_face(values: Mapping[str, Any]) -> Config:
    """The Config of a config.json, or UserError naming the setting that we can't compute."""
    return Config(**read_static(values, FIELDS, HEADS, "word2vec"))


def to_hugging_face(config: Config) -> dict[str, Any]:
    """The config.json; its model_type is our own."""
    return write_static(config, HEADS, "word2vec")


def tied_copies(config: Config) -> dict[str, str]:
    """No tensor is there twice."""
    return {}


def weights(config: Config) -> dict[str, Published]:
    """Where each of our parameters is in the file."""
    return static_weights(config)


FIELDS = tuple(field.name for field in fields(Config) if field.name not in ("head", "labels"))
