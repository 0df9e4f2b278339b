"""Causal attention: over rows, over packed documents, over a cache.

Axes: B batch, L length, T tokens (flattened B·L), H heads, G key/value heads (H is a multiple of G), K head width,
N cached tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor
from torch.nn import functional

from lexloom.nn.cache import Cache
from lexloom.nn.dropout import Dropout


@dataclass(frozen=True)
class Reach:
    """What the tokens of one forward pass may see, the same for all layers; made by `reach_of`."""

    runs: tuple[int, ...] | None = None
    cache: Cache | None = None
    mask: Tensor | None = None


def reach_of(batch: int, length: int, runs: Sequence[int] | None, cache: Cache | None) -> Reach:
    """Each token sees its row up to itself, all that its row has cached, and nothing beyond its run.

    `runs` are the lengths of the documents in the flattened B·L tokens; rows don't matter then.
    Raises UserError if the cache has no room for `length` more tokens.
    """
    if cache is not None:
        assert runs is None, "packed documents and a cache don't go together"
        cache.reserve(batch, length)
        return Reach(cache=cache, mask=cache.mask(length))
    if runs is not None:
        assert sum(runs) == batch * length, f"runs of {sum(runs)} tokens in all for {batch} × {length} ids"
        return Reach(runs=tuple(runs))
    return Reach()


NONE = Dropout(0.0)


def attend(
    q_BLHK: Tensor, k_BLGK: Tensor, v_BLGK: Tensor, *, reach: Reach = Reach(), layer: int = 0, dropout: Dropout = NONE
) -> Tensor:
    """softmax(q kᵀ / √K) v over what each token may see → (B, L, H, K); `dropout` drops weights, in training.

    Query head h reads key/value head h // (H / G). With a cache, keys and values are first appended to its `layer`.
    """
    if reach.cache is not None:
        return _over_cache(q_BLHK, k_BLGK, v_BLGK, reach.cache, layer, reach.mask)
    if reach.runs is not None:
        return _over_runs(q_BLHK, k_BLGK, v_BLGK, reach.runs, dropout)
    return _over_rows(q_BLHK, k_BLGK, v_BLGK, dropout)


def _over_rows(q_BLHK: Tensor, k_BLGK: Tensor, v_BLGK: Tensor, dropout: Dropout) -> Tensor:
    q_BHLK, k_BGLK, v_BGLK = (x.transpose(1, 2) for x in (q_BLHK, k_BLGK, v_BLGK))
    if dropout.share and dropout.training:
        return _with_dropout(q_BHLK, k_BGLK, v_BGLK, dropout).transpose(1, 2)
    grouped = q_BHLK.shape[1] != k_BGLK.shape[1]
    y_BHLK = functional.scaled_dot_product_attention(q_BHLK, k_BGLK, v_BGLK, is_causal=True, enable_gqa=grouped)
    return y_BHLK.transpose(1, 2)


def _with_dropout(q_BHLK: Tensor, k_BGLK: Tensor, v_BGLK: Tensor, dropout: Dropout) -> Tensor:
    """Step by step: torch's fused attention would draw from the generator that all threads share."""
    group = q_BHLK.shape[1] // k_BGLK.shape[1]
    k_BHLK, v_BHLK = k_BGLK.repeat_interleave(group, 1), v_BGLK.repeat_interleave(group, 1)
    scores_BHLL = q_BHLK @ k_BHLK.mT * q_BHLK.shape[-1] ** -0.5
    later_LL = torch.ones(scores_BHLL.shape[-2:], dtype=torch.bool, device=q_BHLK.device).triu(1)
    weights_BHLL = torch.softmax(scores_BHLL.masked_fill(later_LL, -torch.inf), dim=-1)
    y_BHLK: Tensor = dropout(weights_BHLL) @ v_BHLK
    return y_BHLK


def _over_runs(q_BLHK: Tensor, k_BLGK: Tensor, v_BLGK: Tensor, runs: tuple[int, ...], dropout: Dropout) -> Tensor:
    # Neighbouring documents of the same length are the rows of one batch
    stacks = [(len(list(same)), length) for length, same in groupby(runs)]
    split = [torch.split(x.flatten(0, 1), [rows * length for rows, length in stacks]) for x in (q_BLHK, k_BLGK, v_BLGK)]
    attended = [
        _over_rows(q.unflatten(0, shape), k.unflatten(0, shape), v.unflatten(0, shape), dropout).flatten(0, 1)
        for shape, q, k, v in zip(stacks, *split, strict=True)
    ]
    return torch.cat(attended).view(q_BLHK.shape)


def _over_cache(
    q_BLHK: Tensor, k_BLGK: Tensor, v_BLGK: Tensor, cache: Cache, layer: int, mask: Tensor | None
) -> Tensor:
    keys_BGNK, values_BGNK = cache.append(layer, k_BLGK, v_BLGK)
    if cache.empty:
        return _over_rows(q_BLHK, k_BLGK, v_BLGK, NONE)
    q_BHLK = q_BLHK.transpose(1, 2)
    grouped = q_BHLK.shape[1] != keys_BGNK.shape[1]
    y_BHLK = functional.scaled_dot_product_attention(q_BHLK, keys_BGNK, values_BGNK, attn_mask=mask, enable_gqa=grouped)
    return y_BHLK.transpose(1, 2)
