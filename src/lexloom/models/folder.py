"""The model folder: the only thing that passes between stages.

Hugging Face layout (config.json, model.safetensors, tokenizer.json, tokenizer_config.json, generation_config.json,
README.md; sentence-transformers' files for models that embed), plus lexloom.json (where the model comes
from, golden inputs) and manifest.json (sizes and hashes).
"""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from lexloom.base import files
from lexloom.base.errors import FolderError, UserError
from lexloom.models import FAMILIES, MODEL_TYPES, Family, family_of
from lexloom.models.golden import check_golden, make_golden
from lexloom.models.sentences import Pooling, read_pooling, write_pooling
from lexloom.models.weights import read_model, write_weights
from lexloom.nn.published import LABELLED, labels_table, read_labels
from lexloom.text.tokenizers import Tokenizer, load_tokenizer, write_tokenizer

CONFIG = "config.json"
FACTS = "lexloom.json"
GENERATION = "generation_config.json"
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
    labels: tuple[str, ...] | None = None
    """The names of the columns of a `sequence` or `token` head, as config.json has them; None if it has none."""
    pooling: Pooling | None = None
    """How its states become one vector for a text; None for a folder that doesn't say."""
    problem_type: str | None = None
    """What transformers calls the task of a `sequence` head where that isn't one label of several."""


def save_model(
    path: Path,
    model: Any,
    tokenizer: Tokenizer | None,
    *,
    provenance: Mapping[str, Any],
    generation: Mapping[str, Any] | None,
    card: str,
    labels: Sequence[str] | None = None,
    task: Mapping[str, Any] | None = None,
    problem_type: str | None = None,
    pooling: Pooling | None = None,
    replace: bool = False,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Write a complete model folder, or none.

    `provenance` says what the model was made from (recipe, data fingerprints); `generation` adds to
    a decoder's generation_config.json; `card` becomes README.md; weights above `max_shard_bytes` are split into several
    files. `labels` are the names of the head's columns; `task` (name, settings, labels, max_tokens) says what a
    fine-tuned model does; `problem_type` is what transformers calls it where columns are more than labels to choose
    from (`regression`, `multi_label_classification`); with `pooling`, sentence-transformers loads the folder.
    Raises FolderError if `path` exists and `replace` is false, UserError if the model gives non-finite scores.
    """
    name = family_of(model)
    family = FAMILIES[name]
    facts = {
        "format": FORMAT,
        "family": name,
        "provenance": dict(provenance),
        "versions": {"lexloom": version("lexloom"), "torch": torch.__version__, "python": platform.python_version()},
        "tokenizer_sha256": None if tokenizer is None else tokenizer.sha256,
        "labels": None if labels is None else list(labels),
        "task": None if task is None else dict(task),
        "golden": make_golden(model),
    }
    special = _special_ids(tokenizer, family)
    more = _label_settings(model.config, labels, problem_type)
    with files.new_folder(path, facts={"kind": "model", "family": name}, replace=replace) as folder:
        write_weights(folder, model, family, max_shard_bytes)
        settings = {**family.to_hugging_face(model.config), **more, **special, "dtype": "float32"}
        folder.write_json(CONFIG, settings)
        if family.kind != "encoder":
            ids = {key: settings[key] for key in GENERATION_IDS if key in settings}
            folder.write_json(GENERATION, {**ids, **(generation or {})})
        if pooling is not None:
            write_pooling(folder, pooling, width=model.config.width, context=model.config.context)
        if tokenizer is not None:
            write_tokenizer(folder, tokenizer, **_tokenizer_settings(model.config))
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
    model = read_model(path, FAMILIES[family], config).eval()
    facts = read_facts(path)
    tokenizer = _read_tokenizer(path, config.vocab_size, facts)
    if verify and facts:
        check_golden(model, facts.get("golden"), where=str(path / FACTS))
    generation = _read_object(path, GENERATION, required=False)
    labels, problem_type = _read_labels(path, config)
    return ModelFolder(model, tokenizer, family, facts, generation, labels, read_pooling(path), problem_type)


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


def read_facts(path: Path) -> dict[str, Any]:
    """What lexloom.json says of a model folder; empty for one that others wrote. Raises FolderError."""
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


def _read_labels(path: Path, config: Any) -> tuple[tuple[str, ...] | None, str | None]:
    if not _has_labels(config):
        return None, None
    values = _read_object(path, CONFIG, required=True)
    kind = values.get("problem_type")
    return read_labels(values), kind if isinstance(kind, str) else None


def _has_labels(config: Any) -> bool:
    return getattr(config, "head", None) in LABELLED


def _special_ids(tokenizer: Tokenizer | None, family: Family) -> dict[str, int | None]:
    """The ids that transformers takes from a config; absent ones are null, so that it doesn't assume others."""
    names = SPECIAL[family.kind]
    known = {} if tokenizer is None else tokenizer.names
    return {f"{name}_token_id": known.get(name) for name in names}


SPECIAL = {
    "encoder": ("bos", "eos", "pad", "cls", "sep"),
    "decoder": ("bos", "eos", "pad"),
    "encoder-decoder": ("bos", "eos"),
}
"""What a tokenizer's names say; an encoder–decoder's config has its own ids of what fills rows and begins texts."""
GENERATION_IDS = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")


def _tokenizer_settings(config: Any) -> dict[str, Any]:
    """What transformers wants to know of the model before it encodes a text for it."""
    types = ["token_type_ids"] if hasattr(config, "types") else []
    return {"model_max_length": config.context, "model_input_names": ["input_ids", *types, "attention_mask"]}


def _label_settings(config: Any, labels: Sequence[str] | None, problem_type: str | None) -> dict[str, Any]:
    settings: dict[str, Any] = {} if problem_type is None else {"problem_type": problem_type}
    if labels and _has_labels(config):
        assert len(labels) == config.labels, f"{len(labels)} names for {config.labels} labels"
        settings |= labels_table(labels)
    return settings
