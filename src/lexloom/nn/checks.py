"""Bounds for the numbers in a model's config, checked before anything of that size is allocated."""

import math
from collections.abc import Sequence

from lexloom.base.errors import UserError
from lexloom.base.recipe import nearest

# The largest published models have a width of 2^14, 2^7 layers, 2^18 words: room for more, but not for nonsense.
SIZE_BOUNDS = {
    "width": 1 << 17,
    "layers": 1 << 10,
    "decoder_layers": 1 << 10,
    "heads": 1 << 10,
    "kv_heads": 1 << 10,
    "head_width": 1 << 12,
    "ffn_width": 1 << 20,
    "vocab_size": 1 << 22,
    "context": 1 << 24,
    "order": 32,
    "types": 1 << 10,
    "labels": 1 << 20,
    "window": 1 << 24,
    "buckets": 1 << 16,
    "furthest": 1 << 24,
    "char_width": 1 << 12,
    "highways": 1 << 10,
    "projection": 1 << 17,
    "embedding_width": 1 << 17,
    "cell_width": 1 << 17,
    "task_width": 1 << 17,
}


def check_sizes(config: object) -> None:
    """Every size that a config dataclass has is a whole number from 1 to its bound, or UserError names it."""
    for name in SIZE_BOUNDS:
        value = getattr(config, name, None)
        if value is not None:
            check_size(name, value)


def check_size(name: str, value: object) -> None:
    """A single size, see `check_sizes`."""
    if type(value) is not int or not 1 <= value <= SIZE_BOUNDS[name]:
        raise UserError(f"{value!r} is not a whole number from 1 to {SIZE_BOUNDS[name]:,}", where=name)


def check_list(name: str, value: object) -> tuple[object, ...]:
    """A list of a config as a tuple; UserError names it if it is none."""
    if not isinstance(value, list | tuple):
        raise UserError(f"{value!r} is not a list", where=name)
    return tuple(value)


def check_id(name: str, value: object, vocab_size: int) -> None:
    """`value` is a token of the vocabulary, or UserError names it."""
    if type(value) is not int or not 0 <= value < vocab_size:
        raise UserError(f"{value!r} is not a token id from 0 to {vocab_size - 1:,}", where=name)


def check_flag(name: str, value: object) -> None:
    """`value` is true or false, or UserError names it."""
    if type(value) is not bool:
        raise UserError(f"{value!r} is neither true nor false", where=name)


def check_number(name: str, value: float, low: float, high: float) -> None:
    """`value` is a finite number with low ≤ value ≤ high, or UserError names it."""
    if type(value) not in (int, float) or not math.isfinite(value) or not low <= value <= high:
        raise UserError(f"{value!r} is not a number from {low:g} to {high:g}", where=name)


def check_multiple(name: str, value: int, of: str, divisor: int) -> None:
    """`value` can be split evenly, or UserError proposes the next value that can."""
    if value % divisor != 0:
        raise UserError(
            f"{name} {value} can't be split over {divisor} {of}",
            where=name,
            fix=f"Choose a multiple of {divisor}, for example {divisor * max(1, value // divisor)}.",
        )


def check_choice(name: str, value: str, known: Sequence[str]) -> None:
    """`value` is one of `known`, or UserError names the nearest."""
    if value not in known:
        raise UserError(f"unknown value {value!r}; {nearest(str(value), known)}", where=name)


def check_length(length: int, context: int) -> None:
    """A text of `length` tokens fits into the context, or UserError."""
    if length > context:
        raise UserError(
            f"{length:,} tokens are more than the model's context of {context:,}", fix="Shorten or split the text."
        )
