"""ModernBERT: rotary positions, norms before each part, gated feed-forward, most layers seeing only a window.

Source: Warner et al. 2024, arXiv:2412.13663.
Axes: B batch, L length, D width, H heads, K head width, V vocabulary, S spots (tokens picked by the caller),
C columns of the head.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lexloom.base.errors import UserError
from lexloom.nn.attention import Reach, attend, reach_of
from lexloom.nn.checks import check_choice, check_length, check_multiple, check_number, check_size, check_sizes
from lexloom.nn.dropout import Dropout
from lexloom.nn.init import init_normal
from lexloom.nn.layers import Embedding, LayerNorm, picked
from lexloom.nn.linear import Linear, linear
from lexloom.nn.positions import Rotary, Turn, positions_of, rotate
from lexloom.nn.published import HARMLESS, Published, head_of, name_labels, read_config, require

KIND = "encoder"

# ---- config ----


@dataclass(frozen=True, kw_only=True)
class Config:
    """The shape of a ModernBERT; impossible numbers raise UserError."""

    vocab_size: int
    width: int
    layers: int
    heads: int
    ffn_width: int
    """The inner width of the feed-forward layers."""
    context: int
    """The longest text in tokens."""
    window: int = 64
    """How many tokens away, on each side, the furthest token is that a local layer sees."""
    global_every: int = 3
    """Every so manieth layer, from the first on, sees the whole text; the others are local."""
    global_theta: float = 160_000.0
    """Rotary theta (see `nn.positions.Rotary`) of the global layers."""
    local_theta: float = 10_000.0
    """Rotary theta of the local layers."""
    head: str = "masked"
    """What stands on the encoder: one of HEADS."""
    labels: int = 2
    """Columns of the heads `sequence` and `token`."""
    dropout: float = 0.0
    """Share of the feed-forward layers' inner values dropped in training."""
    attention_dropout: float = 0.0
    """Share of attention weights, and of the attention's outputs, dropped in training (slow on a CPU)."""
    embedding_dropout: float = 0.0
    """Share of the embeddings' outputs dropped in training."""
    classifier_dropout: float = 0.0
    """Share of a task head's inputs dropped in training."""
    norm_epsilon: float = 1e-5

    def __post_init__(self) -> None:
        check_sizes(self)
        check_size("layers", self.global_every)
        check_multiple("width", self.width, "heads", self.heads)
        check_multiple("width", self.width, "heads of rotary pairs", 2 * self.heads)
        check_choice("head", self.head, tuple(HEADS))
        for name in ("dropout", "attention_dropout", "embedding_dropout", "classifier_dropout"):
            check_number(name, getattr(self, name), 0.0, 0.99)
        for name in ("global_theta", "local_theta"):
            check_number(name, getattr(self, name), 1.0, 1e12)
        check_number("norm_epsilon", self.norm_epsilon, 1e-12, 1.0)

    @property
    def columns(self) -> int | None:
        """Columns of the head's last layer; None for heads without one of their own."""
        return {"sequence": self.labels, "token": self.labels, "span": 2, "choice": 1}.get(self.head)

    def is_global(self, layer: int) -> bool:
        """Whether a layer sees the whole text."""
        return layer % self.global_every == 0


HEADS = {
    "none": "ModernBertModel",
    "masked": "ModernBertForMaskedLM",
    "sequence": "ModernBertForSequenceClassification",
    "token": "ModernBertForTokenClassification",
    "span": "ModernBertForQuestionAnswering",
    "choice": "ModernBertForMultipleChoice",
}
"""Our heads and the classes of transformers that have them."""

# ---- blocks ----


class Attention(nn.Module):
    """Multi-head attention in both directions over rotated queries and keys, within a window if the layer is local."""

    def __init__(self, config: Config, *, window: int | None) -> None:
        super().__init__()
        self.heads, self.window = config.heads, window
        self.qkv = Linear(config.width, *[config.width] * 3, bias=False)
        self.output = Linear(config.width, config.width, bias=False)
        self.dropout = Dropout(config.attention_dropout)

    def forward(self, x_BLD: Tensor, turn: Turn, reach: Reach, spots_S: Tensor | None = None) -> Tensor:
        q_BLHK, k_BLHK, v_BLHK = self.qkv(x_BLD).unflatten(-1, (3, self.heads, -1)).unbind(2)
        q_BLHK, k_BLHK = rotate(q_BLHK, turn), rotate(k_BLHK, turn)
        reach = dataclasses.replace(reach, window=self.window)
        y_BLHK = attend(q_BLHK, k_BLHK, v_BLHK, reach=reach, dropout=self.dropout)
        y: Tensor = self.dropout(self.output(picked(y_BLHK.flatten(2), spots_S)))
        return y


class GatedGeluMLP(nn.Module):
    """down(gelu(gate(x)) · up(x)), gate and up as one matrix product. Source: GEGLU, arXiv:2002.05202."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.gate_up = Linear(config.width, config.ffn_width, config.ffn_width, bias=False)
        self.down = Linear(config.ffn_width, config.width, bias=False)
        self.dropout = Dropout(config.dropout)

    def forward(self, x_BLD: Tensor) -> Tensor:
        gate_BLF, up_BLF = self.gate_up(x_BLD).chunk(2, dim=-1)
        y_BLD: Tensor = self.down(self.dropout(functional.gelu(gate_BLF) * up_BLF))
        return y_BLD


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); the first layer's input is normed already."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        self.is_global = config.is_global(layer)
        self.attention_norm = nn.Identity() if layer == 0 else _norm(config)
        self.attention = Attention(config, window=None if self.is_global else config.window)
        self.mlp_norm = _norm(config)
        self.mlp = GatedGeluMLP(config)

    def forward(self, x_BLD: Tensor, turn: Turn, reach: Reach, spots_S: Tensor | None = None) -> Tensor:
        x = picked(x_BLD, spots_S) + self.attention(self.attention_norm(x_BLD), turn, reach, spots_S)
        y: Tensor = x + self.mlp(self.mlp_norm(x))
        return y


class Transform(nn.Module):
    """The layer between hidden states and any head's scores: norm(gelu(dense(x)))."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.dense = Linear(config.width, config.width, bias=False)
        self.norm = _norm(config)

    def forward(self, x_SD: Tensor) -> Tensor:
        y_SD: Tensor = self.norm(functional.gelu(self.dense(x_SD)))
        return y_SD


def _norm(config: Config) -> LayerNorm:
    return LayerNorm(config.width, config.norm_epsilon, bias=False)


# ---- model ----


class Model(nn.Module):
    """An encoder: ids in, a state for every token out, and what `config.head` makes of the states."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        width, head_width = config.width, config.width // config.heads
        self.global_rotary = Rotary(head_width, config.global_theta, None)
        self.local_rotary = Rotary(head_width, config.local_theta, None)
        self.tokens = Embedding(config.vocab_size, width)
        self.embedding_norm = _norm(config)
        self.dropout = Dropout(config.embedding_dropout)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.norm = _norm(config)
        self.transform = None if config.head == "none" else Transform(config)
        self.head_bias_V = nn.Parameter(torch.empty(config.vocab_size)) if config.head == "masked" else None
        self.classifier_dropout = Dropout(config.classifier_dropout)
        self.score = None if config.columns is None else Linear(width, config.columns, bias=True)

    def embed(self, ids_BL: Tensor, *, runs: Sequence[int] | None = None, types_BL: Tensor | None = None) -> Tensor:
        """What the first block reads, (B, L, D): token vectors, normed.

        Positions come in later, and token types don't exist here: `types_BL` has no effect. Raises UserError if a text
        (a row, or one of `runs`) is longer than the context.
        """
        check_length(ids_BL.shape[1] if runs is None else max(runs), self.config.context)
        x_BLD: Tensor = self.dropout(self.embedding_norm(self.tokens(ids_BL.to(self.tokens.weight.device))))
        return x_BLD

    def encode(self, x_BLD: Tensor, *, runs: Sequence[int] | None = None, spots_S: Tensor | None = None) -> Tensor:
        """All blocks: embedded tokens to the last layer's states, normed, (B, L, D).

        Attention stays inside rows, or inside `runs` (the lengths of the texts packed in the flattened B·L tokens),
        where positions restart.
        With `spots_S`, places among the flattened tokens, only their states, (S, D): the last block computes no others.
        """
        batch, length = x_BLD.shape[:2]
        reach = reach_of(batch, length, runs, causal=False)
        positions_BL = positions_of(x_BLD[..., 0], runs, None)
        turns = {True: self.global_rotary(positions_BL), False: self.local_rotary(positions_BL)}
        *blocks, last = self.blocks
        for block in blocks:
            x_BLD = block(x_BLD, turns[bool(block.is_global)], reach)
        y: Tensor = self.norm(last(x_BLD, turns[bool(last.is_global)], reach, spots_S))
        return y

    def hidden(
        self,
        ids_BL: Tensor,
        *,
        runs: Sequence[int] | None = None,
        types_BL: Tensor | None = None,
        spots_S: Tensor | None = None,
    ) -> Tensor:
        """The last layer's states, normed, (B, L, D), or those at `spots_S`, (S, D): `encode` of `embed`."""
        return self.encode(self.embed(ids_BL, runs=runs, types_BL=types_BL), runs=runs, spots_S=spots_S)

    def scores(self, x_SD: Tensor) -> Tensor:
        """States at the spots that the caller picked, (…, D) → (…, C) scores of the head.

        Spots are first tokens for `sequence` and `choice`, words' first tokens for `token`, any tokens for `span`
        (columns: start, end) and the vocabulary.
        """
        features_SD = self.features(x_SD)
        if self.score is None:
            return linear(features_SD, self.head_weight_VD, self.head_bias_V)
        y_SC: Tensor = self.score(self.classifier_dropout(features_SD))
        return y_SC

    def features(self, x_SD: Tensor) -> Tensor:
        """What is multiplied with `head_weight_VD` (and `head_bias_V` added) to foretell tokens, (…, D) → (…, D)."""
        assert self.transform is not None, "a model without a head has no scores"
        y_SD: Tensor = self.transform(x_SD)
        return y_SD

    @property
    def head_weight_VD(self) -> nn.Parameter:  # noqa: N802
        """The matrix that makes vocabulary scores out of features: the embedding."""
        return self.tokens.weight

    def forward(self, ids_BL: Tensor, *, runs: Sequence[int] | None = None, types_BL: Tensor | None = None) -> Tensor:
        x_BLD = self.hidden(ids_BL, runs=runs, types_BL=types_BL)
        return x_BLD if self.config.head == "none" else self.scores(x_BLD)


def init_weights(model: Model, seed: int) -> None:
    """Fill all parameters as Megatron does: what writes into the residual stream is scaled down with depth."""
    residual = ("attention.output.weight", "mlp.down.weight")
    init_normal(model, seed=seed, layers=model.config.layers, residual=residual)


# ---- presets: named shapes, `dataclasses.replace` changes what should differ ----

PRESETS: dict[str, Config] = {
    "toy": Config(width=128, layers=4, heads=4, ffn_width=192, context=256, vocab_size=1024, window=32),
    "modernbert-base": Config(width=768, layers=22, heads=12, ffn_width=1152, context=8192, vocab_size=50368),
    "modernbert-large": Config(width=1024, layers=28, heads=16, ffn_width=2624, context=8192, vocab_size=50368),
}

# ---- published names ----

KEYS = {
    "vocab_size": "vocab_size",
    "hidden_size": "width",
    "num_hidden_layers": "layers",
    "num_attention_heads": "heads",
    "intermediate_size": "ffn_width",
    "max_position_embeddings": "context",
    "mlp_dropout": "dropout",
    "attention_dropout": "attention_dropout",
    "embedding_dropout": "embedding_dropout",
    "classifier_dropout": "classifier_dropout",
    "norm_eps": "norm_epsilon",
}
FIXED: dict[str, tuple[Any, ...]] = {
    "model_type": ("modernbert",),
    "hidden_activation": ("gelu",),
    "classifier_activation": ("gelu",),
    "norm_bias": (False,),
    "attention_bias": (False,),
    "mlp_bias": (False,),
    "classifier_bias": (False,),
    "decoder_bias": (True,),
    "tie_word_embeddings": (True,),
    "is_decoder": (False,),
}
HARMLESS_HERE = HARMLESS | {
    "deterministic_flash_attn", "gradient_checkpointing", "initializer_cutoff_factor", "layer_norm_eps",
    "position_embedding_type", "reference_compile", "repad_logits_with_grad", "sparse_pred_ignore_index",
    "sparse_prediction",
}  # fmt: skip
READ_HERE = {
    "classifier_pooling", "global_attn_every_n_layers", "global_rope_theta", "layer_types", "local_attention",
    "local_rope_theta", "rope_parameters",
}  # fmt: skip
PREFIX = "model."
IGNORED_WEIGHTS = (r"head\.(dense|norm)\.weight", r"decoder\.(weight|bias)")
"""The heads of pre-training in files whose config names another head."""
GLOBAL, LOCAL = "full_attention", "sliding_attention"


def from_hugging_face(values: Mapping[str, Any]) -> Config:
    """The Config of a ModernBERT config.json, or UserError naming the setting that we can't compute."""
    require(values, "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    require(values, "max_position_embeddings")
    ours = read_config(values, known=KEYS, fixed=FIXED, harmless=HARMLESS_HERE | READ_HERE)
    head = head_of(values, HEADS)
    if head["head"] in ("sequence", "choice") and values.get("classifier_pooling", "cls") != "cls":
        raise UserError(f"{values['classifier_pooling']!r} is not supported, only 'cls'", where="classifier_pooling")
    return Config(**ours, **head, **_read_window(values), **_read_layers(values), **_read_thetas(values))


def to_hugging_face(config: Config) -> dict[str, Any]:
    """The config.json from which transformers builds the same model."""
    ours = asdict(config)
    return {
        "architectures": [HEADS[config.head]],
        **{key: choices[0] for key, choices in FIXED.items() if key != "is_decoder"},
        **{theirs: ours[field] for theirs, field in KEYS.items()},
        "classifier_pooling": "cls",
        "global_attn_every_n_layers": config.global_every,
        "local_attention": 2 * config.window,
        "global_rope_theta": config.global_theta,
        "local_rope_theta": config.local_theta,
        **name_labels(config.head, config.labels),
    }


def tied_copies(config: Config) -> dict[str, str]:
    """Published tensors that repeat another one, and which."""
    return {"decoder.weight": "model.embeddings.tok_embeddings.weight"} if config.head == "masked" else {}


def weights(config: Config) -> dict[str, Published]:
    """Where each of our parameters is found in a published file."""
    prefix = "" if config.head == "none" else PREFIX
    table = {
        "tokens.weight": f"{prefix}embeddings.tok_embeddings.weight",
        "embedding_norm.weight": f"{prefix}embeddings.norm.weight",
        "norm.weight": f"{prefix}final_norm.weight",
    }
    for layer in range(config.layers):
        table |= {
            f"blocks.{layer}.{ours}": f"{prefix}layers.{layer}.{theirs}" for ours, theirs in BLOCK_WEIGHTS.items()
        }
    del table["blocks.0.attention_norm.weight"]
    if config.head != "none":
        table |= {"transform.dense.weight": "head.dense.weight", "transform.norm.weight": "head.norm.weight"}
    if config.head == "masked":
        table["head_bias_V"] = "decoder.bias"
    if config.columns is not None:
        table |= {"score.weight": "classifier.weight", "score.bias": "classifier.bias"}
    return {ours: Published((theirs,)) for ours, theirs in table.items()}


BLOCK_WEIGHTS = {
    "attention_norm.weight": "attn_norm.weight",
    "attention.qkv.weight": "attn.Wqkv.weight",
    "attention.output.weight": "attn.Wo.weight",
    "mlp_norm.weight": "mlp_norm.weight",
    "mlp.gate_up.weight": "mlp.Wi.weight",
    "mlp.down.weight": "mlp.Wo.weight",
}


def _read_window(values: Mapping[str, Any]) -> dict[str, Any]:
    width = values.get("local_attention")
    if width is None:
        return {}
    check_size("window", width)
    return {"window": width // 2}


def _read_layers(values: Mapping[str, Any]) -> dict[str, Any]:
    """`layer_types` names every layer (transformers 5); before, there was only the number."""
    kinds, every = values.get("layer_types"), values.get("global_attn_every_n_layers")
    if kinds is None:
        return {} if every is None else {"global_every": every}
    check_size("layers", values["num_hidden_layers"])
    layers: int = values["num_hidden_layers"]
    for candidate in range(1, layers + 1):
        if kinds == [GLOBAL if layer % candidate == 0 else LOCAL for layer in range(layers)]:
            return {"global_every": candidate}
    raise UserError("only global layers at even distances, from the first on, are supported", where="layer_types")


def _read_thetas(values: Mapping[str, Any]) -> dict[str, Any]:
    """From `rope_parameters` (transformers 5) or `global_rope_theta` and `local_rope_theta` (before)."""
    tables = values.get("rope_parameters") or {}
    if not isinstance(tables, Mapping):
        raise UserError(f"{tables!r} is not a table", where="rope_parameters")
    found: dict[str, Any] = {}
    for field, kind, key in (("global_theta", GLOBAL, "global_rope_theta"), ("local_theta", LOCAL, "local_rope_theta")):
        table = tables.get(kind) or {}
        if not isinstance(table, Mapping) or table.get("rope_type", "default") != "default":
            raise UserError(f"{table!r} is not supported, only the type 'default'", where="rope_parameters")
        theta = table.get("rope_theta", values.get(key))
        found |= {} if theta is None else {field: theta}
    return found
