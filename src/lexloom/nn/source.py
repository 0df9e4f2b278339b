"""What a decoder reads beside its own words: the states of source texts, and attention to them.

Axes: B batch, L target length, T target tokens (flattened B·L), S source tokens of all texts, Q queries of a stack of
targets, M the longest source text, R source texts, H heads, K head width, D width.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lexloom.nn.attention import NONE, weighted
from lexloom.nn.dropout import Dropout
from lexloom.nn.pairs import Pairs, pairs_of, to_stacks, to_targets
from lexloom.nn.source_cache import SourceCache

KeysValues = Callable[[Tensor], tuple[Tensor, Tensor]]
"""A layer's keys and values of encoder states: (S, D) → two (S, H, K)."""


@dataclass(frozen=True)
class Source:
    """Encoded texts, one after the other: `states_SD`, and the lengths of the texts in it."""

    states_SD: Tensor  # noqa: N815
    runs: tuple[int, ...]

    def __post_init__(self) -> None:
        assert sum(self.runs) == len(self.states_SD), f"runs of {sum(self.runs)} for {len(self.states_SD)} states"


def source_of(x_BLD: Tensor, runs: Sequence[int] | None = None) -> Source:
    """What an encoder made of rows, or of the `runs` packed in them, as the source of as many targets."""
    rows, length = x_BLD.shape[:2]
    return Source(x_BLD.flatten(0, 1), (length,) * rows if runs is None else tuple(runs))


@dataclass(frozen=True)
class Gaze:
    """What the tokens of one forward pass look at beside their own text; made by `gaze_of`."""

    source: Source | None
    pairs: Pairs | None
    cache: SourceCache | None
    scale: float | None = None
    """What q kᵀ is multiplied with; 1 / √K if not given."""


def gaze_of(
    batch: int,
    length: int,
    runs: Sequence[int] | None,
    source: Source | None,
    cache: SourceCache | None,
    *,
    scale: float | None = None,
) -> Gaze:
    """Row i, or run i of the flattened B·L tokens, looks at text i of `source`, or at what its row has in `cache`."""
    assert (source is None) != (cache is None), "a decoder looks at a source, or at the one that its cache holds"
    if source is None:
        return Gaze(None, None, cache, scale)
    targets = (length,) * batch if runs is None else tuple(runs)
    assert len(targets) == len(source.runs), f"{len(targets)} targets of {len(source.runs)} sources"
    return Gaze(source, pairs_of(targets, source.runs, source.states_SD.device), None, scale)


def attend_source(
    q_BLHK: Tensor, keys_values: KeysValues, gaze: Gaze, *, layer: int = 0, dropout: Dropout = NONE
) -> Tensor:
    """softmax(q kᵀ · scale) v over each token's source text → (B, L, H, K); `dropout` drops weights, in training.

    `layer` is the number of the layer in the cache, whose keys and values are used if there is one.
    """
    recorded = None if torch.compiler.is_compiling() else _recorded.get()
    if recorded is not None:
        recorded.append([])
    if gaze.cache is not None:
        assert recorded is None, "attention over a cache is not recorded"
        return gaze.cache.look(layer, q_BLHK, gaze.scale)
    assert gaze.source is not None, "made by gaze_of"
    assert gaze.pairs is not None, "made by gaze_of"
    pairs, (k_SHK, v_SHK) = gaze.pairs, keys_values(gaze.source.states_SD)
    attended = [
        _over_stack(*stack, gaze.scale, dropout, recorded)
        for stack in to_stacks(pairs, q_BLHK.flatten(0, 1), k_SHK, v_SHK)
    ]
    if recorded is not None:
        recorded[-1] = pairs.in_order(recorded[-1])
    return to_targets(pairs, attended).view(q_BLHK.shape)


def _over_stack(
    q_RQHK: Tensor,
    k_RMHK: Tensor,
    v_RMHK: Tensor,
    scale: float | None,
    dropout: Dropout,
    recorded: list[list[Tensor]] | None,
) -> Tensor:
    q_RHQK, k_RHMK, v_RHMK = (x.transpose(1, 2) for x in (q_RQHK, k_RMHK, v_RMHK))
    if (dropout.share and dropout.training) or recorded is not None:
        y_RHQK = weighted(q_RHQK, k_RHMK, v_RHMK, bias=None, scale=scale, dropout=dropout, recorded=recorded)
    else:
        y_RHQK = functional.scaled_dot_product_attention(q_RHQK, k_RHMK, v_RHMK, scale=scale)
    return y_RHQK.transpose(1, 2)


@contextmanager
def recorded_source_attention() -> Iterator[list[list[Tensor]]]:
    """While it is open, the list it gives receives the weights of each layer's attention to the source, in this thread.

    `[layer][pair]` is (H, target length, source length): how much each target token takes of each source token.
    """
    layers: list[list[Tensor]] = []
    token = _recorded.set(layers)
    try:
        yield layers
    finally:
        _recorded.reset(token)


def records_source_attention() -> bool:
    """Whether `recorded_source_attention` is open in this thread, for attention that is not computed here."""
    return not torch.compiler.is_compiling() and _recorded.get() is not None


def record_source_attention(weights: Sequence[Tensor]) -> None:
    """Note a layer's weights, (H, target length, source length) of each pair."""
    recorded = _recorded.get()
    assert recorded is not None, "ask `records_source_attention` first"
    recorded.append(list(weights))


_recorded: ContextVar[list[list[Tensor]] | None] = ContextVar("recorded_source_attention", default=None)
