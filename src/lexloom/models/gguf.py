"""GGUF files, llama.cpp's single-file models, become model folders.

Weights are dequantised to float32; the tokenizer is rebuilt from the metadata.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from lexloom.base import files
from lexloom.base.errors import FolderError
from lexloom.models import FAMILIES, gpt, llama, meta_model
from lexloom.models.folder import save_model
from lexloom.models.gguf_file import GGUFFile, StoredTensor
from lexloom.models.weights import Source, fill
from lexloom.nn.positions import RotaryScaling
from lexloom.text.gguf_tokenizer import tokenizer_from_gguf

KNOWN = "The supported architectures are llama, qwen3 and gpt2."


def import_gguf(file: Path, out: Path, *, replace: bool = False) -> None:
    """Make a model folder `out` from a GGUF file of any type that the `gguf` package dequantises (F16, Q4_0, Q8_0, …).

    Raises FolderError (unknown architecture, tokenizer or setting; `out` exists) or DamagedError; UserError if the
    `gguf` package is not installed.
    """
    source = GGUFFile(file)
    name = source.metadata.get("general.architecture")
    if name not in ARCHITECTURES:
        raise FolderError(f"architecture {name!r} is not supported", where=str(file), fix=KNOWN)
    architecture = ARCHITECTURES[name]
    settings = Metadata(source.metadata, name, str(file))
    config = architecture.config(settings, source)
    model = meta_model(FAMILIES[architecture.family], config)
    fill(model, FAMILIES[architecture.family], architecture.sources(source, config), where=str(file))
    model.eval()
    save_model(
        out,
        model,
        tokenizer_from_gguf(source.metadata, where=str(file)),
        provenance={"gguf": {"file": file.name, "sha256": files.sha256_of(file), **_origin(source.metadata)}},
        generation=None,
        card=_card(file, source.metadata),
        replace=replace,
    )


@dataclass(frozen=True)
class Architecture:
    """How one of llama.cpp's architectures maps to a family."""

    family: str
    config: Callable[["Metadata", GGUFFile], Any]
    sources: Callable[[GGUFFile, Any], dict[str, Source]]


@dataclass(frozen=True)
class Metadata:
    """The settings of one architecture: `get("block_count")` reads `llama.block_count`."""

    values: Mapping[str, Any]
    architecture: str
    where: str

    def get(self, key: str, default: Any = None) -> Any:
        """The value, or `default`."""
        return self.values.get(f"{self.architecture}.{key}", default)

    def number(self, key: str, default: float | None = None) -> Any:
        """The number, or `default`, or FolderError naming the key."""
        value = self.get(key, default)
        if type(value) not in (int, float):
            raise FolderError(f"{self.architecture}.{key} = {value!r} is not a number", where=self.where)
        return value

    def refuse(self, key: str, *accepted: Any) -> None:
        """Raise FolderError unless the value is absent or one of those that our code computes with."""
        value = self.get(key)
        if value is not None and value not in accepted:
            raise FolderError(f"{self.architecture}.{key} = {value!r} is not supported", where=self.where)


@dataclass(frozen=True)
class Changed:
    """A stored tensor whose published form differs."""

    stored: StoredTensor
    shape: tuple[int, ...]
    change: Callable[[Tensor], Tensor]
    dtype: str = "F32"

    def read(self) -> Tensor:
        """The published values."""
        return self.change(self.stored.read())


# ---- Llama, Qwen3 ----


def _llama_config(settings: Metadata, source: GGUFFile) -> llama.Config:
    vocab_size, _ = _shape(source, "token_embd.weight")
    width, heads = settings.number("embedding_length"), settings.number("attention.head_count")
    qk_norm = settings.architecture == "qwen3"
    head_width = settings.number("attention.key_length", width // max(1, heads))
    settings.refuse("attention.value_length", head_width)
    settings.refuse("rope.dimension_count", head_width)
    settings.refuse("attention.sliding_window")
    settings.refuse("expert_count", 0)
    return llama.Config(
        vocab_size=vocab_size,
        width=width,
        layers=settings.number("block_count"),
        heads=heads,
        kv_heads=settings.number("attention.head_count_kv", heads),
        head_width=head_width,
        ffn_width=settings.number("feed_forward_length"),
        context=settings.number("context_length"),
        norm_epsilon=settings.number("attention.layer_norm_rms_epsilon"),
        rotary_theta=settings.number("rope.freq_base", 10000.0),
        rotary_scaling=_rotary_scaling(settings),
        qk_norm=qk_norm,
        tied="output.weight" not in source.tensors,
    )


def _rotary_scaling(settings: Metadata) -> RotaryScaling | None:
    settings.refuse("rope.scaling.type", "none", "linear")
    if settings.get("rope.scaling.type", "none") == "none":
        return None
    return RotaryScaling(kind="linear", factor=settings.number("rope.scaling.factor"))


def _llama_sources(source: GGUFFile, config: llama.Config) -> dict[str, Source]:
    heads = {} if config.qk_norm else {"attn_q.weight": config.heads, "attn_k.weight": config.kv_heads}
    found: dict[str, Source] = {}
    for name, stored in source.tensors.items():
        published, part = _published_name(name, LLAMA_NAMES, LLAMA_BLOCK_NAMES, "model.layers.")
        found[published] = stored if part not in heads else Changed(stored, stored.shape, _half_pairs(heads[part]))
    return found


def _half_pairs(heads: int) -> Callable[[Tensor], Tensor]:
    """llama.cpp stores a Llama's rotary pairs as neighbours (0, 1), (2, 3) …; published weights as (r, r + R)."""
    return lambda weight: weight.reshape(heads, -1, 2, weight.shape[1]).transpose(1, 2).reshape(weight.shape)


LLAMA_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
LLAMA_BLOCK_NAMES = {
    "attn_norm.weight": "input_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_q_norm.weight": "self_attn.q_norm.weight",
    "attn_k_norm.weight": "self_attn.k_norm.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
}

# ---- GPT-2 ----


def _gpt_config(settings: Metadata, source: GGUFFile) -> gpt.Config:
    vocab_size, _ = _shape(source, "token_embd.weight")
    return gpt.Config(
        vocab_size=vocab_size,
        width=settings.number("embedding_length"),
        layers=settings.number("block_count"),
        heads=settings.number("attention.head_count"),
        context=settings.number("context_length"),
        ffn_width=settings.number("feed_forward_length"),
        norm_epsilon=settings.number("attention.layer_norm_epsilon"),
        tied="output.weight" not in source.tensors,
    )


def _gpt_sources(source: GGUFFile, config: gpt.Config) -> dict[str, Source]:
    """Published GPT-2 matrices are (inputs, outputs), GGUF's are not."""
    found: dict[str, Source] = {}
    for name, stored in source.tensors.items():
        published, part = _published_name(name, GPT_NAMES, GPT_BLOCK_NAMES, "transformer.h.")
        matrix = part in GPT_BLOCK_NAMES and len(stored.shape) == 2
        found[published] = Changed(stored, stored.shape[::-1], Tensor.t) if matrix else stored
    return found


GPT_NAMES = {
    "token_embd.weight": "transformer.wte.weight",
    "position_embd.weight": "transformer.wpe.weight",
    "output_norm.weight": "transformer.ln_f.weight",
    "output_norm.bias": "transformer.ln_f.bias",
    "output.weight": "lm_head.weight",
}
GPT_BLOCK_NAMES = {
    f"{theirs}.{kind}": f"{published}.{kind}"
    for theirs, published in {
        "attn_norm": "ln_1",
        "attn_qkv": "attn.c_attn",
        "attn_output": "attn.c_proj",
        "ffn_norm": "ln_2",
        "ffn_up": "mlp.c_fc",
        "ffn_down": "mlp.c_proj",
    }.items()
    for kind in ("weight", "bias")
}

# ---- all ----

ARCHITECTURES = {
    "llama": Architecture("llama", _llama_config, _llama_sources),
    "qwen3": Architecture("llama", _llama_config, _llama_sources),
    "gpt2": Architecture("gpt", _gpt_config, _gpt_sources),
}


def _published_name(
    name: str, names: Mapping[str, str], block_names: Mapping[str, str], prefix: str
) -> tuple[str, str]:
    """The published name and the part of the block; unknown names stay, and are listed as extra later."""
    if name.startswith("blk.") and name.count(".") >= 2:
        _, layer, part = name.split(".", 2)
        return (f"{prefix}{layer}.{block_names[part]}", part) if part in block_names else (name, part)
    return names.get(name, name), name


def _shape(source: GGUFFile, name: str) -> tuple[int, int]:
    """The shape of a matrix that the config depends on."""
    stored = source.tensors.get(name)
    if stored is None or len(stored.shape) != 2:
        raise FolderError(f"has no matrix {name}", where=str(source.path))
    return stored.shape[0], stored.shape[1]


def _origin(metadata: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("name", "organization", "license", "languages", "source.url")
    return {key: metadata[f"general.{key}"] for key in keys if f"general.{key}" in metadata}


def _card(file: Path, metadata: Mapping[str, Any]) -> str:
    origin = _origin(metadata)
    front_matter = f"---\nlicense: {origin['license']}\n---\n\n" if "license" in origin else ""
    return (
        f"{front_matter}# {origin.get('name', file.stem)}\n\n"
        f"Imported by Lexloom from `{file.name}` (GGUF); quantised weights were widened to float32.\n"
    )
