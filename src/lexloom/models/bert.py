"""BERT: attention in both directions, norms behind each part, token types, learned positions, and its heads.

Source: Devlin et al. 2018, arXiv:1810.04805; the small shapes are those of Turc et al. 2019, arXiv:1908.08962.
Axes: B batch, L length, D width, H heads, K head width, V vocabulary, S spots (tokens picked by the caller),
R sequences, C columns of the head.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lexloom.nn.attention import Reach, attend, reach_of
from lexloom.nn.checks import check_choice, check_flag, check_length, check_multiple, check_number, check_sizes
from lexloom.nn.dropout import Dropout
from lexloom.nn.init import INIT_STD, fill
from lexloom.nn.layers import Embedding, GeluMLP, LayerNorm, picked
from lexloom.nn.linear import Linear, linear
from lexloom.nn.positions import positions_of
from lexloom.nn.published import HARMLESS, Published, head_of, name_labels, read_config, require

KIND = "encoder"

# ---- config ----


@dataclass(frozen=True, kw_only=True)
class Config:
    """The shape of a BERT; impossible numbers raise UserError."""

    vocab_size: int
    width: int
    layers: int
    heads: int
    ffn_width: int
    """The inner width of the feed-forward layers."""
    context: int
    """The longest text in tokens; each position has a learned vector."""
    types: int = 2
    """How many token types there are; in a pair of texts, 0 is the first text and 1 the second."""
    head: str = "pretraining"
    """What stands on the encoder: one of HEADS."""
    labels: int = 2
    """Columns of the heads `sequence` and `token`."""
    keeps_pooler: bool = False
    """Whether it carries a pooler that its head has no use for, as most published encoders do."""
    dropout: float = 0.1
    """Share of the embeddings and of each residual branch's outputs dropped in training."""
    attention_dropout: float = 0.1
    """Share of attention weights dropped in training (slow on a CPU)."""
    classifier_dropout: float | None = None
    """Share of a task head's inputs dropped in training; that of `dropout` if not given."""
    norm_epsilon: float = 1e-12

    def __post_init__(self) -> None:
        check_sizes(self)
        check_multiple("width", self.width, "heads", self.heads)
        check_choice("head", self.head, tuple(HEADS))
        check_flag("keeps_pooler", self.keeps_pooler)
        for name in ("dropout", "attention_dropout"):
            check_number(name, getattr(self, name), 0.0, 0.99)
        if self.classifier_dropout is not None:
            check_number("classifier_dropout", self.classifier_dropout, 0.0, 0.99)
        check_number("norm_epsilon", self.norm_epsilon, 1e-12, 1.0)

    @property
    def has_pooler(self) -> bool:
        """Whether there is a pooler, used or not."""
        return self.keeps_pooler or self.head in POOLED

    @property
    def columns(self) -> int | None:
        """Columns of the head's last layer; None for heads without one of their own."""
        return {"sequence": self.labels, "token": self.labels, "span": 2, "choice": 1}.get(self.head)


HEADS = {
    "none": "BertModel",
    "masked": "BertForMaskedLM",
    "pretraining": "BertForPreTraining",
    "sequence": "BertForSequenceClassification",
    "token": "BertForTokenClassification",
    "span": "BertForQuestionAnswering",
    "choice": "BertForMultipleChoice",
}
"""Our heads and the classes of transformers that have them."""
POOLED = ("pretraining", "sequence", "choice")
VOCABULARY = ("masked", "pretraining")

# ---- blocks ----


class Attention(nn.Module):
    """Multi-head attention in both directions, queries, keys and values as one matrix product."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = Linear(config.width, *[config.width] * 3, bias=True)
        self.output = Linear(config.width, config.width, bias=True)
        self.dropout = Dropout(config.attention_dropout)

    def forward(self, x_BLD: Tensor, reach: Reach, spots_S: Tensor | None = None) -> Tensor:
        q_BLHK, k_BLHK, v_BLHK = self.qkv(x_BLD).unflatten(-1, (3, self.heads, -1)).unbind(2)
        y_BLHK = attend(q_BLHK, k_BLHK, v_BLHK, reach=reach, dropout=self.dropout)
        y: Tensor = self.output(picked(y_BLHK.flatten(2), spots_S))
        return y


class Block(nn.Module):
    """norm(x + attention(x)), then norm(x + mlp(x))."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.attention_norm = LayerNorm(config.width, config.norm_epsilon)
        self.mlp = GeluMLP(config.width, config.ffn_width, approximate="none")
        self.mlp_norm = LayerNorm(config.width, config.norm_epsilon)
        self.dropout = Dropout(config.dropout)

    def forward(self, x_BLD: Tensor, reach: Reach, spots_S: Tensor | None = None) -> Tensor:
        attended = self.dropout(self.attention(x_BLD, reach, spots_S))
        x = self.attention_norm(picked(x_BLD, spots_S) + attended)
        y: Tensor = self.mlp_norm(x + self.dropout(self.mlp(x)))
        return y


class Transform(nn.Module):
    """The layer between hidden states and the vocabulary: norm(gelu(dense(x)))."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.dense = Linear(config.width, config.width, bias=True)
        self.norm = LayerNorm(config.width, config.norm_epsilon)

    def forward(self, x_SD: Tensor) -> Tensor:
        y_SD: Tensor = self.norm(functional.gelu(self.dense(x_SD)))
        return y_SD


# ---- model ----


class Model(nn.Module):
    """An encoder: ids in, a state for every token out, and what `config.head` makes of the states."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.tokens = Embedding(config.vocab_size, width)
        self.positions = Embedding(config.context, width)
        self.types = Embedding(config.types, width)
        self.norm = LayerNorm(width, config.norm_epsilon)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.pooler = Linear(width, width, bias=True) if config.has_pooler else None
        self.transform = Transform(config) if config.head in VOCABULARY else None
        self.head_bias_V = nn.Parameter(torch.empty(config.vocab_size)) if config.head in VOCABULARY else None
        self.next = Linear(width, 2, bias=True) if config.head == "pretraining" else None
        share = config.dropout if config.classifier_dropout is None else config.classifier_dropout
        self.classifier_dropout = Dropout(share)
        self.score = None if config.columns is None else Linear(width, config.columns, bias=True)

    def embed(self, ids_BL: Tensor, *, runs: Sequence[int] | None = None, types_BL: Tensor | None = None) -> Tensor:
        """What the first block reads, (B, L, D): token, type and position vectors, added and normed.

        Positions restart with each of `runs` (the lengths of the texts packed in the flattened B·L tokens). Without
        `types_BL` all tokens are of type 0. Raises UserError if a text is longer than the context.
        """
        check_length(ids_BL.shape[1] if runs is None else max(runs), self.config.context)
        device = self.tokens.weight.device
        ids_BL = ids_BL.to(device)
        types = self.types.weight[0] if types_BL is None else self.types(types_BL.to(device))
        x_BLD = self.tokens(ids_BL) + types + self.positions(positions_of(ids_BL, runs, None))
        y_BLD: Tensor = self.dropout(self.norm(x_BLD))
        return y_BLD

    def encode(self, x_BLD: Tensor, *, runs: Sequence[int] | None = None, spots_S: Tensor | None = None) -> Tensor:
        """All blocks: embedded tokens to the last layer's states, (B, L, D); attention stays inside rows, or runs.

        With `spots_S`, places among the flattened tokens, only their states, (S, D): the last block computes no others.
        """
        batch, length = x_BLD.shape[:2]
        reach = reach_of(batch, length, runs, causal=False)
        *blocks, last = self.blocks
        for block in blocks:
            x_BLD = block(x_BLD, reach)
        x: Tensor = last(x_BLD, reach, spots_S)
        return x

    def hidden(
        self,
        ids_BL: Tensor,
        *,
        runs: Sequence[int] | None = None,
        types_BL: Tensor | None = None,
        spots_S: Tensor | None = None,
    ) -> Tensor:
        """The last layer's states, (B, L, D), or those at `spots_S`, (S, D): `encode` of `embed`."""
        return self.encode(self.embed(ids_BL, runs=runs, types_BL=types_BL), runs=runs, spots_S=spots_S)

    def pooled(self, x_RD: Tensor) -> Tensor:
        """The states of first tokens, as BERT stands for whole texts: tanh(pooler(x))."""
        assert self.pooler is not None, f"a BERT with the head {self.config.head} has no pooler"
        return torch.tanh(self.pooler(x_RD))

    def scores(self, x_SD: Tensor) -> Tensor:
        """States at the spots that the caller picked, (…, D) → (…, C) scores of the head.

        Spots are first tokens for `sequence` and `choice`, words' first tokens for `token`, any tokens for `span`
        (columns: start, end) and the vocabulary.
        """
        head = self.config.head
        assert head != "none", "a model without a head has no scores"
        if self.score is None:
            return linear(self.features(x_SD), self.head_weight_VD, self.head_bias_V)
        x_SD = self.pooled(x_SD) if head in POOLED else x_SD
        x_SD = x_SD if head == "span" else self.classifier_dropout(x_SD)
        y_SC: Tensor = self.score(x_SD)
        return y_SC

    def features(self, x_SD: Tensor) -> Tensor:
        """What is multiplied with `head_weight_VD` (and `head_bias_V` added) to foretell tokens, (…, D) → (…, D)."""
        assert self.transform is not None, f"the head {self.config.head} foretells no tokens"
        y_SD: Tensor = self.transform(x_SD)
        return y_SD

    @property
    def head_weight_VD(self) -> nn.Parameter:  # noqa: N802
        """The matrix that makes vocabulary scores out of features: the embedding."""
        return self.tokens.weight

    def next_scores(self, x_RD: Tensor) -> Tensor:
        """States of first tokens → (R, 2): the second text follows the first (column 0), or is any other."""
        assert self.next is not None, f"the head {self.config.head} doesn't judge pairs of sentences"
        y_R2: Tensor = self.next(self.pooled(x_RD))
        return y_R2

    def forward(self, ids_BL: Tensor, *, runs: Sequence[int] | None = None, types_BL: Tensor | None = None) -> Tensor:
        x_BLD = self.hidden(ids_BL, runs=runs, types_BL=types_BL)
        return x_BLD if self.config.head == "none" else self.scores(x_BLD)


def init_weights(model: Model, seed: int) -> None:
    """Fill all parameters as BERT did: matrices normal with deviation 0.02, biases 0, norms 1."""
    fill(model, seed=seed, std_of=lambda name: INIT_STD)


# ---- presets: named shapes, `dataclasses.replace` changes what should differ ----

PRESETS: dict[str, Config] = {
    "toy": Config(width=128, layers=4, heads=4, ffn_width=512, context=256, vocab_size=1024),
    "bert-tiny": Config(width=128, layers=2, heads=2, ffn_width=512, context=512, vocab_size=30522),
    "bert-mini": Config(width=256, layers=4, heads=4, ffn_width=1024, context=512, vocab_size=30522),
    "bert-small": Config(width=512, layers=4, heads=8, ffn_width=2048, context=512, vocab_size=30522),
    "bert-medium": Config(width=512, layers=8, heads=8, ffn_width=2048, context=512, vocab_size=30522),
    "bert-base": Config(width=768, layers=12, heads=12, ffn_width=3072, context=512, vocab_size=30522),
    "bert-base-chinese": Config(width=768, layers=12, heads=12, ffn_width=3072, context=512, vocab_size=21128),
    "bert-large": Config(width=1024, layers=24, heads=16, ffn_width=4096, context=512, vocab_size=30522),
    "minilm-6x384": Config(width=384, layers=6, heads=12, ffn_width=1536, context=512, vocab_size=30522),
}

# ---- published names ----

KEYS = {
    "vocab_size": "vocab_size",
    "hidden_size": "width",
    "num_hidden_layers": "layers",
    "num_attention_heads": "heads",
    "intermediate_size": "ffn_width",
    "max_position_embeddings": "context",
    "type_vocab_size": "types",
    "hidden_dropout_prob": "dropout",
    "attention_probs_dropout_prob": "attention_dropout",
    "classifier_dropout": "classifier_dropout",
    "layer_norm_eps": "norm_epsilon",
}
FIXED: dict[str, tuple[Any, ...]] = {
    "model_type": ("bert",),
    "hidden_act": ("gelu",),
    "position_embedding_type": ("absolute",),
    "is_decoder": (False,),
    "add_cross_attention": (False,),
    "tie_word_embeddings": (True,),
    "pooler_type": ("first_token_transform",),
}
WRITTEN = ("model_type", "hidden_act")
HARMLESS_HERE = HARMLESS | {
    "directionality", "gradient_checkpointing", "model_max_length", "pooler_fc_size", "pooler_num_attention_heads",
    "pooler_num_fc_layers", "pooler_size_per_head",
}  # fmt: skip
PREFIX = "bert."
IGNORED_WEIGHTS = (
    r"embeddings\.position_ids",
    r"cls\.(predictions|predictions\.decoder)\.bias",
    r"cls\.predictions\.(decoder|transform\.dense|transform\.LayerNorm)\.weight",
    r"cls\.predictions\.transform\.(dense|LayerNorm)\.bias",
    r"cls\.seq_relationship\.(weight|bias)",
)
"""The constant 0, 1, 2, …; and the pre-training heads in files whose config names another head."""
OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
"""TensorFlow's names, in files of 2018 to 2020."""


def from_hugging_face(values: Mapping[str, Any]) -> Config:
    """The Config of a BERT config.json, or UserError naming the setting that we can't compute."""
    require(values, "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    require(values, "max_position_embeddings")
    ours = read_config(values, known=KEYS, fixed=FIXED, harmless=HARMLESS_HERE)
    return Config(**ours, **head_of(values, HEADS))


def to_hugging_face(config: Config) -> dict[str, Any]:
    """The config.json from which transformers builds the same model."""
    ours = asdict(config)
    return {
        "architectures": [HEADS[config.head]],
        **{key: FIXED[key][0] for key in WRITTEN},
        **{theirs: ours[field] for theirs, field in KEYS.items()},
        **name_labels(config.head, config.labels),
    }


def settle(config: Config, names: Set[str]) -> Config:
    """What no config.json says but the tensors' names (without prefix): whether an unused pooler came along."""
    return replace(config, keeps_pooler=config.head not in POOLED and "pooler.dense.weight" in names)


def tied_copies(config: Config) -> dict[str, str]:
    """Published tensors that repeat another one, and which."""
    if config.head not in VOCABULARY:
        return {}
    return {
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    }


def weights(config: Config) -> dict[str, Published]:
    """Where each of our parameters is found in a published file."""
    prefix = "" if config.head == "none" else PREFIX
    table = {ours: Published((f"{prefix}{theirs}",)) for ours, theirs in ENCODER_WEIGHTS.items()}
    for layer in range(config.layers):
        for ours, parts in BLOCK_WEIGHTS.items():
            names = tuple(f"{prefix}encoder.layer.{layer}.{part}" for part in parts)
            rows = (config.width,) * len(parts) if len(parts) > 1 else ()
            table[f"blocks.{layer}.{ours}"] = Published(names, rows)
    if config.has_pooler:
        table |= _with_bias("pooler", f"{prefix}pooler.dense")
    if config.head in VOCABULARY:
        table["head_bias_V"] = Published(("cls.predictions.bias",))
        table |= _with_bias("transform.dense", "cls.predictions.transform.dense")
        table |= _with_bias("transform.norm", "cls.predictions.transform.LayerNorm")
    if config.head == "pretraining":
        table |= _with_bias("next", "cls.seq_relationship")
    if config.columns is not None:
        table |= _with_bias("score", "qa_outputs" if config.head == "span" else "classifier")
    return table


def _with_bias(ours: str, theirs: str) -> dict[str, Published]:
    return {f"{ours}.{part}": Published((f"{theirs}.{part}",)) for part in ("weight", "bias")}


ENCODER_WEIGHTS = {
    "tokens.weight": "embeddings.word_embeddings.weight",
    "positions.weight": "embeddings.position_embeddings.weight",
    "types.weight": "embeddings.token_type_embeddings.weight",
    "norm.weight": "embeddings.LayerNorm.weight",
    "norm.bias": "embeddings.LayerNorm.bias",
}
BLOCK_WEIGHTS = {
    f"{ours}.{part}": tuple(f"{name}.{part}" for name in theirs)
    for ours, theirs in {
        "attention.qkv": ("attention.self.query", "attention.self.key", "attention.self.value"),
        "attention.output": ("attention.output.dense",),
        "attention_norm": ("attention.output.LayerNorm",),
        "mlp.up": ("intermediate.dense",),
        "mlp.down": ("output.dense",),
        "mlp_norm": ("output.LayerNorm",),
    }.items()
    for part in ("weight", "bias")
}
