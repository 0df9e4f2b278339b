"""Attention, causal or in both directions: over rows, over packed documents, over a cache.

Axes: B batch, L length, T tokens (flattened B·L), H heads, G key/value heads (H is a multiple of G), K head width,
N cached tokens, M keys that a block of queries sees.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from lexloom.nn.cache import Cache
from lexloom.nn.dropout import Dropout, as_numbers, kept_of
from lexloom.nn.linear import batched_product
from lexloom.nn.pairs import pairs_of, to_stacks, to_targets


@dataclass(frozen=True)
class Reach:
    """What the tokens of one forward pass may see; made by `reach_of`, `replace` sets what some models add to it."""

    runs: tuple[int, ...] | None = None
    cache: Cache | None = None
    mask: Tensor | None = None
    """Over a cache: bool, which cached tokens each token sees; or float, what is added to the scores, −∞ for unseen."""
    causal: bool = True
    """Whether tokens see only what is before them, and themselves."""
    window: int | None = None
    """How many tokens away the furthest seen one is, on each side; None for no limit. Not for causal attention."""
    bias: Mapping[int, Tensor] | None = None
    """What is added to the scores of a row or run of each length, (H, L, L), −∞ where a token may not look."""
    scale: float | None = None
    """What q kᵀ is multiplied with; 1 / √K if not given."""


def reach_of(
    batch: int, length: int, runs: Sequence[int] | None, cache: Cache | None = None, *, causal: bool = True
) -> Reach:
    """Each token sees its row (if `causal`: up to itself), all that its row has cached, and nothing beyond its run.

    `runs` are the lengths of the documents in the flattened B·L tokens; rows don't matter then.
    Raises UserError if the cache has no room for `length` more tokens.
    """
    if cache is not None:
        assert runs is None, "packed documents and a cache don't go together"
        assert causal, "attention in both directions has no use for a cache"
        cache.reserve(batch, length)
        return Reach(cache=cache, mask=cache.mask(length))
    if runs is not None:
        assert sum(runs) == batch * length, f"runs of {sum(runs)} tokens in all for {batch} × {length} ids"
        return Reach(causal=causal) if [length] == [*runs] else Reach(runs=tuple(runs), causal=causal)
    return Reach(causal=causal)


NONE = Dropout(0.0)


def attend(
    q_BLHK: Tensor, k_BLGK: Tensor, v_BLGK: Tensor, *, reach: Reach = Reach(), layer: int = 0, dropout: Dropout = NONE
) -> Tensor:
    """softmax(q kᵀ / √K) v over what each token may see → (B, L, H, K); `dropout` drops weights, in training.

    Query head h reads key/value head h // (H / G). With a cache, keys and values are first appended to its `layer`.
    """
    recorded = _recording()
    if recorded is not None:
        recorded.append([])
    if reach.cache is not None:
        assert recorded is None, "attention over a cache is not recorded"
        return _over_cache(q_BLHK, k_BLGK, v_BLGK, reach, reach.cache, layer)
    if reach.runs is not None:
        return _over_runs(q_BLHK, k_BLGK, v_BLGK, reach, reach.runs, dropout)
    return _over_rows(q_BLHK, k_BLGK, v_BLGK, reach, dropout)


@contextmanager
def recorded_attention() -> Iterator[list[list[Tensor]]]:
    """While it is open, the list it gives receives the weights of every layer that this thread computes.

    `[layer][run]` is (H, L, L): how much each query (row) takes of each key (column). Without runs, rows are the runs.
    """
    layers: list[list[Tensor]] = []
    token = _recorded.set(layers)
    try:
        yield layers
    finally:
        _recorded.reset(token)


_recorded: ContextVar[list[list[Tensor]] | None] = ContextVar("recorded_attention", default=None)


def _recording() -> list[list[Tensor]] | None:
    """Where weights are to be noted; the compiler can't follow a context variable, and trains only."""
    return None if torch.compiler.is_compiling() else _recorded.get()


def _over_rows(q_BLHK: Tensor, k_BLGK: Tensor, v_BLGK: Tensor, reach: Reach, dropout: Dropout) -> Tensor:
    q_BHLK, k_BGLK, v_BGLK = (x.transpose(1, 2) for x in (q_BLHK, k_BLGK, v_BLGK))
    bias_HLL = None if reach.bias is None else reach.bias[q_BHLK.shape[2]]
    learned = bias_HLL is not None and bias_HLL.requires_grad
    if learned or (dropout.share and dropout.training) or _recording() is not None:
        return _with_weights_at_hand(q_BHLK, k_BGLK, v_BGLK, reach, dropout).transpose(1, 2)
    if reach.window is not None and reach.window < q_BHLK.shape[2] - 1:
        return _over_windows(q_BHLK, k_BGLK, v_BGLK, reach.window).transpose(1, 2)
    y_BHLK = functional.scaled_dot_product_attention(
        q_BHLK,
        k_BGLK,
        v_BGLK,
        attn_mask=None if bias_HLL is None else bias_HLL[None],
        is_causal=reach.causal and bias_HLL is None,
        scale=reach.scale,
        enable_gqa=q_BHLK.shape[1] != k_BGLK.shape[1],
    )
    return y_BHLK.transpose(1, 2)


def _with_weights_at_hand(q_BHLK: Tensor, k_BGLK: Tensor, v_BGLK: Tensor, reach: Reach, dropout: Dropout) -> Tensor:
    """Step by step; torch's fused attention would drop by the generator that all threads share."""
    group = q_BHLK.shape[1] // k_BGLK.shape[1]
    k_BHLK, v_BHLK = k_BGLK.repeat_interleave(group, 1), v_BGLK.repeat_interleave(group, 1)
    length = q_BHLK.shape[2]
    bias = _hidden(length, reach, q_BHLK.device) if reach.bias is None else reach.bias[length]
    return weighted(q_BHLK, k_BHLK, v_BHLK, bias=bias, scale=reach.scale, dropout=dropout, recorded=_recording())


def weighted(
    q_BHLK: Tensor,
    k_BHMK: Tensor,
    v_BHMK: Tensor,
    *,
    bias: Tensor | None,
    scale: float | None,
    dropout: Dropout,
    recorded: list[list[Tensor]] | None,
) -> Tensor:
    """Attention whose weights are dropped, recorded or biased by what is learned; (B, H, L, K).

    `bias` is added to the scores, −∞ where a query may not look; `recorded[-1]` receives each row's weights.
    """
    scale = q_BHLK.shape[-1] ** -0.5 if scale is None else scale
    if recorded is None:
        share = dropout.share if dropout.training else 0.0
        y_BHLK: Tensor = _Weighted.apply(q_BHLK, k_BHMK, v_BHMK, bias, scale, share)  # type: ignore[no-untyped-call]
        return y_BHLK
    weights_BHLM = _weights(q_BHLK, k_BHMK, bias, scale)
    recorded[-1] += weights_BHLM.detach().unbind()
    dropped_BHLM: Tensor = dropout(weights_BHLM)
    return dropped_BHLM @ v_BHMK


def _weights(q_BHLK: Tensor, k_BHMK: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    scores_BHLM = batched_product(q_BHLK * scale, k_BHMK.mT)
    if bias is not None:
        scores_BHLM.add_(bias)
    return torch.softmax(scores_BHLM, dim=-1)


class _Weighted(torch.autograd.Function):
    """One step for autograd instead of ten, which is what short documents spend their time on.

    What is constant multiplies the narrow factors (queries, values) and not the wide weights.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scale: float, share: float) -> Tensor:
        weights = _weights(q, k, bias, scale)
        kept = kept_of(weights, share) if share else None
        ctx.save_for_backward(q, k, v, weights, kept)
        ctx.scale, ctx.gain = scale, 1 / (1 - share)
        return batched_product(_dropped(weights, kept), v).mul_(ctx.gain)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, weights, kept = ctx.saved_tensors
        grad = grad * ctx.gain
        v_grad = batched_product(_dropped(weights, kept).mT, grad)
        weights_grad = _dropped(batched_product(grad, v.mT), kept)
        scores_grad = torch._softmax_backward_data(weights_grad, weights, -1, weights.dtype)
        bias_grad = scores_grad.sum(0) if ctx.needs_input_grad[3] else None
        q_grad = batched_product(scores_grad, k).mul_(ctx.scale)
        k_grad = batched_product(scores_grad.mT, q).mul_(ctx.scale)
        return q_grad, k_grad, v_grad, bias_grad, None, None


def _dropped(x: Tensor, kept: Tensor | None) -> Tensor:
    return x if kept is None else x * as_numbers(kept)


def _hidden(length: int, reach: Reach, device: torch.device) -> Tensor | None:
    """−∞ at the keys (columns) that a query (row) of a row of tokens may not see, else 0; None if it sees them all."""
    if reach.causal:
        hidden_LL = torch.ones(length, length, dtype=torch.bool, device=device).triu(1)
    elif reach.window is not None:
        places_L = torch.arange(length, device=device)
        hidden_LL = (places_L[:, None] - places_L).abs() > reach.window
    else:
        return None
    return torch.zeros(length, length, device=device).masked_fill_(hidden_LL, -torch.inf)


def _over_windows(q_BHLK: Tensor, k_BHLK: Tensor, v_BHLK: Tensor, window: int) -> Tensor:
    """Blocks of queries, each against the keys within the window of any of them: the time is linear in the length."""
    length = q_BHLK.shape[2]
    places_L = torch.arange(length, device=q_BHLK.device)
    block, blocks = 2 * window + 1, []
    for start in range(0, length, block):
        queries, keys = slice(start, start + block), slice(max(0, start - window), start + block + window)
        seen_LM = (places_L[queries, None] - places_L[keys]).abs() <= window
        q_BHMK, k_BHMK, v_BHMK = q_BHLK[:, :, queries], k_BHLK[:, :, keys], v_BHLK[:, :, keys]
        blocks.append(functional.scaled_dot_product_attention(q_BHMK, k_BHMK, v_BHMK, attn_mask=seen_LM))
    return torch.cat(blocks, dim=2)


def _over_runs(
    q_BLHK: Tensor, k_BLGK: Tensor, v_BLGK: Tensor, reach: Reach, runs: tuple[int, ...], dropout: Dropout
) -> Tensor:
    # Neighbouring documents of the same length are the rows of one batch
    stacks = [(len(list(same)), length) for length, same in groupby(runs)]
    if len(stacks) >= SCATTERED * len(set(runs)):
        return _over_scattered_runs(q_BLHK, k_BLGK, v_BLGK, reach, runs, dropout)
    split = [torch.split(x.flatten(0, 1), [rows * length for rows, length in stacks]) for x in (q_BLHK, k_BLGK, v_BLGK)]
    attended = [
        _over_rows(q.unflatten(0, shape), k.unflatten(0, shape), v.unflatten(0, shape), reach, dropout).flatten(0, 1)
        for shape, q, k, v in zip(stacks, *split, strict=True)
    ]
    return torch.cat(attended).view(q_BLHK.shape)


def _over_scattered_runs(
    q_BLHK: Tensor, k_BLGK: Tensor, v_BLGK: Tensor, reach: Reach, runs: tuple[int, ...], dropout: Dropout
) -> Tensor:
    """Bring documents of the same length together first; a few hundred short ones would take most of the time else."""
    pairs = pairs_of(runs, runs, q_BLHK.device)
    stacks = to_stacks(pairs, q_BLHK.flatten(0, 1), k_BLGK.flatten(0, 1), v_BLGK.flatten(0, 1))
    attended = [_over_rows(*stack, reach, dropout) for stack in stacks]
    recorded = _recording()
    if recorded is not None:
        recorded[-1] = pairs.in_order(recorded[-1])
    return to_targets(pairs, attended).view(q_BLHK.shape)


SCATTERED = 2
"""How many times more stacks of neighbours than lengths make it worth while to bring equal lengths together."""


def _over_cache(q_BLHK: Tensor, k_BLGK: Tensor, v_BLGK: Tensor, reach: Reach, cache: Cache, layer: int) -> Tensor:
    keys_BGNK, values_BGNK = cache.append(layer, k_BLGK, v_BLGK)
    if cache.empty:
        return _over_rows(q_BLHK, k_BLGK, v_BLGK, reach, NONE)
    q_BHLK = q_BLHK.transpose(1, 2)
    grouped = q_BHLK.shape[1] != keys_BGNK.shape[1]
    y_BHLK = functional.scaled_dot_product_attention(
        q_BHLK, keys_BGNK, values_BGNK, attn_mask=reach.mask, scale=reach.scale, enable_gqa=grouped
    )
    return y_BHLK.transpose(1, 2)
