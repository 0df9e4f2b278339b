"""Llama and its relatives (SmolLM2, Qwen3): rotary positions, RMSNorm, gated feed-forward, grouped attention.

Sources: Touvron et al. 2023 (arXiv:2302.13971, 2307.09288), Grattafiori et al. 2024 (Llama 3, arXiv:2407.21783),
Yang et al. 2025 (Qwen3 with normed queries and keys, arXiv:2505.09388).
Axes: B batch, L length, D width, H heads, G key/value heads, K head width, V vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from lexloom.base.errors import UserError
from lexloom.nn.attention import Reach, attend, reach_of
from lexloom.nn.cache import Cache
from lexloom.nn.checks import check_flag, check_length, check_multiple, check_number, check_size, check_sizes
from lexloom.nn.dropout import Dropout
from lexloom.nn.init import fill
from lexloom.nn.layers import Embedding, GatedMLP, RMSNorm
from lexloom.nn.linear import Linear, linear
from lexloom.nn.positions import Rotary, RotaryScaling, Turn, positions_of, rotate
from lexloom.nn.published import HARMLESS, Published, read_config, require

KIND = "decoder"

# ---- config ----


@dataclass(frozen=True, kw_only=True)
class Config:
    """The shape of a Llama; impossible numbers raise UserError."""

    vocab_size: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    """Heads of keys and values; each serves heads / kv_heads query heads."""
    head_width: int
    ffn_width: int
    """The inner width of the feed-forward layers."""
    context: int
    """The longest text in tokens."""
    dropout: float = 0.0
    """Share of the embeddings and of each residual branch's outputs dropped in training."""
    norm_epsilon: float = 1e-6
    rotary_theta: float = 10000.0
    """The slowest rotary pair makes one turn in about 2π · theta positions."""
    rotary_scaling: RotaryScaling | None = None
    qk_norm: bool = False
    """Whether each head's queries and keys are normed before they are rotated (Qwen3)."""
    tied: bool = False
    """Whether the embedding matrix also makes the scores."""

    def __post_init__(self) -> None:
        check_sizes(self)
        check_multiple("heads", self.heads, "kv_heads", self.kv_heads)
        check_multiple("head_width", self.head_width, "halves of rotary pairs", 2)
        check_number("dropout", self.dropout, 0.0, 0.99)
        check_number("norm_epsilon", self.norm_epsilon, 1e-12, 1.0)
        check_number("rotary_theta", self.rotary_theta, 1.0, 1e12)
        check_flag("qk_norm", self.qk_norm)
        check_flag("tied", self.tied)


# ---- blocks ----


class Attention(nn.Module):
    """Grouped causal attention over rotated queries and keys, all three as one matrix product."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        self.layer, self.head_width = layer, config.head_width
        self.split = [config.heads, config.kv_heads, config.kv_heads]
        self.qkv = Linear(config.width, *(heads * config.head_width for heads in self.split), bias=False)
        self.q_norm = RMSNorm(config.head_width, config.norm_epsilon) if config.qk_norm else nn.Identity()
        self.k_norm = RMSNorm(config.head_width, config.norm_epsilon) if config.qk_norm else nn.Identity()
        self.output = Linear(config.heads * config.head_width, config.width, bias=False)

    def forward(self, x_BLD: Tensor, turn: Turn, reach: Reach) -> Tensor:
        q_BLHK, k_BLGK, v_BLGK = self.qkv(x_BLD).unflatten(-1, (-1, self.head_width)).split(self.split, dim=2)
        q_BLHK, k_BLGK = rotate(self.q_norm(q_BLHK), turn), rotate(self.k_norm(k_BLGK), turn)
        y_BLHK = attend(q_BLHK, k_BLGK, v_BLGK, reach=reach, layer=self.layer)
        y_BLD: Tensor = self.output(y_BLHK.flatten(2))
        return y_BLD


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.width, config.norm_epsilon)
        self.attention = Attention(config, layer)
        self.mlp_norm = RMSNorm(config.width, config.norm_epsilon)
        self.mlp = GatedMLP(config.width, config.ffn_width)
        self.dropout = Dropout(config.dropout)

    def forward(self, x_BLD: Tensor, turn: Turn, reach: Reach) -> Tensor:
        x_BLD = x_BLD + self.dropout(self.attention(self.attention_norm(x_BLD), turn, reach))
        y_BLD: Tensor = x_BLD + self.dropout(self.mlp(self.mlp_norm(x_BLD)))
        return y_BLD


# ---- model ----


class Model(nn.Module):
    """A decoder: ids in, a score for every next word out."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.rotary = Rotary(config.head_width, config.rotary_theta, config.rotary_scaling)
        self.tokens = Embedding(config.vocab_size, config.width)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.norm = RMSNorm(config.width, config.norm_epsilon)
        self.head = None if config.tied else Linear(config.width, config.vocab_size, bias=False)

    @property
    def head_weight_VD(self) -> nn.Parameter:  # noqa: N802
        """The matrix that makes scores out of hidden states."""
        return self.tokens.weight if self.head is None else self.head.weight

    def hidden(self, ids_BL: Tensor, *, runs: Sequence[int] | None = None, cache: Cache | None = None) -> Tensor:
        """The last layer's states, normed, (B, L, D).

        `runs` (see `nn.attention.reach_of`) keeps packed documents apart; `cache` continues what it holds and is
        advanced. Raises UserError if a text is longer than the context or the cache.
        """
        ids_BL = ids_BL.to(self.tokens.weight.device)
        batch, length = ids_BL.shape
        check_length(length if runs is None else max(runs), self.config.context)
        reach = reach_of(batch, length, runs, cache)
        turn = self.rotary(positions_of(ids_BL, runs, cache))
        x_BLD = self.dropout(self.tokens(ids_BL))
        for block in self.blocks:
            x_BLD = block(x_BLD, turn, reach)
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
        config = self.config
        check_length(tokens, config.context)
        return Cache(
            layers=config.layers,
            batch=batch,
            tokens=tokens,
            kv_heads=config.kv_heads,
            head_width=config.head_width,
            device=self.tokens.weight.device,
        )


EMBEDDING_STD = 0.7


def init_weights(model: Model, seed: int) -> None:
    """Fill all parameters for training from nothing.

    Matrices are normal with deviation √(2 / (5 · width)) (Nguyen & Salazar 2019, arXiv:1910.05895), those that write
    into the residual stream scaled down with depth as in GPT-2. Embeddings that make no scores have about the size that
    the norms bring them to: with small ones the first steps go into growing them (docs/LOG.md, 2026-11-22).
    """
    small = (2 / (5 * model.config.width)) ** 0.5
    std = {"tokens.weight": small if model.config.tied else EMBEDDING_STD}
    residual = ("attention.output.weight", "mlp.down.weight")
    writer = small / (2 * model.config.layers) ** 0.5
    fill(model, seed=seed, std_of=lambda name: writer if name.endswith(residual) else std.get(name, small))


# ---- presets: named shapes, `dataclasses.replace` changes what should differ ----

LLAMA_32_SCALING = RotaryScaling(kind="llama3", factor=32.0, original_context=8192)
PRESETS: dict[str, Config] = {
    "toy": Config(
        width=128, layers=4, heads=4, kv_heads=2, head_width=32, ffn_width=352, context=256, vocab_size=1024, tied=True
    ),
    "smollm2-135m": Config(
        width=576, layers=30, heads=9, kv_heads=3, head_width=64, ffn_width=1536, context=8192, vocab_size=49152,
        norm_epsilon=1e-5, rotary_theta=100_000.0, tied=True,
    ),
    "smollm2-360m": Config(
        width=960, layers=32, heads=15, kv_heads=5, head_width=64, ffn_width=2560, context=8192, vocab_size=49152,
        norm_epsilon=1e-5, rotary_theta=100_000.0, tied=True,
    ),
    "smollm2-1.7b": Config(
        width=2048, layers=24, heads=32, kv_heads=32, head_width=64, ffn_width=8192, context=8192, vocab_size=49152,
        norm_epsilon=1e-5, rotary_theta=130_000.0, tied=True,
    ),
    "llama-3.2-1b": Config(
        width=2048, layers=16, heads=32, kv_heads=8, head_width=64, ffn_width=8192, context=131072, vocab_size=128256,
        norm_epsilon=1e-5, rotary_theta=500_000.0, rotary_scaling=LLAMA_32_SCALING, tied=True,
    ),
    "qwen3-0.6b": Config(
        width=1024, layers=28, heads=16, kv_heads=8, head_width=128, ffn_width=3072, context=40960, vocab_size=151936,
        norm_epsilon=1e-6, rotary_theta=1_000_000.0, qk_norm=True, tied=True,
    ),
}  # fmt: skip

# ---- published names ----

KEYS = {
    "vocab_size": "vocab_size",
    "hidden_size": "width",
    "num_hidden_layers": "layers",
    "num_attention_heads": "heads",
    "num_key_value_heads": "kv_heads",
    "head_dim": "head_width",
    "intermediate_size": "ffn_width",
    "max_position_embeddings": "context",
    "resid_pdrop": "dropout",  # ours: transformers' Llama has no such dropout and ignores the key
    "rms_norm_eps": "norm_epsilon",
    "tie_word_embeddings": "tied",
}
FIXED: dict[str, tuple[Any, ...]] = {
    "model_type": ("llama", "qwen3"),
    "hidden_act": ("silu",),
    "attention_bias": (False,),
    "mlp_bias": (False,),
    "pretraining_tp": (1,),
    "rope_interleaved": (False,),
    "use_sliding_window": (False, None),
}
READ_HERE = {"rope_theta", "rope_scaling", "rope_parameters", "layer_types", "sliding_window"}
IGNORED_WEIGHTS = (r"layers\.\d+\.self_attn\.rotary_emb\.inv_freq",)
"""Constants that old files carry along."""
PREFIX = "model."


def from_hugging_face(values: Mapping[str, Any]) -> Config:
    """The Config of a Llama or Qwen3 config.json, or UserError naming the setting that we can't compute."""
    require(values, "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    require(values, "max_position_embeddings")
    qk_norm = values["model_type"] == "qwen3"
    if qk_norm:
        require(values, "num_key_value_heads", "head_dim")
    _refuse_windows(values)
    ours = read_config(values, known=KEYS, fixed=FIXED, harmless=HARMLESS | READ_HERE)
    heads = ours["heads"]
    if "head_width" not in ours:
        check_size("width", ours["width"])
        check_size("heads", heads)
        check_multiple("hidden_size", ours["width"], "heads", heads)
        ours["head_width"] = ours["width"] // heads
    return Config(**{"kv_heads": heads, **ours, **_read_rotary(values), "qk_norm": qk_norm})


def to_hugging_face(config: Config) -> dict[str, Any]:
    """The config.json from which transformers builds the same model."""
    ours = asdict(config)
    fixed = {"hidden_act": "silu", "attention_bias": False}
    kind = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", **fixed, "mlp_bias": False}
    if config.qk_norm:
        kind = {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", **fixed, "use_sliding_window": False}
    shape = {theirs: ours[field] for theirs, field in KEYS.items()}
    return {**kind, **shape, "rope_theta": config.rotary_theta, "rope_scaling": _write_scaling(config.rotary_scaling)}


def tied_copies(config: Config) -> dict[str, str]:
    """Published tensors that repeat another one, and which."""
    return {"lm_head.weight": "model.embed_tokens.weight"} if config.tied else {}


def weights(config: Config) -> dict[str, Published]:
    """Where each of our parameters is found in a published file."""
    table = {
        "tokens.weight": Published(("model.embed_tokens.weight",)),
        "norm.weight": Published(("model.norm.weight",)),
    }
    if not config.tied:
        table["head.weight"] = Published(("lm_head.weight",))
    q_rows, kv_rows = config.heads * config.head_width, config.kv_heads * config.head_width
    rows = {"attention.qkv.weight": (q_rows, kv_rows, kv_rows), "mlp.gate_up.weight": (config.ffn_width,) * 2}
    for layer in range(config.layers):
        for ours, theirs in (BLOCK_WEIGHTS | (QK_NORM_WEIGHTS if config.qk_norm else {})).items():
            names = tuple(f"model.layers.{layer}.{name}" for name in theirs)
            table[f"blocks.{layer}.{ours}"] = Published(names, rows.get(ours, ()))
    return table


BLOCK_WEIGHTS = {
    "attention_norm.weight": ("input_layernorm.weight",),
    "attention.qkv.weight": ("self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"),
    "attention.output.weight": ("self_attn.o_proj.weight",),
    "mlp_norm.weight": ("post_attention_layernorm.weight",),
    "mlp.gate_up.weight": ("mlp.gate_proj.weight", "mlp.up_proj.weight"),
    "mlp.down.weight": ("mlp.down_proj.weight",),
}
QK_NORM_WEIGHTS = {
    "attention.q_norm.weight": ("self_attn.q_norm.weight",),
    "attention.k_norm.weight": ("self_attn.k_norm.weight",),
}

SCALING_KEYS = {
    "rope_type": "kind",
    "type": "kind",  # its name until 2024
    "factor": "factor",
    "low_freq_factor": "low_freq_factor",
    "high_freq_factor": "high_freq_factor",
    "original_max_position_embeddings": "original_context",
}


def _refuse_windows(values: Mapping[str, Any]) -> None:
    """A Qwen3 folder names its window even if it isn't used; anywhere else a window changes the computation."""
    if values.get("sliding_window") is not None and values.get("use_sliding_window") is not False:
        raise UserError(f"{values['sliding_window']!r} is not supported, only null", where="sliding_window")
    kinds = values.get("layer_types")
    if kinds is not None and (not isinstance(kinds, list) or any(kind != "full_attention" for kind in kinds)):
        raise UserError("only 'full_attention' in every layer is supported", where="layer_types")


def _read_rotary(values: Mapping[str, Any]) -> dict[str, Any]:
    """Theta and scaling, from `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling` (before)."""
    scaling = values.get("rope_parameters") or values.get("rope_scaling") or {}
    if not isinstance(scaling, dict):
        raise UserError(f"{scaling!r} is not a table", where="rope_scaling")
    scaling = dict(scaling)
    theta = scaling.pop("rope_theta", None)
    theta = values.get("rope_theta") if theta is None else theta
    found: dict[str, Any] = {} if theta is None else {"rotary_theta": theta}
    if scaling.get("rope_type", scaling.get("type", "default")) != "default":
        unknown = sorted(scaling.keys() - SCALING_KEYS.keys())
        if unknown:
            raise UserError(f"unknown setting {unknown[0]!r}", where="rope_scaling")
        require(scaling, "factor")
        found["rotary_scaling"] = RotaryScaling(**{SCALING_KEYS[key]: value for key, value in scaling.items()})
    return found


def _write_scaling(scaling: RotaryScaling | None) -> dict[str, Any] | None:
    if scaling is None:
        return None
    if scaling.kind == "linear":
        return {"rope_type": "linear", "factor": scaling.factor}
    ours = asdict(scaling)
    return {theirs: ours[field] for theirs, field in SCALING_KEYS.items() if theirs != "type"}
