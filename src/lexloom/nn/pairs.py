"""Target texts beside their source texts, both packed, laid out for attention with few and large products.

Pairs whose sources have the same length form a stack; in a stack the targets' queries are padded to its longest. Keys
are never padded, so nothing has to be masked; a padding query costs its share of one small product and is left out
of the result and of every gradient.

Axes: T target tokens, S source tokens, Q padded queries of all stacks, R pairs of a stack, H heads, K head width.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


@dataclass(frozen=True)
class Pairs:
    """Made by `pairs_of`."""

    stacks: tuple[tuple[int, int, int], ...]
    """Pairs, queries of each (padded) and keys of each, of every stack."""
    order: tuple[int, ...]
    """The pairs' numbers, stack by stack."""
    targets: tuple[int, ...]
    """The lengths of the target texts, in their own order."""
    places_Q: Tensor  # noqa: N815
    """Which target token each query is; padding repeats one."""
    back_T: Tensor  # noqa: N815
    """Which query each target token is."""
    keys_S: Tensor  # noqa: N815
    """Which source token each key is."""
    keys_back_S: Tensor  # noqa: N815

    def in_order(self, weights: Sequence[Tensor]) -> list[Tensor]:
        """What was recorded pair by pair of the stacks, without the padding and in the pairs' own order."""
        found = dict(zip(self.order, weights, strict=True))
        return [found[pair][:, :length] for pair, length in enumerate(self.targets)]


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # whoever asks next may want a gradient
def pairs_of(targets: tuple[int, ...], sources: tuple[int, ...], device: torch.device) -> Pairs:
    """Target text i looks at source text i; the arguments are their lengths in tokens. Every layer asks the same."""
    target_R, source_R = np.asarray(targets), np.asarray(sources)
    order_R = np.lexsort((target_R, source_R))
    lengths, counts = np.unique(source_R, return_counts=True)
    ends = np.cumsum(counts)
    longest = np.maximum.reduceat(target_R[order_R], ends - counts)
    queries_R = np.repeat(longest, counts)
    places_Q, real_Q = _spread(_starts(target_R)[order_R], target_R[order_R], queries_R)
    keys_S, _ = _spread(_starts(source_R)[order_R], source_R[order_R], source_R[order_R])
    return Pairs(
        stacks=tuple(zip(counts.tolist(), longest.tolist(), lengths.tolist(), strict=True)),
        order=tuple(order_R.tolist()),
        targets=targets,
        places_Q=torch.from_numpy(places_Q).to(device),
        back_T=torch.from_numpy(_inverse(places_Q[real_Q], np.flatnonzero(real_Q))).to(device),
        keys_S=torch.from_numpy(keys_S).to(device),
        keys_back_S=torch.from_numpy(_inverse(keys_S, np.arange(len(keys_S)))).to(device),
    )


def to_stacks(pairs: Pairs, q_THK: Tensor, k_SHK: Tensor, v_SHK: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Queries (R, padded target length, H, K), keys and values (R, source length, H, K) of every stack."""
    q_QHK = pick(q_THK, pairs.places_Q, pairs.back_T)
    k_SHK, v_SHK = (pick(x_SHK, pairs.keys_S, pairs.keys_back_S) for x_SHK in (k_SHK, v_SHK))
    q_sizes = [rows * queries for rows, queries, _ in pairs.stacks]
    k_sizes = [rows * keys for rows, _, keys in pairs.stacks]
    parts = zip(torch.split(q_QHK, q_sizes), torch.split(k_SHK, k_sizes), torch.split(v_SHK, k_sizes), strict=True)
    for (rows, _, _), (q, k, v) in zip(pairs.stacks, parts, strict=True):
        yield q.view(rows, -1, *q.shape[1:]), k.view(rows, -1, *k.shape[1:]), v.view(rows, -1, *v.shape[1:])


def to_targets(pairs: Pairs, attended: Sequence[Tensor]) -> Tensor:
    """The stacks' results (R, padded target length, H, K) as those of the target tokens in their order, (T, H, K)."""
    return pick(torch.cat([y.flatten(0, 1) for y in attended]), pairs.back_T, pairs.places_Q, padded=True)


def _starts(lengths: Any) -> Any:
    return np.cumsum(lengths) - lengths


def _spread(starts: Any, lengths: Any, widths: Any) -> tuple[Any, Any]:
    """The tokens of texts, each padded to its width by repeating its last token; and which of them are no padding."""
    inside = np.arange(widths.sum()) - np.repeat(_starts(widths), widths)
    last = np.repeat(lengths - 1, widths)
    return np.repeat(starts, widths) + np.minimum(inside, last), inside <= last


def _inverse(places: Any, values: Any) -> Any:
    inverse = np.empty(len(places), np.int64)
    inverse[places] = values
    return inverse


def pick(x: Tensor, places: Tensor, back: Tensor, *, padded: bool = False) -> Tensor:
    """x[places] where `back` says at which place each value of x is; `padded`, some places repeat what no one needs."""
    y: Tensor = _Pick.apply(x, places, back, padded)  # type: ignore[no-untyped-call]
    return y


class _Pick(torch.autograd.Function):
    """x[places], whose gradient is picked by `back` rather than added up: each value of x matters in one place only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, places: Tensor, back: Tensor, padded: bool) -> Tensor:
        ctx.save_for_backward(places, back)
        ctx.padded = padded
        return x.index_select(0, places)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        places, back = ctx.saved_tensors
        if not ctx.padded:
            return grad.index_select(0, back), None, None, None
        full = grad.new_zeros((len(back), *grad.shape[1:]))
        return full.index_copy_(0, places, grad), None, None, None
