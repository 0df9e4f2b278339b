"""Modified Kneser-Ney smoothing, interpolated: from the counts of n-grams to probabilities and back-off weights.

    p(w | c) = (a(cw) − D(a(cw))) / Σ a(cv) + γ(c) · p(w | c without its first token)

a is the count for n-grams of the highest order and for those that begin with <s>, and otherwise the number of different
tokens that stand before the n-gram; D is one of three discounts for a = 1, a = 2 and a > 2; γ(c) is what was taken off,
so that probabilities sum to one. At the bottom every token of the vocabulary shares γ() evenly.
Sources: Chen and Goodman 1998 (TR-10-98), equations 16 to 26; Heafield et al. 2013, "Scalable Modified Kneser-Ney
Language Model Estimation", whose program lmplz this follows (its `--prune`, its `--discount_fallback`, and the
vocabulary padded to its size).
Axes: V vocabulary, G n-grams of one order.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lexloom.data.ngrams import Counted, Grams, Numbers, Rows

FALLBACK = (0.5, 1.0, 1.5)
"""Discounts where the counts of counts give none, as lmplz takes them."""
LEAST = 1e-30
"""In place of a weight of zero, which discounts of zero would give."""
PIECE = 1 << 22
"""N-grams estimated together; bounds memory."""

Floats = NDArray[np.float32]
Counts = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Discounts:
    """What is taken off the counts 1, 2, and more."""

    values: tuple[float, float, float]
    is_fallback: bool
    """Whether the counts of counts gave none, as with few different tokens (characters) or little text."""

    def of(self, counts: Counts) -> NDArray[np.float64]:
        """The discount of each count."""
        return np.array([0.0, *self.values])[np.minimum(counts, 3)]


@dataclass(frozen=True)
class Smoothed:
    """One order of the model; natural logarithms. `keys_G` as in `data.ngrams.Grams`, None for the single tokens.

    `log_backoffs_G`: log γ of each n-gram as a context, 0 for what is none; None for the highest order.
    """

    keys_G: Numbers | None  # noqa: N815
    log_probabilities_G: Floats  # noqa: N815
    log_backoffs_G: Floats | None  # noqa: N815
    discounts: Discounts | None
    """None where somebody else has smoothed."""


def smooth(counted: Counted, *, prune: Sequence[int], tick: Callable[[float], None]) -> list[Smoothed]:
    """All orders, smoothed. N-grams of the order 2 + i that occur at most prune[i] times are left out (0: none)."""
    vocab_size, orders = len(counted.unigrams_V), counted.orders
    lower = _unigrams(_preceded(orders[0], vocab_size) if orders else counted.unigrams_V)
    kept_rows: Rows | None = None
    smoothed: list[Smoothed] = []
    for number, (grams, above) in enumerate(zip(orders, [*orders[1:], None], strict=False)):
        tick(number / len(orders))
        counts_G = _adjusted(grams, above)
        discounts = discounts_of(counts_G)
        higher, gammas = _order(grams, counts_G, discounts, lower.probabilities, prune[number], vocab_size)
        smoothed.append(_finished(lower, gammas, kept_rows, vocab_size))
        kept_rows = _renumbered(lower.kept)
        lower = higher
    smoothed.append(_finished(lower, None, kept_rows, vocab_size))
    return smoothed


def discounts_of(counts_G: Counts) -> Discounts:
    """D1, D2 and D3+ from how many n-grams have a count of 1, 2, 3 and 4 (Chen and Goodman, equation 26)."""
    n = np.bincount(np.minimum(counts_G, 5), minlength=6)[:5].tolist()
    if min(n[1:]) == 0:
        return Discounts(FALLBACK, is_fallback=True)
    y = n[1] / (n[1] + 2 * n[2])
    one, two, more = (j - (j + 1) * y * n[j + 1] / n[j] for j in (1, 2, 3))
    possible = 0 <= one <= 1 and 0 <= two <= 2 and 0 <= more <= 3
    return Discounts((one, two, more) if possible else FALLBACK, is_fallback=not possible)


def _adjusted(grams: Grams, above: Grams | None) -> Counts:
    """a of an order, given the one above it."""
    if above is None:
        return grams.counts_G
    preceded_G = _preceded(above, len(grams))
    # Nothing stands before <s>
    return np.where(preceded_G == 0, grams.counts_G, preceded_G)


def _preceded(above: Grams, size: int) -> Rows:
    """How many different tokens stand before each n-gram of the order below, which has `size` of them."""
    return np.bincount(above.suffixes_G, minlength=size).astype(np.int32)


@dataclass(frozen=True)
class _Order:
    keys_G: Numbers | None  # noqa: N815
    probabilities: Floats
    discounts: Discounts
    kept: NDArray[np.bool_] | None
    """Which n-grams stay; None: all."""


def _unigrams(counts_V: Counts) -> _Order:
    discounts = discounts_of(counts_V[counts_V > 0])
    total = counts_V.sum()
    taken_V = discounts.of(counts_V)
    probabilities_V = (counts_V - taken_V + taken_V.sum() / len(counts_V)) / total
    return _Order(None, probabilities_V.astype(np.float32), discounts, None)


def _order(
    grams: Grams, counts_G: Counts, discounts: Discounts, below: Floats, least: int, vocab_size: int
) -> tuple[_Order, tuple[Rows, Floats]]:
    """An order, and γ of each of its contexts with their rows."""
    keys_G, suffixes_G = grams.keys_G, grams.suffixes_G
    probabilities_G = np.empty(len(grams), np.float32)
    kept_G = None if least == 0 else grams.counts_G > least
    contexts, gammas = [], []
    for start, stop in _pieces(keys_G, vocab_size):
        piece = slice(start, stop)
        rows = keys_G[piece] // vocab_size
        firsts = np.flatnonzero(np.concatenate([[True], rows[1:] != rows[:-1]]))
        counts = counts_G[piece].astype(np.float64)
        left = counts - discounts.of(counts_G[piece])
        totals = np.add.reduceat(counts, firsts)
        staying = left if kept_G is None else np.where(kept_G[piece], left, 0.0)
        gamma = (totals - np.add.reduceat(staying, firsts)) / totals
        lengths = np.diff(firsts, append=stop - start)
        inherited = np.repeat(gamma, lengths) * below[suffixes_G[piece]]
        probabilities_G[piece] = left / np.repeat(totals, lengths) + inherited
        contexts.append(rows[firsts].astype(np.int32))
        gammas.append(gamma.astype(np.float32))
    order = _Order(keys_G, probabilities_G, discounts, kept_G)
    return order, (np.concatenate(contexts), np.concatenate(gammas))


def _pieces(keys_G: Numbers, vocab_size: int) -> list[tuple[int, int]]:
    """Stretches of about PIECE n-grams that don't part what follows one context."""
    cuts = [0]
    while cuts[-1] < len(keys_G):
        stop = min(cuts[-1] + PIECE, len(keys_G))
        if stop < len(keys_G):
            next_context = (int(keys_G[stop]) // vocab_size + 1) * vocab_size
            stop = int(np.searchsorted(keys_G, next_context))
        cuts.append(stop)
    return list(itertools.pairwise(cuts))


def _finished(
    order: _Order, gammas: tuple[Rows, Floats] | None, context_rows: Rows | None, vocab_size: int
) -> Smoothed:
    """The order without what is pruned, its contexts by their new rows, in logarithms."""
    log_backoffs_G = None
    if gammas is not None:
        log_backoffs_G = np.zeros(len(order.probabilities), np.float32)
        log_backoffs_G[gammas[0]] = np.log(np.maximum(gammas[1], LEAST))
    keys_G, log_probabilities_G = order.keys_G, np.log(order.probabilities)
    if order.kept is not None:
        log_probabilities_G = log_probabilities_G[order.kept]
        log_backoffs_G = None if log_backoffs_G is None else log_backoffs_G[order.kept]
        keys_G = None if keys_G is None else keys_G[order.kept]
    if context_rows is not None and keys_G is not None:
        keys_G = context_rows[keys_G // vocab_size].astype(np.int64) * vocab_size + keys_G % vocab_size
    return Smoothed(keys_G, log_probabilities_G, log_backoffs_G, order.discounts)


def _renumbered(kept_G: NDArray[np.bool_] | None) -> Rows | None:
    """The new row of each n-gram that stays; None where all stay."""
    return None if kept_G is None else (np.cumsum(kept_G) - 1).astype(np.int32)
