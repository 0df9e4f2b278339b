"""How published model folders name tensors and settings, and how they become ours."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from lexloom.base.errors import UserError
from lexloom.base.recipe import nearest


@dataclass(frozen=True)
class Published:
    """One of our parameters in a published file.

    `names` are the published tensors; several are joined along our rows, `rows` of each. `transposed` files hold
    matrices as (inputs, outputs); with `as_row` they hold our vector as a matrix of one row. Ours is the published one
    times `gains`, one for each tensor. A `mapped` one is used where it lies in the file, so that it may be larger than
    memory; it is never changed.
    """

    names: tuple[str, ...]
    rows: tuple[int, ...] = ()
    transposed: bool = False
    as_row: bool = False
    gains: tuple[float, ...] = ()
    mapped: bool = False


def read_config(
    values: Mapping[str, Any], *, known: Mapping[str, str], fixed: Mapping[str, tuple[Any, ...]], harmless: Set[str]
) -> dict[str, Any]:
    """Translate a config.json: `known` gives our field for their key.

    `fixed` lists the values that our code computes with; any other value, and any key that is in no list and not
    null, false or empty, would change what the model computes, so it raises UserError naming it.
    """
    if "auto_map" in values:
        raise UserError(
            "wants to run code from the folder, which Lexloom never does",
            where="auto_map",
            fix="Use a model of a known family, saved without custom code.",
        )
    for key, value in values.items():
        if key in fixed and value not in fixed[key]:
            allowed = " or ".join(repr(choice) for choice in fixed[key])
            raise UserError(f"{value!r} is not supported, only {allowed}", where=key)
        if key not in known and key not in fixed and key not in harmless and value not in (None, False, [], {}):
            raise UserError(f"unknown setting {value!r}; {nearest(key, [*known, *fixed])}", where=key)
    return {ours: values[theirs] for theirs, ours in known.items() if values.get(theirs) is not None}


def require(values: Mapping[str, Any], *keys: str) -> None:
    """Every key is there and not null, or UserError lists the missing ones."""
    missing = [key for key in keys if values.get(key) is None]
    if missing:
        raise UserError(f"has no {', '.join(missing)}")


def head_of(values: Mapping[str, Any], heads: Mapping[str, str]) -> dict[str, Any]:
    """The fields `head` and `labels` of an encoder's config: `heads` gives the class of transformers for each head.

    A config.json that names no class describes the encoder alone. Raises UserError for a class that is not among them.
    """
    named = values.get("architectures")
    if named is None or named == []:
        return {"head": "none"}
    found = [head for head, name in heads.items() if named == [name]]
    if not found:
        raise UserError(f"{named!r} is not supported, only one of {', '.join(heads.values())}", where="architectures")
    return {"head": found[0], **(_count_labels(values) if found[0] in LABELLED else {})}


def name_labels(head: str, count: int) -> dict[str, Any]:
    """The part of a config.json from which transformers knows how many labels a head has; they have no names yet."""
    if head not in LABELLED:
        return {}
    names = [f"LABEL_{number}" for number in range(count)]
    return labels_table(names)


def labels_table(names: Sequence[str]) -> dict[str, Any]:
    """The labels of the columns, in their order, as config.json holds them."""
    return {
        "id2label": {str(number): name for number, name in enumerate(names)},
        "label2id": {name: number for number, name in enumerate(names)},
    }


def read_labels(values: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The labels of a config.json in the order of the columns, None if it has none; raises UserError for a gap."""
    table = values.get("id2label")
    if table is None:
        return None
    names = [table.get(str(number)) for number in range(len(table))] if isinstance(table, Mapping) else [None]
    if not all(isinstance(name, str) for name in names):
        raise UserError(f"{table!r:.80} doesn't give each number from 0 a name", where="id2label")
    return tuple(str(name) for name in names)


LABELLED = ("sequence", "token")
"""Heads whose columns are the labels of a task."""


def _count_labels(values: Mapping[str, Any]) -> dict[str, Any]:
    names = read_labels(values)
    if names is None:
        return {} if values.get("num_labels") is None else {"labels": values["num_labels"]}
    return {"labels": len(names)}


# Settings that don't change what a model computes from ids.
HARMLESS = frozenset(
    [
        "_name_or_path", "architectures", "attention_dropout", "attn_implementation", "begin_suppress_tokens",
        "bos_token_id", "chunk_size_feed_forward", "cls_token_id", "decoder_start_token_id", "dtype", "eos_token_id",
        "finetuning_task", "forced_bos_token_id", "forced_eos_token_id", "id2label", "initializer_range",
        "is_decoder", "is_llama_config", "label2id", "max_length", "max_window_layers", "model_type",
        "name_or_path", "num_labels", "output_attentions", "output_hidden_states", "pad_token_id", "prefix",
        "problem_type", "return_dict", "sep_token_id", "summary_activation",
        "summary_first_dropout", "summary_proj_to_labels", "summary_type", "summary_use_proj",
        "task_specific_params", "tokenizer_class", "torch_dtype", "torchscript", "transformers_version",
        "transformers.js_config", "unsloth_fixed", "unsloth_version", "use_cache", "use_return_dict",
    ]
)  # fmt: skip
