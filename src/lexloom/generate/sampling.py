"""From the scores of the vocabulary to the next token: pure functions, no torch, always finite.

One row at a time in numpy: for one row of scores that is several times faster than the same in torch, and a row's
result can't depend on its neighbours. Axes: V vocabulary, C candidates.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lexloom.base.errors import UserError
from lexloom.generate.guide import Allowed
from lexloom.generate.settings import SamplingSettings

Floats = npt.NDArray[np.floating]
Ids = npt.NDArray[np.int64]

BLOCK = 64  # width of the blocks whose maxima bound the k-th largest score


class BrokenScores(UserError):
    """A model whose scores can't be compared."""

    def __init__(self) -> None:
        super().__init__(
            "the model gave scores that aren't finite numbers",
            fix="Its weights are damaged, or its training diverged: check it with `lexloom show FOLDER`.",
        )


class NothingLeft(UserError):
    """Every token of the vocabulary is barred."""

    def __init__(self) -> None:
        super().__init__(
            "every token is barred, so the text can neither go on nor end",
            fix="Ask for fewer tokens, or let more be repeated: a longer no_repeat_ngram.",
        )


def next_token(
    scores_V: Floats,
    settings: SamplingSettings,
    *,
    seen: Ids,
    barred: Sequence[int],
    draw: float,
    allowed: Allowed | None = None,
) -> int:
    """Choose one id.

    `seen` are the ids of prompt and reply so far (for the repetition penalty), `barred` the ids that can't be chosen
    now, `allowed` which of the first ones can (None: all), `draw` a uniform number in [0, 1): the same draw and scores
    give the same id.
    Raises what `adjusted` raises.
    """
    scores_V = adjusted(scores_V, settings, seen=seen, barred=barred, allowed=allowed)
    if settings.greedy:
        return int(scores_V.argmax())
    ids_C, weights_C = candidates(scores_V, settings)
    return int(ids_C[pick(weights_C, draw)])


def candidates(scores_V: Floats, settings: SamplingSettings) -> tuple[Ids, Floats]:
    """The ids that the filters leave, ascending, and their weights: the best one weighs 1, the others less.

    The temperature must not be greedy. Divided by their sum the weights equal the distribution after transformers'
    logits processors in their order, except that tokens equal to the last one inside top-p are all kept.
    """
    assert not settings.greedy, "a greedy choice has no distribution"
    ids_C = np.arange(scores_V.size)
    if 0 < settings.top_k < scores_V.size:
        ids_C = np.flatnonzero(scores_V >= kth_largest(scores_V, settings.top_k))
    scores_C = scores_V[ids_C] if ids_C.size < scores_V.size else scores_V
    with np.errstate(over="ignore"):  # towards -inf, whose weight is 0
        weights_C = np.exp((scores_C - scores_C.max()) / np.float32(settings.temperature))
    if settings.top_p < 1:
        ids_C, weights_C = _at_least(nucleus_edge(weights_C, settings.top_p), ids_C, weights_C)
    if settings.min_p > 0:
        ids_C, weights_C = _at_least(np.float32(settings.min_p), ids_C, weights_C)
    return ids_C, weights_C


def adjusted(
    scores_V: Floats,
    settings: SamplingSettings,
    *,
    seen: Ids,
    barred: Sequence[int],
    allowed: Allowed | None = None,
) -> Floats:
    """Scores after repetition penalty and bars; the same array if neither applies.

    Raises BrokenScores, or NothingLeft if all tokens with a finite score are barred.
    """
    if settings.repetition_penalty != 1 and seen.size:
        scores_V = scores_V.copy()
        known = scores_V[seen]
        penalty = np.float32(settings.repetition_penalty)
        with np.errstate(over="ignore"):  # an infinity is refused below, or weighs 0
            scores_V[seen] = np.where(known < 0, known * penalty, known / penalty)
    if not np.isfinite(scores_V.max()):
        raise BrokenScores
    if allowed is not None:
        barred_V = np.ones(scores_V.size, np.bool_)
        barred_V[: allowed.size] = ~allowed
        scores_V = np.where(barred_V, np.float32(-np.inf), scores_V)
    if barred:
        scores_V = scores_V.copy()
        scores_V[list(barred)] = -np.inf
    if (barred or allowed is not None) and scores_V.max() == -np.inf:
        raise NothingLeft
    return scores_V


def pick(weights_C: Floats, draw: float) -> int:
    """The place at which the cumulated weight passes the share `draw` in [0, 1); never one of weight zero.

    First the block, then the place inside it: cumulating a whole vocabulary would cost more than all filters.
    """
    blocks = np.add.reduceat(weights_C, np.arange(0, weights_C.size, BLOCK), dtype=np.float64).cumsum()
    target = draw * blocks[-1]
    block = int(np.searchsorted(blocks, target, side="right"))
    inside = weights_C[block * BLOCK : (block + 1) * BLOCK].cumsum(dtype=np.float64)
    left = target - blocks[block - 1] if block > 0 else target
    below_end = np.nextafter(inside[-1], 0)  # the two ways of summing may differ in the last bit
    return block * BLOCK + int(np.searchsorted(inside, min(left, below_end), side="right"))


def log_probability(scores_V: Floats, token: int) -> float:
    """The natural logarithm of the model's own probability of a token, before any filter."""
    best = scores_V.max()
    return float(scores_V[token] - best) - float(np.log(np.exp(scores_V - best).sum(dtype=np.float64)))


def best(scores_V: Floats, count: int) -> tuple[tuple[int, float], ...]:
    """The `count` most probable ids and their log-probabilities, the best first, the lowest ids of equals."""
    count = min(count, scores_V.size)
    ids_C = np.flatnonzero(scores_V >= kth_largest(scores_V, count))
    order = np.lexsort((ids_C, -scores_V[ids_C]))[:count]
    return tuple((int(token), log_probability(scores_V, int(token))) for token in ids_C[order])


def kth_largest(values_V: Floats, k: int) -> np.floating:
    """The k-th largest value.

    Among the maxima of blocks at least k are as large as the k-th largest of them, so every smaller value can be left
    out before the partition.
    """
    blocks = values_V.size // BLOCK
    if k <= blocks:
        maxima = values_V[: blocks * BLOCK].reshape(blocks, BLOCK).max(axis=1)
        values_V = values_V[values_V >= np.partition(maxima, blocks - k)[blocks - k]]
    place = values_V.size - k
    edge: np.floating = np.partition(values_V, place)[place]
    return edge


def nucleus_edge(weights_C: Floats, share: float) -> np.floating:
    """The weight of the last token inside the smallest set of best tokens that holds `share` of the sum.

    Weights below a C-th part of the rest (1 - share) stay under the rest even together, so only larger ones are sorted.
    """
    total = weights_C.sum(dtype=np.float64)
    large = weights_C[np.flatnonzero(weights_C >= (1 - share) * total / weights_C.size)]
    descending = np.sort(large)[::-1]
    place = np.searchsorted(descending.cumsum(dtype=np.float64), share * total, side="left")
    edge: np.floating = descending[min(int(place), descending.size - 1)]
    return edge


def _at_least(edge: np.floating, ids_C: Ids, weights_C: Floats) -> tuple[Ids, Floats]:
    kept = np.flatnonzero(weights_C >= edge)
    return ids_C[kept], weights_C[kept]
