"""Relative position bias: what is added to attention scores depends on how far apart two tokens are.

Source: Raffel et al. 2020, arXiv:1910.10683, section 2.1; the buckets are those of its published code.
Axes: B batch, L length, H heads, N cached tokens, W distances (2·length − 1).
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from lexloom.nn.attention import Reach
from lexloom.nn.layers import Embedding


class RelativeBias(Embedding):
    """One number per head and bucket of distances; near distances have buckets of their own, far ones share them.

    With `both`, half of the buckets are for tokens behind; else all are for tokens before, and what is behind counts
    as distance 0 (and is not seen).
    """

    def __init__(self, buckets: int, heads: int, *, furthest: int, both: bool) -> None:
        super().__init__(buckets, heads)
        self.furthest, self.both = furthest, both

    def square(self, length: int) -> Tensor:
        """The bias between all tokens of a text, (H, L, L); −∞ for tokens behind unless `both`."""
        distances_W = torch.arange(1 - length, length, device=self.weight.device)
        bias_WH: Tensor = self(self.bucket(distances_W))
        bias_HLL = bias_WH.t().unfold(1, length, 1).flip(1)
        if self.both:
            return bias_HLL
        return bias_HLL.masked_fill(torch.ones_like(bias_HLL[0], dtype=torch.bool).triu(1), -torch.inf)

    def over_cache(self, positions_BL: Tensor, cached: int, seen: Tensor | None) -> Tensor:
        """The bias between new tokens at `positions_BL` and `cached` ones, (B, H, L, N); −∞ for those not `seen`."""
        distances_BLN = torch.arange(cached, device=positions_BL.device) - positions_BL[:, :, None]
        bias_BLNH: Tensor = self(self.bucket(distances_BLN))
        bias_BHLN = bias_BLNH.permute(0, 3, 1, 2)
        return bias_BHLN if seen is None else bias_BHLN.masked_fill(~seen, -torch.inf)

    def bucket(self, distances: Tensor) -> Tensor:
        """The bucket of each distance, position of the key less that of the query."""
        count = self.weight.shape[0]
        if self.both:
            behind, count = (distances > 0).long() * (count // 2), count // 2
            return behind + self._bucket_of(distances.abs(), count)
        return self._bucket_of((-distances).clamp(min=0), count)

    def _bucket_of(self, distances: Tensor, count: int) -> Tensor:
        """Half of the buckets hold one distance each, the others grow up to `furthest` and hold what is beyond."""
        exact = count // 2
        share = torch.log(distances.float() / exact) / math.log(self.furthest / exact)
        far = (exact + (share * (count - exact)).long()).clamp(max=count - 1)
        return torch.where(distances < exact, distances, far)


def with_bias(reach: Reach, bias: RelativeBias, length: int, scale: float) -> Reach:
    """The same reach with what `bias` adds to the scores, which are products times `scale`.

    The slices of each length are cut once for all layers.
    """
    cache = reach.cache
    if cache is not None and not cache.empty:
        over = bias.over_cache(cache.positions(length), max(cache.lengths) + length, reach.mask)
        return replace(reach, mask=over, scale=scale)
    lengths: Sequence[int] = (length,) if reach.runs is None else sorted(set(reach.runs))
    return replace(reach, bias={each: bias.square(each) for each in lengths}, scale=scale)
