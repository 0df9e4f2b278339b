"""The Transformer of 2017: an encoder and a decoder, sinusoidal positions, norms behind each part, shared embeddings.

Source: Vaswani et al. 2017, arXiv:1706.03762. The published layout is that of Marian's translation models, which add a
bias for each word of the vocabulary (Junczys-Dowmunt et al. 2018, arXiv:1804.00344).
Axes: B batch, L length, S source tokens, D width, H heads, K head width, V vocabulary.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lexloom.base.errors import UserError
from lexloom.nn.attention import Reach, attend, reach_of
from lexloom.nn.checks import (
    check_choice,
    check_flag,
    check_id,
    check_length,
    check_multiple,
    check_number,
    check_sizes,
)
from lexloom.nn.dropout import Dropout
from lexloom.nn.init import fill
from lexloom.nn.layers import Embedding, LayerNorm
from lexloom.nn.linear import Linear, linear
from lexloom.nn.positions import Sinusoids, positions_of
from lexloom.nn.published import HARMLESS, Published, read_config, require
from lexloom.nn.source import Gaze, Source, attend_source, gaze_of, source_of
from lexloom.nn.source_cache import SourceCache

KIND = "encoder-decoder"
NORM_EPSILON = 1e-5  # Marian's

# ---- config ----


@dataclass(frozen=True, kw_only=True)
class Config:
    """The shape of a Transformer; impossible numbers raise UserError."""

    vocab_size: int
    width: int
    layers: int
    """Blocks of the encoder."""
    heads: int
    ffn_width: int
    """The inner width of the feed-forward layers."""
    context: int
    """The longest source text, and the longest target text, in tokens."""
    decoder_layers: int | None = None
    """Blocks of the decoder; as many as the encoder's if not given."""
    activation: str = "relu"
    """Between the two feed-forward layers: one of ACTIVATIONS."""
    scaled_embedding: bool = True
    """Whether embeddings are multiplied by √D before the positions are added."""
    start_id: int = 0
    """The token that stands before every target text."""
    pad_id: int = 0
    """The token that others fill short rows with; Lexloom computes no padding."""
    dropout: float = 0.1
    """Share of the embeddings and of each residual branch's outputs dropped in training."""
    attention_dropout: float = 0.0
    """Share of attention weights dropped in training (slow on a CPU)."""
    activation_dropout: float = 0.0
    """Share of the feed-forward layers' inner values dropped in training."""

    def __post_init__(self) -> None:
        check_sizes(self)
        check_multiple("width", self.width, "heads", self.heads)
        check_choice("activation", self.activation, tuple(ACTIVATIONS))
        check_flag("scaled_embedding", self.scaled_embedding)
        for name in ("start_id", "pad_id"):
            check_id(name, getattr(self, name), self.vocab_size)
        for name in ("dropout", "attention_dropout", "activation_dropout"):
            check_number(name, getattr(self, name), 0.0, 0.99)

    @property
    def writing_layers(self) -> int:
        """Blocks of the decoder, given or not."""
        return self.layers if self.decoder_layers is None else self.decoder_layers


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "swish": functional.silu,
    "gelu": functional.gelu,
}

# ---- blocks ----


class Attention(nn.Module):
    """Multi-head attention inside a text, queries, keys and values as one matrix product."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        self.layer, self.heads = layer, config.heads
        self.qkv = Linear(config.width, *[config.width] * 3, bias=True)
        self.output = Linear(config.width, config.width, bias=True)
        self.dropout = Dropout(config.attention_dropout)

    def forward(self, x_BLD: Tensor, reach: Reach) -> Tensor:
        q_BLHK, k_BLHK, v_BLHK = self.qkv(x_BLD).unflatten(-1, (3, self.heads, -1)).unbind(2)
        y_BLHK = attend(q_BLHK, k_BLHK, v_BLHK, reach=reach, layer=self.layer, dropout=self.dropout)
        y_BLD: Tensor = self.output(y_BLHK.flatten(2))
        return y_BLD


class SourceAttention(nn.Module):
    """Multi-head attention of target tokens to the encoder's states; keys and values as one matrix product."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        self.layer, self.heads = layer, config.heads
        self.query = Linear(config.width, config.width, bias=True)
        self.kv = Linear(config.width, *[config.width] * 2, bias=True)
        self.output = Linear(config.width, config.width, bias=True)
        self.dropout = Dropout(config.attention_dropout)

    def keys_values(self, states_SD: Tensor) -> tuple[Tensor, Tensor]:
        """Both of every source token, (S, H, K)."""
        k_SHK, v_SHK = self.kv(states_SD).unflatten(-1, (2, self.heads, -1)).unbind(1)
        return k_SHK, v_SHK

    def forward(self, x_BLD: Tensor, gaze: Gaze) -> Tensor:
        q_BLHK = self.query(x_BLD).unflatten(-1, (self.heads, -1))
        y_BLHK = attend_source(q_BLHK, self.keys_values, gaze, layer=self.layer, dropout=self.dropout)
        y_BLD: Tensor = self.output(y_BLHK.flatten(2))
        return y_BLD


class MLP(nn.Module):
    """Linear, activation, linear."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[config.activation]
        self.up = Linear(config.width, config.ffn_width, bias=True)
        self.dropout = Dropout(config.activation_dropout)
        self.down = Linear(config.ffn_width, config.width, bias=True)

    def forward(self, x_BLD: Tensor) -> Tensor:
        y_BLD: Tensor = self.down(self.dropout(self.activation(self.up(x_BLD))))
        return y_BLD


class EncoderBlock(nn.Module):
    """norm(x + attention(x)), then norm(x + mlp(x))."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        self.attention = Attention(config, layer)
        self.attention_norm = LayerNorm(config.width, NORM_EPSILON)
        self.mlp = MLP(config)
        self.mlp_norm = LayerNorm(config.width, NORM_EPSILON)
        self.dropout = Dropout(config.dropout)

    def forward(self, x_BLD: Tensor, reach: Reach) -> Tensor:
        x_BLD = self.attention_norm(x_BLD + self.dropout(self.attention(x_BLD, reach)))
        y_BLD: Tensor = self.mlp_norm(x_BLD + self.dropout(self.mlp(x_BLD)))
        return y_BLD


class DecoderBlock(nn.Module):
    """norm(x + attention(x)), norm(x + source_attention(x)), norm(x + mlp(x))."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        self.attention = Attention(config, layer)
        self.attention_norm = LayerNorm(config.width, NORM_EPSILON)
        self.source_attention = SourceAttention(config, layer)
        self.source_norm = LayerNorm(config.width, NORM_EPSILON)
        self.mlp = MLP(config)
        self.mlp_norm = LayerNorm(config.width, NORM_EPSILON)
        self.dropout = Dropout(config.dropout)

    def forward(self, x_BLD: Tensor, reach: Reach, gaze: Gaze) -> Tensor:
        x_BLD = self.attention_norm(x_BLD + self.dropout(self.attention(x_BLD, reach)))
        x_BLD = self.source_norm(x_BLD + self.dropout(self.source_attention(x_BLD, gaze)))
        y_BLD: Tensor = self.mlp_norm(x_BLD + self.dropout(self.mlp(x_BLD)))
        return y_BLD


# ---- model ----


class Model(nn.Module):
    """An encoder–decoder: source ids to states, and with them target ids to a score for every next word."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.tokens = Embedding(config.vocab_size, config.width)
        self.positions = Sinusoids(config.width)
        self.dropout = Dropout(config.dropout)
        self.encoder = nn.ModuleList(EncoderBlock(config, layer) for layer in range(config.layers))
        self.decoder = nn.ModuleList(DecoderBlock(config, layer) for layer in range(config.writing_layers))
        self.head_bias_V = nn.Parameter(torch.empty(config.vocab_size))

    @property
    def head_weight_VD(self) -> nn.Parameter:  # noqa: N802
        """The matrix that makes vocabulary scores out of features: the embedding."""
        return self.tokens.weight

    def encode(self, ids_BL: Tensor, *, runs: Sequence[int] | None = None) -> Tensor:
        """The encoder's states of source texts, (B, L, D); attention stays inside rows, or the packed `runs`.

        Raises UserError if a text is longer than the context.
        """
        batch, length = ids_BL.shape
        x_BLD = self._embed(ids_BL, runs, None)
        reach = reach_of(batch, length, runs, causal=False)
        for block in self.encoder:
            x_BLD = block(x_BLD, reach)
        return x_BLD

    def hidden(
        self,
        ids_BL: Tensor,
        *,
        source: Source | None = None,
        runs: Sequence[int] | None = None,
        cache: SourceCache | None = None,
    ) -> Tensor:
        """The decoder's last states of target texts, (B, L, D); row or run i looks at text i of `source`.

        `cache` continues what it holds, source included, and is advanced. Raises UserError if a text is longer than the
        context or the cache.
        """
        batch, length = ids_BL.shape
        reach = reach_of(batch, length, runs, cache)
        gaze = gaze_of(batch, length, runs, source, cache)
        x_BLD = self._embed(ids_BL, runs, cache)
        for block in self.decoder:
            x_BLD = block(x_BLD, reach, gaze)
        if cache is not None:
            cache.advance(length)
        return x_BLD

    def _embed(self, ids_BL: Tensor, runs: Sequence[int] | None, cache: SourceCache | None) -> Tensor:
        ids_BL = ids_BL.to(self.tokens.weight.device)
        check_length(ids_BL.shape[1] if runs is None else max(runs), self.config.context)
        scale = self.config.width**0.5 if self.config.scaled_embedding else 1.0
        x_BLD = torch.add(self.positions(positions_of(ids_BL, runs, cache)), self.tokens(ids_BL), alpha=scale)
        y_BLD: Tensor = self.dropout(x_BLD)
        return y_BLD

    def features(self, x: Tensor) -> Tensor:
        """What is multiplied with `head_weight_VD`, (…, D) → (…, D): here the states themselves."""
        return x

    def scores(self, x: Tensor) -> Tensor:
        """The decoder's states (…, D) → scores (…, V) of the next word."""
        return linear(self.features(x), self.head_weight_VD, self.head_bias_V)

    def forward(self, ids_BL: Tensor, *, source_BL: Tensor | None = None, runs: Sequence[int] | None = None) -> Tensor:
        """Scores of the texts as translations of `source_BL`, row by row, or of themselves if there is none."""
        source_BL, source_runs = (ids_BL, runs) if source_BL is None else (source_BL, None)
        source = source_of(self.encode(source_BL, runs=source_runs), source_runs)
        return self.scores(self.hidden(ids_BL, source=source, runs=runs))

    def new_cache(self, batch: int, tokens: int, *, source: Source) -> SourceCache:
        """A cache for `batch` rows of up to `tokens` tokens, row i looking at text i of `source`.

        Raises UserError if that exceeds the context.
        """
        check_length(tokens, self.config.context)
        layers = [module for module in self.decoder.modules() if isinstance(module, SourceAttention)]
        keys_values = [layer.keys_values(source.states_SD) for layer in layers]
        return SourceCache(keys_values=keys_values, runs=source.runs, batch=batch, tokens=tokens)


def init_weights(model: Model, seed: int) -> None:
    """Fill all parameters: matrices with Xavier's deviation, embeddings with 1/√D, biases 0, norms 1.

    As the authors' tensor2tensor did, with normal draws. Source: Glorot & Bengio 2010, equation 16.
    """
    width, ffn_width = model.config.width, model.config.ffn_width

    def deviation(name: str) -> float:
        return math.sqrt(2 / (width + ffn_width)) if ".mlp." in name else 1 / math.sqrt(width)

    fill(model, seed=seed, std_of=deviation)


# ---- presets: named shapes, `dataclasses.replace` changes what should differ ----

PRESETS: dict[str, Config] = {
    "toy": Config(width=64, layers=2, heads=4, ffn_width=128, context=128, vocab_size=1024),
    "tiny": Config(width=128, layers=4, heads=4, ffn_width=256, context=256, vocab_size=10000, dropout=0.3),
    "small": Config(width=256, layers=4, heads=4, ffn_width=1024, context=512, vocab_size=16000),
    # Vaswani et al. 2017, table 3
    "base": Config(width=512, layers=6, heads=8, ffn_width=2048, context=512, vocab_size=37000),
    "big": Config(width=1024, layers=6, heads=16, ffn_width=4096, context=512, vocab_size=37000, dropout=0.3),
}

# ---- published names ----

KEYS = {
    "vocab_size": "vocab_size",
    "d_model": "width",
    "encoder_layers": "layers",
    "decoder_layers": "decoder_layers",
    "encoder_attention_heads": "heads",
    "encoder_ffn_dim": "ffn_width",
    "max_position_embeddings": "context",
    "activation_function": "activation",
    "scale_embedding": "scaled_embedding",
    "decoder_start_token_id": "start_id",
    "pad_token_id": "pad_id",
    "dropout": "dropout",
    "attention_dropout": "attention_dropout",
    "activation_dropout": "activation_dropout",
}
SAME = {
    "decoder_attention_heads": "encoder_attention_heads",
    "decoder_ffn_dim": "encoder_ffn_dim",
    "decoder_vocab_size": "vocab_size",
}
"""Settings of the decoder that have to be as the encoder's."""
FIXED: dict[str, tuple[Any, ...]] = {
    "model_type": ("marian",),
    "is_encoder_decoder": (True,),
    "share_encoder_decoder_embeddings": (True,),
    "tie_word_embeddings": (True,),
    "static_position_embeddings": (True,),
    "normalize_before": (False,),
    "normalize_embedding": (False,),
    "add_final_layer_norm": (False,),
    "is_decoder": (False,),
}
WRITTEN = ("model_type", "is_encoder_decoder", "share_encoder_decoder_embeddings", "tie_word_embeddings")
HARMLESS_HERE = HARMLESS | {
    "_num_labels", "add_bias_logits", "bad_words_ids", "classif_dropout", "classifier_dropout", "decoder_layerdrop",
    "encoder_layerdrop", "extra_pos_embeddings", "force_bos_token_to_be_generated", "gradient_checkpointing",
    "init_std", "no_repeat_ngram_size", "num_beams", "num_hidden_layers",
}  # fmt: skip
PREFIX = "model."
IGNORED_WEIGHTS = (r"(encoder|decoder)\.embed_positions\.weight",)
"""The sinusoids, which are computed."""


def from_hugging_face(values: Mapping[str, Any]) -> Config:
    """The Config of a Marian config.json, or UserError naming the setting that we can't compute."""
    require(values, "vocab_size", "d_model", "encoder_layers", "decoder_layers", "encoder_attention_heads")
    require(values, "encoder_ffn_dim", "max_position_embeddings", "decoder_start_token_id", "pad_token_id")
    for theirs, same in SAME.items():
        if values.get(theirs) not in (None, values[same]):
            raise UserError(f"{values[theirs]!r} differs from {same} {values[same]!r}", where=theirs)
    config = Config(**read_config(values, known=KEYS, fixed=FIXED, harmless=HARMLESS_HERE | SAME.keys()))
    return replace(config, decoder_layers=None) if config.decoder_layers == config.layers else config


def to_hugging_face(config: Config) -> dict[str, Any]:
    """The config.json from which transformers builds the same model."""
    ours = asdict(config)
    found = {theirs: ours[field] for theirs, field in KEYS.items()} | {"decoder_layers": config.writing_layers}
    return {
        "architectures": ["MarianMTModel"],
        **{key: FIXED[key][0] for key in WRITTEN},
        **found,
        **{theirs: found[same] for theirs, same in SAME.items()},
        "forced_eos_token_id": None,
    }


def tied_copies(config: Config) -> dict[str, str]:
    """Published tensors that repeat another one, and which."""
    copies = ("lm_head.weight", "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight")
    return dict.fromkeys(copies, "model.shared.weight")


def weights(config: Config) -> dict[str, Published]:
    """Where each of our parameters is found in a published file."""
    table = {
        "tokens.weight": Published(("model.shared.weight",)),
        "head_bias_V": Published(("final_logits_bias",), as_row=True),
    }
    for stack, layers in (("encoder", config.layers), ("decoder", config.writing_layers)):
        for layer in range(layers):
            for ours, parts in BLOCK_WEIGHTS[stack].items():
                names = tuple(f"model.{stack}.layers.{layer}.{part}" for part in parts)
                rows = (config.width,) * len(parts) if len(parts) > 1 else ()
                table[f"{stack}.{layer}.{ours}"] = Published(names, rows)
    return table


def _named(*parts: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {
        f"{ours}.{kind}": tuple(f"{name}.{kind}" for name in theirs)
        for part in parts
        for ours, theirs in part.items()
        for kind in ("weight", "bias")
    }


SELF = {
    "attention.qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "attention.output": ("self_attn.out_proj",),
    "attention_norm": ("self_attn_layer_norm",),
}
SOURCE = {
    "source_attention.query": ("encoder_attn.q_proj",),
    "source_attention.kv": ("encoder_attn.k_proj", "encoder_attn.v_proj"),
    "source_attention.output": ("encoder_attn.out_proj",),
    "source_norm": ("encoder_attn_layer_norm",),
}
FEED_FORWARD = {"mlp.up": ("fc1",), "mlp.down": ("fc2",), "mlp_norm": ("final_layer_norm",)}
BLOCK_WEIGHTS = {"encoder": _named(SELF, FEED_FORWARD), "decoder": _named(SELF, SOURCE, FEED_FORWARD)}
