"""The model folder: the only thing that passes between stages.

Hugging Face layout (config.json, model.safetensors, tokenizer.json, tokenizer_config.json, generation_config.json,
README.md), plus lexloom.json (where the model comes from, golden inputs) and manifest.json (sizes and hashes).
"""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from lexloom.base import files
from lexloom.base.errors import FolderError, UserError
from lexloom.models import FAMILIES, MODEL_TYPES, family_of, meta_model
from lexloom.models.golden import check_golden, make_golden
from lexloom.models.weights import read_weights, write_weights
from lexloom.text.tokenizers import Tokenizer, load_tokenizer, write_tokenizer

CONFIG = "config.json"
FACTS = "lexloom.json"
FORMAT = 1
MAX_SHARD_BYTES = 5_000_000_000


@dataclass(frozen=True)
class ModelFolder:
    """What a model folder holds."""

    model: Any
    """The model, in evaluation mode, float32."""
    tokenizer: Tokenizer | None
    """None if the folder has no tokenizer.json."""
    family: str
    facts: dict[str, Any]
    """The content of lexloom.json; empty for a folder that others wrote."""
    generation: dict[str, Any]
    """The content of generation_config.json; empty if there is none."""


def save_model(
    path: Path,
    model: Any,
    tokenizer: Tokenizer | None,
    *,
    provenance: Mapping[str, Any],
    generation: Mapping[str, Any] | None,
    card: str,
    labels: list[str] | None = None,
    replace: bool = False,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Write a complete model folder, or none.

    `provenance` says what the model was made from (recipe, data fingerprints); `generation` adds to
    generation_config.json; `card` becomes README.md; weights above `max_shard_bytes` are split into several files.
    Raises FolderError if `path` exists and `replace` is false, UserError if the model gives non-finite scores.
    """
    family = family_of(model)
    special = _special_ids(tokenizer)
    facts = {
        "format": FORMAT,
        "family": family,
        "provenance": dict(provenance),
        "versions": {"lexloom": version("lexloom"), "torch": torch.__version__, "python": platform.python_version()},
        "tokenizer_sha256": None if tokenizer is None else tokenizer.sha256,
        "labels": labels,
        "golden": make_golden(model),
    }
    with files.new_folder(path, facts={"kind": "model", "family": family}, replace=replace) as folder:
        write_weights(folder, model, FAMILIES[family], max_shard_bytes)
        folder.write_json(CONFIG, {**FAMILIES[family].to_hugging_face(model.config), **special, "dtype": "float32"})
        folder.write_json("generation_config.json", {**special, **(generation or {})})
        if tokenizer is not None:
            write_tokenizer(folder, tokenizer)
        folder.write("README.md", card)
        folder.write_json(FACTS, facts)


def load_model(path: Path, *, verify: bool = True) -> ModelFolder:
    """Read a model folder, Lexloom's or plain Hugging Face; nothing in it is run.

    Numbers are bounded first, then names, shapes and dtypes are compared with what the config implies, and only then
    is memory allocated. `verify` checks the hashes and replays the golden inputs, where the folder has them.
    Raises FolderError (not a model; tensors missing, extra or wrong; unknown settings; another tokenizer) or
    DamagedError.
    """
    if not path.is_dir():
        raise FolderError("is not a folder", where=str(path))
    if (path / files.MANIFEST).exists():
        files.verify_folder(path, hashes=verify)
    family, config = read_config(path)
    model = meta_model(family, config)
    read_weights(path, model, FAMILIES[family])
    model.eval()
    facts = _read_facts(path)
    tokenizer = _read_tokenizer(path, config.vocab_size, facts)
    if verify and facts:
        check_golden(model, facts.get("golden"), where=str(path / FACTS))
    return ModelFolder(model, tokenizer, family, facts, _read_object(path, "generation_config.json", required=False))


def read_config(path: Path) -> tuple[str, Any]:
    """The family and config of a model folder, or FolderError naming the setting that can't be computed."""
    values = _read_object(path, CONFIG, required=True)
    kind = values.get("model_type")
    if not isinstance(kind, str) or kind not in MODEL_TYPES:
        known = ", ".join(MODEL_TYPES)
        raise FolderError(f"model_type {kind!r} is not supported; known: {known}", where=str(path / CONFIG))
    family = MODEL_TYPES[kind]
    try:
        return family, FAMILIES[family].from_hugging_face(values)
    except UserError as error:
        setting = f"{error.where}: " if error.where else ""
        raise FolderError(f"{setting}{error.what}", where=str(path / CONFIG), fix=error.fix) from None


def _read_object(path: Path, name: str, *, required: bool) -> dict[str, Any]:
    place = files.inside(path, name)
    if not required and not place.exists():
        return {}
    values = files.read_json(place)
    if not isinstance(values, dict):
        raise FolderError("is not a JSON object", where=str(place))
    return values


def _read_facts(path: Path) -> dict[str, Any]:
    facts = _read_object(path, FACTS, required=False)
    if facts and facts.get("format") != FORMAT:
        raise FolderError(
            f"has format {facts.get('format')!r}, this version of Lexloom reads {FORMAT}",
            where=str(path / FACTS),
            fix="Upgrade Lexloom.",
        )
    return facts


def _read_tokenizer(path: Path, vocab_size: int, facts: Mapping[str, Any]) -> Tokenizer | None:
    expected = facts.get("tokenizer_sha256")
    if not files.inside(path, "tokenizer.json").exists():
        if expected is not None:
            raise FolderError("has lost its tokenizer.json", where=str(path))
        return None
    tokenizer = load_tokenizer(path)
    if expected is not None and tokenizer.sha256 != expected:
        raise FolderError("the tokenizer is not the one that the model was trained with", where=str(path))
    if tokenizer.vocab_size > vocab_size:
        raise FolderError(
            f"the tokenizer has {tokenizer.vocab_size:,} ids, the model only {vocab_size:,}", where=str(path)
        )
    return tokenizer


def _special_ids(tokenizer: Tokenizer | None) -> dict[str, int | None]:
    if tokenizer is None:
        return {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    return {
        "bos_token_id": tokenizer.bos_id,
        "eos_token_id": tokenizer.eos_id,
        "pad_token_id": tokenizer.pad_id,
    }
