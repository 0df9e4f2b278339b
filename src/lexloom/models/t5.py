"""T5, T5 v1.1, FLAN-T5 and mT5: an encoder and a decoder with relative positions and RMS norms before each part.

Sources: Raffel et al. 2020, arXiv:1910.10683 (T5); Shazeer 2020, arXiv:2002.05202 (the gated layers of v1.1);
Xue et al. 2021, arXiv:2010.11934 (mT5); Chung et al. 2022, arXiv:2210.11416 (FLAN).
Axes: B batch, L length, S source tokens, D width, H heads, K head width, V vocabulary.
"""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass, replace
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from lexloom.base.errors import UserError
from lexloom.nn.attention import Reach, attend, reach_of
from lexloom.nn.checks import SIZE_BOUNDS, check_flag, check_id, check_length, check_multiple, check_number, check_sizes
from lexloom.nn.dropout import Dropout
from lexloom.nn.init import fill
from lexloom.nn.layers import Embedding, RMSNorm
from lexloom.nn.linear import Linear, linear
from lexloom.nn.published import HARMLESS, Published, read_config, require
from lexloom.nn.relative import RelativeBias, with_bias
from lexloom.nn.source import Gaze, Source, attend_source, gaze_of, source_of
from lexloom.nn.source_cache import SourceCache

KIND = "encoder-decoder"

# ---- config ----


@dataclass(frozen=True, kw_only=True)
class Config:
    """The shape of a T5; impossible numbers raise UserError."""

    vocab_size: int
    width: int
    layers: int
    """Blocks of the encoder."""
    heads: int
    head_width: int
    ffn_width: int
    """The inner width of the feed-forward layers."""
    context: int = 512
    """The longest source text, and the longest target text, in tokens; relative positions would allow any."""
    decoder_layers: int | None = None
    """Blocks of the decoder; as many as the encoder's if not given."""
    gated: bool = False
    """Whether the feed-forward layers are GELU-gated as in v1.1, or plain with ReLU as in v1.0."""
    tied: bool = True
    """Whether the embedding matrix also makes the scores."""
    scaled: bool = True
    """Whether states are multiplied by 1/√D before they become scores, as in v1.0; only for a tied head."""
    buckets: int = 32
    """How many buckets of distances have a bias."""
    furthest: int = 128
    """The distance, in tokens, from which on all share one bucket."""
    start_id: int = 0
    """The token that stands before every target text."""
    pad_id: int = 0
    """The token that others fill short rows with; Lexloom computes no padding."""
    dropout: float = 0.1
    """Share of the embeddings, attention weights, inner values, residual branches and last states dropped."""
    norm_epsilon: float = 1e-6

    def __post_init__(self) -> None:
        check_sizes(self)
        for name in ("gated", "tied", "scaled"):
            check_flag(name, getattr(self, name))
        if self.scaled and not self.tied:
            raise UserError("is for a head that is tied to the embedding", where="scaled", fix="Set scaled to false.")
        check_multiple("buckets", self.buckets, "directions, near and far", 4)
        check_number("furthest", self.furthest, self.buckets, SIZE_BOUNDS["furthest"])
        for name in ("start_id", "pad_id"):
            check_id(name, getattr(self, name), self.vocab_size)
        check_number("dropout", self.dropout, 0.0, 0.99)
        check_number("norm_epsilon", self.norm_epsilon, 1e-12, 1.0)

    @property
    def writing_layers(self) -> int:
        """Blocks of the decoder, given or not."""
        return self.layers if self.decoder_layers is None else self.decoder_layers

    @property
    def inner_width(self) -> int:
        """The width of all heads together."""
        return self.heads * self.head_width

    @property
    def scale(self) -> float:
        """What scores are multiplied by: the power of two next to 1/√K. T5 has no such factor and smaller queries.

        Optimizers want the larger ones; a power of two makes them and takes them back without rounding.
        """
        return 2.0 ** -round(math.log2(self.head_width) / 2)


# ---- blocks ----


class Attention(nn.Module):
    """Multi-head attention inside a text, queries, keys and values as one matrix product."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        self.layer, self.heads = layer, config.heads
        self.qkv = Linear(config.width, *[config.inner_width] * 3, bias=False)
        self.output = Linear(config.inner_width, config.width, bias=False)
        self.dropout = Dropout(config.dropout)

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
        self.query = Linear(config.width, config.inner_width, bias=False)
        self.kv = Linear(config.width, *[config.inner_width] * 2, bias=False)
        self.output = Linear(config.inner_width, config.width, bias=False)
        self.dropout = Dropout(config.dropout)

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
    """down(relu(up(x))), or down(gelu(gate(x)) · up(x)) with gate and up as one matrix product; no biases."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.gated = config.gated
        self.up = Linear(config.width, *[config.ffn_width] * (2 if config.gated else 1), bias=False)
        self.dropout = Dropout(config.dropout)
        self.down = Linear(config.ffn_width, config.width, bias=False)

    def forward(self, x_BLD: Tensor) -> Tensor:
        y_BLD: Tensor = self.down(self.dropout(self._inner(self.up(x_BLD))))
        return y_BLD

    def _inner(self, x: Tensor) -> Tensor:
        if not self.gated:
            return functional.relu(x)
        gate, up = x.chunk(2, dim=-1)
        return functional.gelu(gate, approximate="tanh") * up


class EncoderBlock(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.width, config.norm_epsilon)
        self.attention = Attention(config, layer)
        self.mlp_norm = RMSNorm(config.width, config.norm_epsilon)
        self.mlp = MLP(config)
        self.dropout = Dropout(config.dropout)

    def forward(self, x_BLD: Tensor, reach: Reach) -> Tensor:
        x_BLD = x_BLD + self.dropout(self.attention(self.attention_norm(x_BLD), reach))
        y_BLD: Tensor = x_BLD + self.dropout(self.mlp(self.mlp_norm(x_BLD)))
        return y_BLD


class DecoderBlock(nn.Module):
    """x + attention(norm(x)), x + source_attention(norm(x)), x + mlp(norm(x))."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.width, config.norm_epsilon)
        self.attention = Attention(config, layer)
        self.source_norm = RMSNorm(config.width, config.norm_epsilon)
        self.source_attention = SourceAttention(config, layer)
        self.mlp_norm = RMSNorm(config.width, config.norm_epsilon)
        self.mlp = MLP(config)
        self.dropout = Dropout(config.dropout)

    def forward(self, x_BLD: Tensor, reach: Reach, gaze: Gaze) -> Tensor:
        x_BLD = x_BLD + self.dropout(self.attention(self.attention_norm(x_BLD), reach))
        x_BLD = x_BLD + self.dropout(self.source_attention(self.source_norm(x_BLD), gaze))
        y_BLD: Tensor = x_BLD + self.dropout(self.mlp(self.mlp_norm(x_BLD)))
        return y_BLD


# ---- model ----


class Model(nn.Module):
    """An encoder–decoder: source ids to states, and with them target ids to a score for every next word."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.tokens = Embedding(config.vocab_size, config.width)
        self.dropout = Dropout(config.dropout)
        self.encoder_bias = RelativeBias(config.buckets, config.heads, furthest=config.furthest, both=True)
        self.encoder = nn.ModuleList(EncoderBlock(config, layer) for layer in range(config.layers))
        self.encoder_norm = RMSNorm(config.width, config.norm_epsilon)
        self.decoder_bias = RelativeBias(config.buckets, config.heads, furthest=config.furthest, both=False)
        self.decoder = nn.ModuleList(DecoderBlock(config, layer) for layer in range(config.writing_layers))
        self.decoder_norm = RMSNorm(config.width, config.norm_epsilon)
        self.head = None if config.tied else Linear(config.width, config.vocab_size, bias=False)
        self.head_bias_V = None

    @property
    def head_weight_VD(self) -> nn.Parameter:  # noqa: N802
        """The matrix that makes vocabulary scores out of features."""
        return self.tokens.weight if self.head is None else self.head.weight

    def encode(self, ids_BL: Tensor, *, runs: Sequence[int] | None = None) -> Tensor:
        """The encoder's states of source texts, normed, (B, L, D); attention stays inside rows, or the packed `runs`.

        Raises UserError if a text is longer than the context.
        """
        batch, length = ids_BL.shape
        x_BLD = self._embed(ids_BL, runs)
        reach = with_bias(reach_of(batch, length, runs, causal=False), self.encoder_bias, length, self.config.scale)
        for block in self.encoder:
            x_BLD = block(x_BLD, reach)
        y_BLD: Tensor = self.dropout(self.encoder_norm(x_BLD))
        return y_BLD

    def hidden(
        self,
        ids_BL: Tensor,
        *,
        source: Source | None = None,
        runs: Sequence[int] | None = None,
        cache: SourceCache | None = None,
    ) -> Tensor:
        """The decoder's last states of target texts, normed, (B, L, D); row or run i looks at text i of `source`.

        `cache` continues what it holds, source included, and is advanced. Raises UserError if a text is longer than the
        context or the cache.
        """
        batch, length = ids_BL.shape
        reach = with_bias(reach_of(batch, length, runs, cache), self.decoder_bias, length, self.config.scale)
        gaze = gaze_of(batch, length, runs, source, cache, scale=self.config.scale)
        x_BLD = self._embed(ids_BL, runs)
        for block in self.decoder:
            x_BLD = block(x_BLD, reach, gaze)
        if cache is not None:
            cache.advance(length)
        y_BLD: Tensor = self.dropout(self.decoder_norm(x_BLD))
        return y_BLD

    def _embed(self, ids_BL: Tensor, runs: Sequence[int] | None) -> Tensor:
        ids_BL = ids_BL.to(self.tokens.weight.device)
        check_length(ids_BL.shape[1] if runs is None else max(runs), self.config.context)
        x_BLD: Tensor = self.dropout(self.tokens(ids_BL))
        return x_BLD

    def features(self, x: Tensor) -> Tensor:
        """What is multiplied with `head_weight_VD`, (…, D) → (…, D)."""
        return x * self.config.width**-0.5 if self.config.scaled else x

    def scores(self, x: Tensor) -> Tensor:
        """The decoder's states (…, D) → scores (…, V) of the next word."""
        return linear(self.features(x), self.head_weight_VD)

    def forward(self, ids_BL: Tensor, *, source_BL: Tensor | None = None, runs: Sequence[int] | None = None) -> Tensor:
        """Scores of the texts as answers to `source_BL`, row by row, or to themselves if there is none."""
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
    """Fill all parameters as T5 did: normal, with the deviations of Mesh TensorFlow; norms 1.

    Embeddings 1; matrices 1/√(their inputs).
    """
    config = model.config
    deviations = {
        "tokens.weight": 1.0,
        "attention.output.weight": 1 / math.sqrt(config.inner_width),
        "mlp.down.weight": 1 / math.sqrt(config.ffn_width),
    }

    def deviation(name: str) -> float:
        return next((value for end, value in deviations.items() if name.endswith(end)), 1 / math.sqrt(config.width))

    fill(model, seed=seed, std_of=deviation)


# ---- presets: named shapes, `dataclasses.replace` changes what should differ ----


def _v1_1(**shape: Any) -> Config:
    return Config(gated=True, tied=False, scaled=False, **shape)


PRESETS: dict[str, Config] = {
    "toy": Config(width=64, layers=2, heads=4, head_width=16, ffn_width=128, context=128, vocab_size=1024),
    "t5-small": Config(width=512, layers=6, heads=8, head_width=64, ffn_width=2048, vocab_size=32128),
    "t5-base": Config(width=768, layers=12, heads=12, head_width=64, ffn_width=3072, vocab_size=32128),
    "flan-t5-small": _v1_1(width=512, layers=8, heads=6, head_width=64, ffn_width=1024, vocab_size=32128),
    "mt5-small": _v1_1(width=512, layers=8, heads=6, head_width=64, ffn_width=1024, vocab_size=250112, context=1024),
}

# ---- published names ----

KEYS = {
    "vocab_size": "vocab_size",
    "d_model": "width",
    "num_layers": "layers",
    "num_decoder_layers": "decoder_layers",
    "num_heads": "heads",
    "d_kv": "head_width",
    "d_ff": "ffn_width",
    "n_positions": "context",
    "relative_attention_num_buckets": "buckets",
    "relative_attention_max_distance": "furthest",
    "decoder_start_token_id": "start_id",
    "pad_token_id": "pad_id",
    "dropout_rate": "dropout",
    "layer_norm_epsilon": "norm_epsilon",
}
FEED_FORWARDS = {False: "relu", True: "gated-gelu"}
FIXED: dict[str, tuple[Any, ...]] = {
    "model_type": ("t5", "mt5"),
    "is_encoder_decoder": (True,),
    "feed_forward_proj": tuple(FEED_FORWARDS.values()),
    "dense_act_fn": ("relu", "gelu_new"),
    "tie_word_embeddings": (True, False),
    "scale_decoder_outputs": (True, False),
    "is_gated_act": (True, False),
    "is_decoder": (False,),
}
HARMLESS_HERE = HARMLESS | {
    "classifier_dropout", "gradient_checkpointing", "initializer_factor", "output_past", "num_hidden_layers",
}  # fmt: skip
PREFIX = ""
IGNORED_WEIGHTS = (r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight",)
"""A bias that old files carry along and that was never computed with."""


def from_hugging_face(values: Mapping[str, Any]) -> Config:
    """The Config of a T5 or mT5 config.json, or UserError naming the setting that we can't compute.

    Whether the head is tied is not for certain then: see `settle`.
    """
    require(values, "vocab_size", "d_model", "num_layers", "num_heads", "d_kv", "d_ff")
    ours = read_config(values, known=KEYS, fixed=FIXED, harmless=HARMLESS_HERE)
    default = "gated-gelu" if values.get("model_type") == "mt5" else "relu"
    gated = values.get("feed_forward_proj", default) == FEED_FORWARDS[True]
    config = Config(**ours, gated=gated, tied=values.get("tie_word_embeddings", True), scaled=_is_scaled(values))
    return replace(config, decoder_layers=None) if config.decoder_layers == config.layers else config


def _is_scaled(values: Mapping[str, Any]) -> bool:
    """mT5 never is; T5 says so since transformers 5, and before that it was what it is if the head is tied."""
    if values.get("model_type") == "mt5":
        return False
    return bool(values.get("scale_decoder_outputs", values.get("tie_word_embeddings", True)))


def to_hugging_face(config: Config) -> dict[str, Any]:
    """The config.json from which transformers builds the same model."""
    ours = asdict(config)
    return {
        "architectures": ["T5ForConditionalGeneration"],
        "model_type": "t5",
        "is_encoder_decoder": True,
        **{theirs: ours[field] for theirs, field in KEYS.items()},
        "num_decoder_layers": config.writing_layers,
        "feed_forward_proj": FEED_FORWARDS[config.gated],
        "tie_word_embeddings": config.tied,
        "scale_decoder_outputs": config.scaled,
    }


def settle(config: Config, names: Set[str]) -> Config:
    """What transformers 5 leaves open, since it calls every head tied: one that isn't scaled may be of its own."""
    return config if config.scaled else replace(config, tied=config.tied and "lm_head.weight" not in names)


def tied_copies(config: Config) -> dict[str, str]:
    """Published tensors that repeat another one, and which."""
    copies = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
    return dict.fromkeys((*copies, "lm_head.weight") if config.tied else copies, "shared.weight")


def weights(config: Config) -> dict[str, Published]:
    """Where each of our parameters is found in a published file."""
    table = {"tokens.weight": Published(("shared.weight",))}
    for stack, layers in (("encoder", config.layers), ("decoder", config.writing_layers)):
        bias = f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        table[f"{stack}_bias.weight"] = Published((bias,))
        table[f"{stack}_norm.weight"] = Published((f"{stack}.final_layer_norm.weight",))
        for layer in range(layers):
            for ours, parts in _block_weights(config, decoder=stack == "decoder").items():
                names = tuple(f"{stack}.block.{layer}.layer.{part}.weight" for part in parts)
                rows = (config.ffn_width if ours == "mlp.up" else config.inner_width,) * len(parts)
                gains = tuple(_gain(config, part) for part in parts)
                table[f"{stack}.{layer}.{ours}.weight"] = Published(names, rows if len(parts) > 1 else (), gains=gains)
    if not config.tied:
        table["head.weight"] = Published(("lm_head.weight",))
    return table


def _gain(config: Config, part: str) -> float:
    """Ours to theirs: the scale that T5 leaves to its queries."""
    return 1 / config.scale if part.endswith("Attention.q") else 1.0


def _block_weights(config: Config, *, decoder: bool) -> dict[str, tuple[str, ...]]:
    """Our layers in a block → theirs, which are numbered: attention, in decoders attention to the source, and MLP."""
    mlp = 2 if decoder else 1
    ups = ("wi_0", "wi_1") if config.gated else ("wi",)
    return {
        "attention_norm": ("0.layer_norm",),
        "attention.qkv": tuple(f"0.SelfAttention.{part}" for part in "qkv"),
        "attention.output": ("0.SelfAttention.o",),
        **(SOURCE_WEIGHTS if decoder else {}),
        "mlp_norm": (f"{mlp}.layer_norm",),
        "mlp.up": tuple(f"{mlp}.DenseReluDense.{part}" for part in ups),
        "mlp.down": (f"{mlp}.DenseReluDense.wo",),
    }


SOURCE_WEIGHTS = {
    "source_norm": ("1.layer_norm",),
    "source_attention.query": ("1.EncDecAttention.q",),
    "source_attention.kv": ("1.EncDecAttention.k", "1.EncDecAttention.v"),
    "source_attention.output": ("1.EncDecAttention.o",),
}
