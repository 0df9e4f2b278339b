"""A two-way recurrent encoder over an embedding table, which may come from word vectors.

Sources: Graves & Schmidhuber 2005 (two-way LSTM); Huang et al. 2015, arXiv:1508.01991 (as a tagger); a text as the
largest value of each of its words' states: Conneau et al. 2017, arXiv:1705.02364.
Axes: B batch, L length, T tokens (flattened, or step by step: see nn/steps.py), S spots (tokens picked by the caller),
R texts, E width of the embedding, D width of a state, C columns of the head.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lexloom.nn.checks import check_choice, check_length, check_multiple, check_number, check_sizes
from lexloom.nn.dropout import Dropout, VariationalDropout
from lexloom.nn.layers import Embedding, picked
from lexloom.nn.linear import Linear
from lexloom.nn.published import HARMLESS, LABELLED, Published, head_of, name_labels, read_config, require
from lexloom.nn.recurrent import CELLS, TwoWay, fill_recurrent
from lexloom.nn.steps import Steps, steps_of

KIND = "encoder"
PUBLISHED = False

# ---- config ----


@dataclass(frozen=True, kw_only=True)
class Config:
    """The shape of a two-way recurrent encoder; impossible numbers raise UserError."""

    vocab_size: int
    width: int
    """Of a state; each way has a half."""
    layers: int
    context: int
    """The longest text in tokens; nothing in the model depends on it."""
    embedding_width: int | None = None
    """Of the embedding table; that of the word vectors it begins with, or else `width`, if not given."""
    cell: str = "lstm"
    """"lstm" or "gru"."""
    head: str = "none"
    """What stands on the encoder: one of HEADS."""
    labels: int = 2
    """Columns of the heads `sequence` and `token`."""
    dropout: float = 0.3
    """Share of each layer's outputs dropped in training, the same ones at all steps of a text."""
    embedding_dropout: float = 0.3
    """Share of the embeddings dropped in training, the same values at all steps of a text."""
    recurrent_dropout: float = 0.0
    """Share of the weights between a layer's state and its next one dropped in training."""

    def __post_init__(self) -> None:
        check_sizes(self)
        check_multiple("width", self.width, "ways", 2)
        check_choice("cell", self.cell, tuple(CELLS))
        check_choice("head", self.head, tuple(HEADS))
        for name in ("dropout", "embedding_dropout", "recurrent_dropout"):
            check_number(name, getattr(self, name), 0.0, 0.99)

    @property
    def table_width(self) -> int:
        """Of the embedding table, given or not."""
        return self.width if self.embedding_width is None else self.embedding_width


HEADS = {
    "none": "BiRNNModel",
    "sequence": "BiRNNForSequenceClassification",
    "token": "BiRNNForTokenClassification",
}

# ---- model ----


class Model(nn.Module):
    """An encoder: ids in, a state for every token out, and what `config.head` makes of the states.

    With the head `sequence`, a text's first token has the largest values of all its states, and zeros stand behind it.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.tokens = Embedding(config.vocab_size, config.table_width)
        self.embedding_dropout = VariationalDropout(config.embedding_dropout)
        inputs = [config.table_width, *[config.width] * (config.layers - 1)]
        self.blocks = nn.ModuleList(
            TwoWay(config.cell, size, config.width, config.recurrent_dropout) for size in inputs
        )
        self.dropout = VariationalDropout(config.dropout)
        self.head_dropout = Dropout(config.dropout)
        self.score = Linear(config.width, config.labels, bias=True) if config.head in LABELLED else None

    def embed(self, ids_BL: Tensor, *, runs: Sequence[int] | None = None, types_BL: Tensor | None = None) -> Tensor:
        """The rows of the tokens, (B, L, E). Raises UserError if a text is longer than the context."""
        check_length(ids_BL.shape[1] if runs is None else max(runs), self.config.context)
        x_BLE: Tensor = self.tokens(ids_BL.to(self.tokens.weight.device))
        return x_BLE

    def encode(self, x_BLE: Tensor, *, runs: Sequence[int] | None = None, spots_S: Tensor | None = None) -> Tensor:
        """Embedded tokens to the last layer's states, (B, L, D), or those at `spots_S`, (S, D)."""
        batch, length = x_BLE.shape[:2]
        texts = (length,) * batch if runs is None else tuple(runs)
        steps = steps_of(texts, x_BLE.device)
        x_TD = steps.unpack(self._read(steps.pack(x_BLE.flatten(0, 1)), steps))
        x_TD = _largest(x_TD, texts) if self.config.head == "sequence" else x_TD
        return picked(x_TD.view(batch, length, -1), spots_S)

    def _read(self, x_TE: Tensor, steps: Steps) -> Tensor:
        x_TD: Tensor = self.embedding_dropout(x_TE, steps.text_T)
        for block in self.blocks:
            x_TD = self.dropout(block(x_TD, steps), steps.text_T)
        return x_TD

    def hidden(
        self,
        ids_BL: Tensor,
        *,
        runs: Sequence[int] | None = None,
        types_BL: Tensor | None = None,
        spots_S: Tensor | None = None,
    ) -> Tensor:
        """The last layer's states, (B, L, D), or those at `spots_S`, (S, D): `encode` of `embed`."""
        return self.encode(self.embed(ids_BL, runs=runs), runs=runs, spots_S=spots_S)

    def scores(self, x_SD: Tensor) -> Tensor:
        """States at the spots that the caller picked, (…, D) → (…, C): first tokens for `sequence`."""
        assert self.score is not None, "a model without a head has no scores"
        y_SC: Tensor = self.score(self.head_dropout(x_SD))
        return y_SC

    def forward(self, ids_BL: Tensor, *, runs: Sequence[int] | None = None, types_BL: Tensor | None = None) -> Tensor:
        x_BLD = self.hidden(ids_BL, runs=runs)
        return x_BLD if self.score is None else self.scores(x_BLD)


def _largest(x_TD: Tensor, texts: Sequence[int]) -> Tensor:
    """The largest value of each column in each text, at its first token; zeros behind it."""
    lengths_R = torch.tensor(texts, device=x_TD.device)
    largest_RD = torch.segment_reduce(x_TD, "max", lengths=lengths_R)
    return torch.zeros_like(x_TD).index_copy(0, lengths_R.cumsum(0) - lengths_R, largest_RD)


def init_weights(model: Model, seed: int) -> None:
    """Fill all parameters: tables normal with deviation 0.1, the layers as `fill_recurrent` says."""
    fill_recurrent(model, seed=seed)


# ---- presets: named shapes, `dataclasses.replace` changes what should differ ----

PRESETS: dict[str, Config] = {
    "toy": Config(width=64, layers=1, context=256, vocab_size=1024),
    "small": Config(width=256, layers=1, context=512, vocab_size=20000),
    # Lample et al. 2016, arXiv:1603.01360, section 5.1: states of 100 each way over vectors of 100
    "tagger": Config(width=200, layers=1, context=512, vocab_size=20000, embedding_width=100, embedding_dropout=0.5),
}

# ---- published names: no library publishes such models; the layers' tensors are those of torch.nn.LSTM ----

KEYS = {
    "vocab_size": "vocab_size",
    "hidden_size": "width",
    "num_hidden_layers": "layers",
    "max_position_embeddings": "context",
    "embedding_size": "embedding_width",
    "cell": "cell",
    "dropout": "dropout",
    "embedding_dropout": "embedding_dropout",
    "recurrent_dropout": "recurrent_dropout",
}
FIXED: dict[str, tuple[Any, ...]] = {"model_type": ("birnn",)}
PREFIX = "model."
IGNORED_WEIGHTS = ()


def from_hugging_face(values: Mapping[str, Any]) -> Config:
    """The Config of a config.json, or UserError naming the setting that we can't compute."""
    require(values, "vocab_size", "hidden_size", "num_hidden_layers", "max_position_embeddings")
    ours = read_config(values, known=KEYS, fixed=FIXED, harmless=HARMLESS)
    return Config(**ours, **head_of(values, HEADS))


def to_hugging_face(config: Config) -> dict[str, Any]:
    """The config.json that describes the same model."""
    ours = asdict(config)
    return {
        "architectures": [HEADS[config.head]],
        "model_type": "birnn",
        **{theirs: ours[field] for theirs, field in KEYS.items()},
        **name_labels(config.head, config.labels),
    }


def tied_copies(config: Config) -> dict[str, str]:
    """Published tensors that repeat another one, and which: none."""
    return {}


def weights(config: Config) -> dict[str, Published]:
    """Where each of our parameters is found in a file."""
    table = {"tokens.weight": Published(("model.embedding.weight",))}
    for layer in range(config.layers):
        for way, ending in (("rightward", ""), ("leftward", "_reverse")):
            for part, short in (("inputs", "ih"), ("recurrent", "hh")):
                for kind in ("weight", "bias"):
                    theirs = f"model.rnn.{kind}_{short}_l{layer}{ending}"
                    table[f"blocks.{layer}.{way}.{part}.{kind}"] = Published((theirs,))
    if config.head in LABELLED:
        table |= {f"score.{kind}": Published((f"classifier.{kind}",)) for kind in ("weight", "bias")}
    return table
