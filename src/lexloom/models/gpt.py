"""GPT-2 and GPT-3: learned positions, norms before each part, GELU, one matrix for embedding and scores.

Sources: Radford et al. 2019 (GPT-2), Brown et al. 2020 (GPT-3, arXiv:2005.14165; its alternating sparse attention was
never published in detail and is left out).
Axes: B batch, L length, D width, H heads, K head width, V vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from lexloom.nn.attention import Reach, attend, reach_of
from lexloom.nn.cache import Cache
from lexloom.nn.checks import check_flag, check_length, check_multiple, check_number, check_sizes
from lexloom.nn.dropout import Dropout
from lexloom.nn.init import init_normal
from lexloom.nn.layers import Embedding, GeluMLP, LayerNorm
from lexloom.nn.linear import Linear, linear
from lexloom.nn.positions import positions_of
from lexloom.nn.published import HARMLESS, Published, read_config, require

FFN_RATIO = 4

KIND = "decoder"

# ---- config ----


@dataclass(frozen=True, kw_only=True)
class Config:
    """The shape of a GPT; impossible numbers raise UserError."""

    vocab_size: int
    width: int
    layers: int
    heads: int
    context: int
    """The longest text in tokens; each position has a learned vector."""
    ffn_width: int | None = None
    """The inner width of the feed-forward layers; four times `width` if not given."""
    dropout: float = 0.0
    """Share of each residual branch's outputs dropped in training."""
    attention_dropout: float = 0.0
    """Share of attention weights dropped in training (slow on a CPU)."""
    embedding_dropout: float = 0.0
    """Share of the embeddings' outputs dropped in training."""
    norm_epsilon: float = 1e-5
    tied: bool = True
    """Whether the embedding matrix also makes the scores."""

    def __post_init__(self) -> None:
        check_sizes(self)
        check_multiple("width", self.width, "heads", self.heads)
        for name in ("dropout", "attention_dropout", "embedding_dropout"):
            check_number(name, getattr(self, name), 0.0, 0.99)
        check_number("norm_epsilon", self.norm_epsilon, 1e-12, 1.0)
        check_flag("tied", self.tied)

    @property
    def inner_width(self) -> int:
        """The inner width of the feed-forward layers, given or not."""
        return FFN_RATIO * self.width if self.ffn_width is None else self.ffn_width


# ---- blocks ----


class Attention(nn.Module):
    """Multi-head causal attention, queries, keys and values as one matrix product."""

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


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        self.attention_norm = LayerNorm(config.width, config.norm_epsilon)
        self.attention = Attention(config, layer)
        self.mlp_norm = LayerNorm(config.width, config.norm_epsilon)
        self.mlp = GeluMLP(config.width, config.inner_width)
        self.dropout = Dropout(config.dropout)

    def forward(self, x_BLD: Tensor, reach: Reach) -> Tensor:
        x_BLD = x_BLD + self.dropout(self.attention(self.attention_norm(x_BLD), reach))
        y_BLD: Tensor = x_BLD + self.dropout(self.mlp(self.mlp_norm(x_BLD)))
        return y_BLD


# ---- model ----


class Model(nn.Module):
    """A decoder: ids in, a score for every next word out."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.tokens = Embedding(config.vocab_size, config.width)
        self.positions = Embedding(config.context, config.width)
        self.dropout = Dropout(config.embedding_dropout)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.norm = LayerNorm(config.width, config.norm_epsilon)
        self.head = None if config.tied else Linear(config.width, config.vocab_size, bias=False)

    @property
    def head_weight_VD(self) -> nn.Parameter:  # noqa: N802
        """The matrix that makes scores out of hidden states."""
        return self.tokens.weight if self.head is None else self.head.weight

    def hidden(self, ids_BL: Tensor, *, runs: Sequence[int] | None = None, cache: Cache | None = None) -> Tensor:
        """The last layer's states, normed, (B, L, D).

        `runs` (see `nn.attention.attend`) keeps packed documents apart; `cache` continues what it holds and is
        advanced. Raises UserError if a text is longer than the context or the cache.
        """
        ids_BL = ids_BL.to(self.tokens.weight.device)
        batch, length = ids_BL.shape
        check_length(length if runs is None else max(runs), self.config.context)
        reach = reach_of(batch, length, runs, cache)
        x_BLD = self.dropout(self.tokens(ids_BL) + self.positions(positions_of(ids_BL, runs, cache)))
        for block in self.blocks:
            x_BLD = block(x_BLD, reach)
        if cache is not None:
            cache.advance(length)
        y_BLD: Tensor = self.norm(x_BLD)
        return y_BLD

    def scores(self, x: Tensor) -> Tensor:
        """Hidden states (…, D) → scores (…, V) of the next word."""
        return linear(x, self.head_weight_VD)

    def forward(self, ids_BL: Tensor, *, runs: Sequence[int] | None = None, cache: Cache | None = None) -> Tensor:
        return self.scores(self.hidden(ids_BL, runs=runs, cache=cache))

    def new_cache(self, batch: int, tokens: int) -> Cache:
        """An empty cache for `batch` rows of up to `tokens` tokens, or UserError if that exceeds the context."""
        check_length(tokens, self.config.context)
        config = self.config
        return Cache(
            layers=config.layers,
            batch=batch,
            tokens=tokens,
            kv_heads=config.heads,
            head_width=config.width // config.heads,
            device=self.tokens.weight.device,
        )


def init_weights(model: Model, seed: int) -> None:
    """Fill all parameters as GPT-2 did."""
    residual = ("attention.output.weight", "mlp.down.weight")
    init_normal(model, seed=seed, layers=model.config.layers, residual=residual)


# ---- presets: named shapes, `dataclasses.replace` changes what should differ ----

PRESETS: dict[str, Config] = {
    "toy": Config(width=128, layers=4, heads=4, context=256, vocab_size=1024),
    "gpt2": Config(width=768, layers=12, heads=12, context=1024, vocab_size=50257),
    "gpt2-medium": Config(width=1024, layers=24, heads=16, context=1024, vocab_size=50257),
    "gpt2-large": Config(width=1280, layers=36, heads=20, context=1024, vocab_size=50257),
    "gpt2-xl": Config(width=1600, layers=48, heads=25, context=1024, vocab_size=50257),
    # Brown et al. 2020, table 2.1; its 24 heads of 128 for XL and its width 5140 for 13B don't multiply, these do
    "gpt3-small": Config(width=768, layers=12, heads=12, context=2048, vocab_size=50257),
    "gpt3-medium": Config(width=1024, layers=24, heads=16, context=2048, vocab_size=50257),
    "gpt3-large": Config(width=1536, layers=24, heads=16, context=2048, vocab_size=50257),
    "gpt3-xl": Config(width=2048, layers=24, heads=16, context=2048, vocab_size=50257),
    "gpt3-2.7b": Config(width=2560, layers=32, heads=32, context=2048, vocab_size=50257),
    "gpt3-6.7b": Config(width=4096, layers=32, heads=32, context=2048, vocab_size=50257),
    "gpt3-13b": Config(width=5120, layers=40, heads=40, context=2048, vocab_size=50257),
    "gpt3-175b": Config(width=12288, layers=96, heads=96, context=2048, vocab_size=50257),
}

# ---- published names ----

KEYS = {
    "vocab_size": "vocab_size",
    "n_embd": "width",
    "n_layer": "layers",
    "n_head": "heads",
    "n_positions": "context",
    "n_inner": "ffn_width",
    "resid_pdrop": "dropout",
    "attn_pdrop": "attention_dropout",
    "embd_pdrop": "embedding_dropout",
    "layer_norm_epsilon": "norm_epsilon",
    "tie_word_embeddings": "tied",
}
FIXED: dict[str, tuple[Any, ...]] = {
    "model_type": ("gpt2",),
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
}
HARMLESS_HERE = HARMLESS | {"n_ctx", "reorder_and_upcast_attn"}
PREFIX = "transformer."
IGNORED_WEIGHTS = (r"h\.\d+\.attn\.(bias|masked_bias)",)
"""Constants that old files carry along (the causal mask)."""


def from_hugging_face(values: Mapping[str, Any]) -> Config:
    """The Config of a GPT-2 config.json, or UserError naming the setting that we can't compute."""
    require(values, "vocab_size", "n_embd", "n_layer", "n_head", "n_positions")
    return Config(**read_config(values, known=KEYS, fixed=FIXED, harmless=HARMLESS_HERE))


def to_hugging_face(config: Config) -> dict[str, Any]:
    """The config.json from which transformers builds the same model."""
    ours = asdict(config)
    return {
        "architectures": ["GPT2LMHeadModel"],
        **{key: choices[0] for key, choices in FIXED.items()},
        **{theirs: ours[field] for theirs, field in KEYS.items()},
    }


def tied_copies(config: Config) -> dict[str, str]:
    """Published tensors that repeat another one, and which."""
    return {"lm_head.weight": "transformer.wte.weight"} if config.tied else {}


def weights(config: Config) -> dict[str, Published]:
    """Where each of our parameters is found in a published file."""
    table = {
        "tokens.weight": Published(("transformer.wte.weight",)),
        "positions.weight": Published(("transformer.wpe.weight",)),
        "norm.weight": Published(("transformer.ln_f.weight",)),
        "norm.bias": Published(("transformer.ln_f.bias",)),
    }
    if not config.tied:
        table["head.weight"] = Published(("lm_head.weight",))
    for layer in range(config.layers):
        for ours, theirs in BLOCK_WEIGHTS.items():
            transposed = theirs.startswith(("attn", "mlp")) and theirs.endswith("weight")
            table[f"blocks.{layer}.{ours}"] = Published((f"transformer.h.{layer}.{theirs}",), transposed=transposed)
    return table


BLOCK_WEIGHTS = {
    "attention_norm.weight": "ln_1.weight",
    "attention_norm.bias": "ln_1.bias",
    "attention.qkv.weight": "attn.c_attn.weight",
    "attention.qkv.bias": "attn.c_attn.bias",
    "attention.output.weight": "attn.c_proj.weight",
    "attention.output.bias": "attn.c_proj.bias",
    "mlp_norm.weight": "ln_2.weight",
    "mlp_norm.bias": "ln_2.bias",
    "mlp.up.weight": "mlp.c_fc.weight",
    "mlp.up.bias": "mlp.c_fc.bias",
    "mlp.down.weight": "mlp.c_proj.weight",
    "mlp.down.bias": "mlp.c_proj.bias",
}
