"""Where a model looks: the attention of every layer and head, and what it amounts to over all layers.

Attention shows what a model reads together, not what decides its answer; attributions.py asks that.
Axes: N layers, H heads, L tokens.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lexloom.nn.attention import recorded_attention
from lexloom.tasks.contract import Piece
from lexloom.text.tokenizers import Tokenizer

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class AttentionMaps:
    """The attention inside of one piece."""

    tokens: tuple[str, ...]
    """As people read them."""
    special: tuple[bool, ...]
    weights_NHLL: Floats  # noqa: N815
    """[layer, head, i, j]: how much token i takes of token j; the rows sum to 1."""

    @property
    def rollout(self) -> Floats:
        """Attention over all layers together, (L, L)."""
        return rollout(self.weights_NHLL)


@dataclass(frozen=True)
class HeadHabits:
    """Where one head looks, as the mean over the text's tokens of the attention they pay (shares of 1)."""

    layer: int
    head: int
    itself: float
    previous: float
    next: float
    special: float
    """To special tokens such as [CLS] and [SEP]."""
    spread: float
    """The number of tokens it is spread over: the exponential of the entropy, 1 to L."""


def attention_maps(model: Any, piece: Piece, tokenizer: Tokenizer) -> AttentionMaps:
    """Run the piece through the model in evaluation mode and keep every layer's attention."""
    with torch.no_grad(), recorded_attention() as layers:
        model.hidden(torch.tensor([piece.ids]), types_BL=torch.tensor([piece.types]))
    weights_NHLL = torch.stack([runs[0] for runs in layers]).float().cpu().numpy()
    framing = _framing(piece, tokenizer)
    return AttentionMaps(tuple(token_text(token, tokenizer) for token in piece.ids), framing, weights_NHLL)


def rollout(weights_NHLL: Floats) -> Floats:
    """How much of each input token (column) is in each last state (row): (L, L), rows sum to 1.

    Heads are averaged, residual connections count as looking at oneself with one half, and layers are multiplied.
    Source: Abnar and Zuidema 2020, arXiv:2005.00928.
    """
    reached_LL = np.eye(weights_NHLL.shape[-1], dtype=np.float64)
    for weights_HLL in weights_NHLL:
        step_LL = (weights_HLL.mean(axis=0, dtype=np.float64) + np.eye(len(reached_LL))) / 2
        reached_LL = step_LL @ reached_LL
    rolled: Floats = (reached_LL / reached_LL.sum(axis=1, keepdims=True)).astype(np.float32)
    return rolled


def head_habits(maps: AttentionMaps) -> list[HeadHabits]:
    """What each head looks at, layer by layer, in the manner of Clark et al. 2019, arXiv:1906.04341."""
    special = np.array(maps.special)
    return [
        _habits(weights_LL, special, layer, head)
        for layer, heads in enumerate(maps.weights_NHLL)
        for head, weights_LL in enumerate(heads)
    ]


def token_text(token: int, tokenizer: Tokenizer) -> str:
    """A token as people read it: `the` for `▁the`."""
    name = tokenizer.token(token) or ""
    return name if token in tokenizer.special_ids else tokenizer.decode([token]).strip() or name


def _habits(weights_LL: Floats, special_L: NDArray[np.bool_], layer: int, head: int) -> HeadHabits:
    words_L = ~special_L if not special_L.all() else special_L

    def mean(values_L: Floats) -> float:
        return float(values_L[words_L].mean())

    entropy_L = -(weights_LL * np.log(np.maximum(weights_LL, np.finfo(np.float32).tiny))).sum(axis=1)
    return HeadHabits(
        layer=layer,
        head=head,
        itself=mean(np.diagonal(weights_LL)),
        previous=mean(np.append(0, np.diagonal(weights_LL, -1))),
        next=mean(np.append(np.diagonal(weights_LL, 1), 0)),
        special=mean(weights_LL[:, special_L].sum(axis=1)),
        spread=float(np.exp(mean(entropy_L))),
    )


def _framing(piece: Piece, tokenizer: Tokenizer) -> tuple[bool, ...]:
    frames: Collection[int] = {
        token for texts in (1, 2) for token, _ in tokenizer.frame(texts).slots if token is not None
    }
    return tuple(token in frames for token in piece.ids)
