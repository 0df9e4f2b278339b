"""The sentence-transformers layout: how an encoder's states become one vector for a text.

modules.json lists the steps (encoder, pooling, normalisation); each has a folder with its settings.
Source: https://sbert.net/docs/sentence_transformer/usage/custom_models.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lexloom.base import files
from lexloom.base.errors import FolderError
from lexloom.nn.checks import check_choice

MODULES = "modules.json"
ENCODER = "sentence_bert_config.json"
POOLING = "1_Pooling"
NORMALISE = "2_Normalize"
MODES = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token"}
UNUSED = ("pooling_mode_max_tokens", "pooling_mode_mean_sqrt_len_tokens")
PLAIN = "Remove modules.json to use the folder as a plain encoder."


@dataclass(frozen=True, kw_only=True)
class Pooling:
    """How the states of a text's tokens become its vector."""

    mode: str
    """`mean` over all tokens, special ones included, or `cls`, the first token's."""
    normalise: bool
    """Whether the vector is brought to length 1."""
    max_tokens: int | None = None
    """Longest text in tokens, special ones included, if the folder says."""

    def __post_init__(self) -> None:
        check_choice("pooling", self.mode, tuple(MODES))


def write_pooling(folder: files.NewFolder, pooling: Pooling, *, width: int, context: int) -> None:
    """Write modules.json and what it names into a model folder under construction."""
    steps = [("", "Transformer"), (POOLING, "Pooling")]
    steps += [(NORMALISE, "Normalize")] if pooling.normalise else []
    folder.write_json(
        MODULES,
        [
            {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for number, (path, kind) in enumerate(steps)
        ],
    )
    max_tokens = context if pooling.max_tokens is None else pooling.max_tokens
    folder.write_json(ENCODER, {"max_seq_length": max_tokens, "do_lower_case": False})
    modes = {key: mode == pooling.mode for mode, key in MODES.items()} | dict.fromkeys(UNUSED, False)
    folder.write_json(f"{POOLING}/config.json", {"word_embedding_dimension": width, **modes})
    if pooling.normalise:
        folder.write_json(f"{NORMALISE}/config.json", {})


def read_pooling(path: Path) -> Pooling | None:
    """The pooling of a model folder; None if it has no modules.json.

    Raises FolderError for steps or modes that Lexloom doesn't compute.
    """
    if not (path / MODULES).exists():
        return None
    steps = _read_steps(path)
    kinds = [kind for kind, _ in steps]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]) or steps[0][1] != "":
        raise FolderError(f"the steps {', '.join(kinds)} are not supported", where=str(path / MODULES), fix=PLAIN)
    mode = _read_mode(path, f"{steps[1][1]}/config.json")
    return Pooling(mode=mode, normalise="Normalize" in kinds, max_tokens=_read_max_tokens(path))


def _read_steps(path: Path) -> list[tuple[str, str]]:
    """The last part of each step's type, and its folder."""
    steps = files.read_json(path / MODULES)
    try:
        return [(str(step["type"]).rsplit(".", 1)[-1], str(step["path"])) for step in steps]
    except (TypeError, KeyError):
        raise FolderError("is not a list of steps with type and path", where=str(path / MODULES), fix=PLAIN) from None


def _read_mode(path: Path, name: str) -> str:
    """One of MODES, as sentence-transformers spells it before and since its version 6."""
    place = files.inside(path, name)
    settings = files.read_json(place)
    if not isinstance(settings, Mapping):
        raise FolderError("is not a JSON object", where=str(place), fix=PLAIN)
    chosen = [key for key, value in settings.items() if key.startswith("pooling_mode_") and value is True]
    modes = [mode for mode, key in MODES.items() if chosen == [key] or settings.get("pooling_mode") == mode]
    if len(modes) != 1:
        named = ", ".join(chosen) or repr(settings.get("pooling_mode"))
        raise FolderError(f"the pooling {named} is not supported, only mean or cls", where=str(place), fix=PLAIN)
    return modes[0]


def _read_max_tokens(path: Path) -> int | None:
    if not (path / ENCODER).exists():
        return None
    settings: Any = files.read_json(files.inside(path, ENCODER))
    value = settings.get("max_seq_length") if isinstance(settings, Mapping) else None
    if value is not None and (type(value) is not int or value < 1):
        raise FolderError(f"max_seq_length {value!r} is not a positive whole number", where=str(path / ENCODER))
    return value
