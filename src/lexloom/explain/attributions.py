"""How much each word spoke for an answer: integrated gradients, and occlusion.

Both compare the text with one whose words are masked, the special tokens kept, and say in the target's own unit (see
targets.py) what each word adds. Sources: Sundararajan et al. 2017, arXiv:1703.01365 (integrated gradients); Zeiler and
Fergus 2014, arXiv:1311.2901 (occlusion).
Axes: K copies of an example (steps of a path, occluded words), P pieces, L tokens of a piece, D width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lexloom.base.errors import FolderError
from lexloom.explain.targets import Target
from lexloom.explain.words import Word
from lexloom.tasks.contract import Piece
from lexloom.text.tokenizers import Tokenizer

Floats = NDArray[np.float64]

FIRST_STEPS = 16
MOST_STEPS = 256
TOLERANCE = 0.005
"""The error that is left, as a share of the attributions' absolute sum: what of the colouring may be numerical."""
CHUNK_TOKENS = 4096

GRADIENTS, OCCLUSION = "gradients", "occlusion"


@dataclass(frozen=True)
class Attribution:
    """What each word adds to the target."""

    method: str
    values: tuple[float, ...]
    """In the order of the words given."""
    output: float
    """The target on the text."""
    baseline: float
    """The target with all of these words masked."""
    steps: int
    """Points on the path (integrated gradients), or words occluded."""
    complete: bool | None
    """Whether the values sum to `output − baseline` within TOLERANCE; None for occlusion, which doesn't promise it."""

    @property
    def error(self) -> float:
        """How far the sum of the values is from `output − baseline`."""
        return sum(self.values) - (self.output - self.baseline)


def blank_id(tokenizer: Tokenizer) -> int:
    """What stands for a masked token: the mask, else the padding, else the unknown token."""
    for name in ("mask", "pad", "unk"):
        if name in tokenizer.names:
            return tokenizer.names[name]
    raise FolderError(
        "the tokenizer has no token to stand for a masked word",
        fix="Name mask_token or pad_token in tokenizer_config.json.",
    )


def integrated_gradients(
    model: Any, pieces: Sequence[Piece], words: Sequence[Word], target: Target, *, blank: int
) -> Attribution:
    """The gradients of the target along the straight path from masked to real input embeddings, times its length.

    The path is integrated by Gauss and Legendre's rule; its points are doubled until the values are complete, or
    MOST_STEPS is reached. `model` is in evaluation mode.
    """
    text = [_embedded(model, pieces[number], pieces[number].ids) for number in target.pieces]
    masked = [_embedded(model, pieces[number], ids) for number, ids in _all_masked(pieces, words, target, blank)]
    with torch.no_grad():
        output, baseline = (float(target.value(model, [model.encode(x) for x in xs])[0]) for xs in (text, masked))
    steps = FIRST_STEPS
    while True:
        token_values = _path_integral(model, text, masked, target, steps)
        values = _gathered(token_values, words, target)
        error = abs(sum(values) - (output - baseline))
        complete = error <= TOLERANCE * sum(map(abs, values))
        if complete or 2 * steps > MOST_STEPS:
            return Attribution(GRADIENTS, values, output, baseline, steps, complete)
        steps *= 2


def occlusion(model: Any, pieces: Sequence[Piece], words: Sequence[Word], target: Target, *, blank: int) -> Attribution:
    """By how much the target falls when each word in turn is masked."""
    every = [place for word in words for place in word.tokens]
    outputs_K = _occluded_outputs(model, pieces, [[], *(list(word.tokens) for word in words), every], target, blank)
    output, *without, baseline = outputs_K
    values = tuple(output - value for value in without)
    return Attribution(OCCLUSION, values, output, baseline, len(words), None)


def _embedded(model: Any, piece: Piece, ids: Sequence[int]) -> Tensor:
    """What the first block reads, (1, L, D)."""
    with torch.no_grad():
        x_BLD: Tensor = model.embed(torch.tensor([list(ids)]), types_BL=torch.tensor([piece.types]))
    return x_BLD


def _all_masked(
    pieces: Sequence[Piece], words: Sequence[Word], target: Target, blank: int
) -> list[tuple[int, list[int]]]:
    every = [place for word in words for place in word.tokens]
    return [(number, _masked(pieces[number], number, every, blank)) for number in target.pieces]


def _masked(piece: Piece, number: int, places: Sequence[tuple[int, int]], blank: int) -> list[int]:
    hidden = {place for owner, place in places if owner == number}
    return [blank if place in hidden else token for place, token in enumerate(piece.ids)]


def _path_integral(
    model: Any, text: Sequence[Tensor], masked: Sequence[Tensor], target: Target, steps: int
) -> list[Floats]:
    """For each piece the value of every token, (L)."""
    shares, weights = (torch.from_numpy(values) for values in _unit_rule(steps))
    totals = [torch.zeros(x.shape[1:], dtype=torch.float64, device=x.device) for x in text]
    copies = max(1, CHUNK_TOKENS // sum(x.shape[1] for x in text))
    for share_K, weight_K in zip(torch.split(shares, copies), torch.split(weights, copies), strict=True):
        share_K11 = share_K.to(text[0])[:, None, None]
        path = [(start + share_K11 * (end - start)).requires_grad_() for start, end in zip(masked, text, strict=True)]
        value_K = target.value(model, [model.encode(x_KLD) for x_KLD in path])
        for total, gradient_KLD in zip(totals, torch.autograd.grad(value_K.sum(), path), strict=True):
            total += torch.einsum("k,kld->ld", weight_K.to(total.device), gradient_KLD.double())
    return [
        ((end - start)[0].double() * total).sum(dim=-1).cpu().numpy()
        for start, end, total in zip(masked, text, totals, strict=True)
    ]


def _unit_rule(steps: int) -> tuple[Floats, Floats]:
    """Gauss and Legendre's points between 0 and 1, and what each counts."""
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    return (nodes + 1) / 2, weights / 2


def _gathered(token_values: Sequence[Floats], words: Sequence[Word], target: Target) -> tuple[float, ...]:
    """Each word's tokens added up, over the pieces that decide the target."""
    by_piece = dict(zip(target.pieces, token_values, strict=True))
    return tuple(
        float(sum(by_piece[number][place] for number, place in word.tokens if number in by_piece)) for word in words
    )


@torch.no_grad()
def _occluded_outputs(
    model: Any, pieces: Sequence[Piece], hidden: Sequence[list[tuple[int, int]]], target: Target, blank: int
) -> list[float]:
    """The target for each set of hidden places."""
    outputs: list[float] = []
    copies = max(1, CHUNK_TOKENS // sum(len(pieces[number].ids) for number in target.pieces))
    for start in range(0, len(hidden), copies):
        some = hidden[start : start + copies]
        states = [_states(model, pieces[number], number, some, blank) for number in target.pieces]
        outputs += target.value(model, states).tolist()
    return outputs


def _states(model: Any, piece: Piece, number: int, hidden: Sequence[Sequence[tuple[int, int]]], blank: int) -> Tensor:
    """The states of a piece for each set of hidden places, (K, L, D); what looks the same is computed once."""
    rows: dict[tuple[int, ...], int] = {}
    row_K = [rows.setdefault(tuple(_masked(piece, number, places, blank)), len(rows)) for places in hidden]
    x_BLD: Tensor = model.hidden(torch.tensor(list(rows)), types_BL=torch.tensor([piece.types]).expand(len(rows), -1))
    return x_BLD[torch.tensor(row_K, device=x_BLD.device)]
