"""Packed texts step by step: at each step all texts that are that long stand side by side, the longest first.

Axes: T tokens, R texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from lexloom.nn.pairs import pick


@dataclass(frozen=True)
class Steps:
    """Made by `steps_of`; the texts are sorted, the longest first."""

    lengths: tuple[int, ...]
    """Of the texts, sorted."""
    sizes: tuple[int, ...]
    """How many texts are that long, for each step."""
    order_R: Tensor  # noqa: N815
    """Which text each of the sorted ones is."""
    sorted_R: Tensor  # noqa: N815
    """Where each text is among the sorted ones."""
    places_T: Tensor  # noqa: N815
    """Which token each one is, step by step."""
    back_T: Tensor  # noqa: N815
    """Where each token is among the steps."""
    text_T: Tensor  # noqa: N815
    """Of which sorted text each one is, step by step."""

    def pack(self, x: Tensor) -> Tensor:
        """Tokens in their own order (T, …) → step by step."""
        return pick(x, self.places_T, self.back_T)

    def unpack(self, x: Tensor) -> Tensor:
        """Step by step → in their own order."""
        return pick(x, self.back_T, self.places_T)

    def flipped(self, x: Tensor) -> Tensor:
        """Step by step, each text from its other end."""
        return pick(x, self._mirror_T, self._mirror_T)

    @cached_property
    def sizes_L(self) -> Tensor:  # noqa: N802
        """`sizes` as torch's kernels want them."""
        with torch.inference_mode(False):
            return torch.tensor(self.sizes)

    @cached_property
    def ends_R(self) -> Tensor:  # noqa: N802
        """Where the last token of each sorted text is among the steps."""
        starts = np.fromiter(accumulate(self.sizes, initial=0), np.int64)
        ends_R = starts[np.asarray(self.lengths) - 1] + np.arange(len(self.lengths))
        with torch.inference_mode(False):
            return torch.from_numpy(ends_R).to(self.back_T.device)

    @cached_property
    def _mirror_T(self) -> Tensor:  # noqa: N802
        """Where each step's token would be if its text stood the other way round."""
        sizes = np.asarray(self.sizes)
        starts = np.cumsum(sizes) - sizes
        text_T = self.text_T.cpu().numpy()
        step_T = np.repeat(np.arange(len(sizes)), sizes)
        mirrored_T = starts[np.asarray(self.lengths)[text_T] - 1 - step_T] + text_T
        with torch.inference_mode(False):
            return torch.from_numpy(mirrored_T).to(self.back_T.device)


def steps_of(runs: Sequence[int], device: torch.device) -> Steps:
    """Of texts that lie behind one another and have so many tokens each, at least one."""
    return _steps_of(tuple(runs), device)


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # whoever asks next may want a gradient
def _steps_of(runs: tuple[int, ...], device: torch.device) -> Steps:
    lengths_R = np.asarray(runs, np.int64)
    order_R = np.argsort(-lengths_R, kind="stable")
    sorted_R = lengths_R[order_R]
    sizes = np.searchsorted(-sorted_R, -np.arange(sorted_R[0]), side="left")
    text_T = np.arange(len(lengths_R))[None].repeat(len(sizes), 0)[np.arange(len(lengths_R)) < sizes[:, None]]
    first_R = (np.cumsum(lengths_R) - lengths_R)[order_R]
    places_T = first_R[text_T] + np.repeat(np.arange(len(sizes)), sizes)
    tensors = (order_R, np.argsort(order_R), places_T, np.argsort(places_T), text_T)
    return Steps(tuple(sorted_R.tolist()), tuple(sizes.tolist()), *(torch.from_numpy(x).to(device) for x in tensors))
