"""How likely a decoder finds continuations of a context: the sum of their tokens' log-probabilities.

Continuations that are compared with one another mostly share their context, so they are read as forks (`nn.forks`):
what is common passes through the model once, nothing is padded, and the vocabulary is scored only where a token of a
continuation is foretold. The numbers are those of lm-evaluation-harness's `loglikelihood` for the same ids.
Axes: T tokens of one portion, S places where something is foretold, N foretold tokens, V vocabulary.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from lexloom.base.errors import UserError
from lexloom.nn.forks import Fork, Forks
from lexloom.nn.passes import in_passes

PORTION_TOKENS = 256
"""Tokens that pass through the model at once: the attention of a row of forks grows with their square."""
CHUNK_SCORES = 1 << 22  # vocabulary scores held at once: 16 MB

Tick = Callable[[int], None]


class Decoder(Protocol):
    """The part of the decoder contract that this uses; the vocabulary and context stand in `config`."""

    @property
    def config(self) -> Any: ...
    def hidden(self, ids_BL: Tensor, *, cache: Any) -> Tensor: ...
    def scores(self, x: Tensor) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class Continuation:
    """The ids of a context, at least one, and of what follows it, at least one."""

    context: tuple[int, ...]
    ids: tuple[int, ...]

    @property
    def read(self) -> tuple[int, ...]:
        """What the model reads: all but the last token, after which nothing is foretold."""
        return self.context + self.ids[:-1]


@dataclass(frozen=True, slots=True)
class Likelihood:
    """What a model makes of a continuation."""

    log_probability: float
    """Natural logarithm, summed over its tokens."""
    tokens: int
    greedy: bool
    """Whether greedy decoding would say exactly these tokens."""
    said: tuple[int, ...]
    """What greedy decoding would say, as far as it agrees, and the first token that doesn't."""


def likelihoods(
    model: Decoder,
    groups: Sequence[Sequence[Continuation]],
    *,
    portion_tokens: int = PORTION_TOKENS,
    threads: int | None = None,
    tick: Tick | None = None,
) -> list[list[Likelihood]]:
    """For each group of continuations their likelihoods, in order; a group is read together.

    The size of the portions changes the numbers by rounding only. `tick` is told how many groups are done. The model
    must not be in training mode. Raises UserError if a score is not a finite number.
    """
    assert not getattr(model, "training", False), "dropout would change every score: call model.eval() first"
    context = model.config.context
    assert all(len(one.read) <= context for group in groups for one in group), "what doesn't fit is cut before"
    planted = [_plant(group, min(portion_tokens, context)) for group in groups]
    portions = list(_portions(list(chain.from_iterable(planted)), min(portion_tokens, context)))
    found = chain.from_iterable(in_passes(partial(_forward, model), portions, threads))
    results = []
    for number, trees in enumerate(planted, start=1):
        results.append(list(chain.from_iterable(islice(found, len(trees)))))
        if tick is not None:
            tick(number)
    return results


@dataclass(frozen=True, slots=True)
class _Tree:
    """Continuations that are read as one fork."""

    some: tuple[Continuation, ...]
    trunk: int
    """How many tokens all of them begin with."""

    @property
    def fork(self) -> Fork:
        return Fork(self.trunk, tuple(len(one.read) - self.trunk for one in self.some))

    @property
    def ids(self) -> list[int]:
        return [*self.some[0].read[: self.trunk], *chain.from_iterable(one.read[self.trunk :] for one in self.some)]

    def places(self) -> Iterator[range | list[int]]:
        """For each continuation the places in `ids` after which its tokens are foretold."""
        start = self.trunk
        for one in self.some:
            first, last = len(one.context) - 1, len(one.read)
            moved = start - self.trunk
            yield [place if place < self.trunk else place + moved for place in range(first, last)]
            start += len(one.read) - self.trunk


def _plant(group: Sequence[Continuation], limit: int) -> list[_Tree]:
    """A group as one tree, or as several where that would have more than `limit` tokens."""
    trees: list[_Tree] = []
    some: list[Continuation] = []
    for one in group:
        if some and _tree([*some, one]).fork.tokens > limit:
            trees.append(_tree(some))
            some = []
        some.append(one)
    return [*trees, _tree(some)] if some else trees


def _tree(some: Sequence[Continuation]) -> _Tree:
    first, last = min(one.read for one in some), max(one.read for one in some)
    alike = (place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b)
    return _Tree(tuple(some), next(alike, min(len(first), len(last))))


def _portions(trees: Sequence[_Tree], limit: int) -> Iterator[list[_Tree]]:
    portion: list[_Tree] = []
    filled = 0
    for tree in trees:
        tokens = tree.fork.tokens
        if portion and filled + tokens > limit:
            yield portion
            portion, filled = [], 0
        portion.append(tree)
        filled += tokens
    if portion:
        yield portion


def _forward(model: Decoder, portion: Sequence[_Tree]) -> list[list[Likelihood]]:
    ids_T = torch.tensor(list(chain.from_iterable(tree.ids for tree in portion)))
    x_TD = model.hidden(ids_T[None], cache=Forks([tree.fork for tree in portion], ids_T.device))[0]
    places_N, targets_N = _foretold(portion)
    log_probabilities_N, best_N = _at(model, x_TD, places_N, targets_N)
    results, begin = [], 0
    for tree in portion:
        found = []
        for one in tree.some:
            some = slice(begin, begin + len(one.ids))
            found.append(_likelihood(one.ids, log_probabilities_N[some], best_N[some].tolist()))
            begin += len(one.ids)
        results.append(found)
    return results


def _foretold(portion: Sequence[_Tree]) -> tuple[Any, Any]:
    """Places in the row, and the tokens that are foretold after them."""
    places: list[int] = []
    before = 0
    for tree in portion:
        places += [before + place for some in tree.places() for place in some]
        before += tree.fork.tokens
    targets = [token for tree in portion for one in tree.some for token in one.ids]
    return np.array(places, np.int64), np.array(targets, np.int64)


def _at(model: Decoder, x_TD: Tensor, places_N: Any, targets_N: Any) -> tuple[Any, Any]:
    """Log-probabilities of the targets, and the best token at each place; a place is scored once."""
    places_S, numbers_N = np.unique(places_N, return_inverse=True)
    chunk = max(16, CHUNK_SCORES // model.config.vocab_size)
    log_probabilities_N, best_N = np.empty(len(places_N), np.float32), np.empty(len(places_N), np.int64)
    for start in range(0, len(places_S), chunk):
        scores_SV = model.scores(x_TD[torch.from_numpy(places_S[start : start + chunk])]).float()
        here = np.flatnonzero((numbers_N >= start) & (numbers_N < start + chunk))
        rows_N = torch.from_numpy(numbers_N[here] - start)
        wanted_N = scores_SV[rows_N, torch.from_numpy(targets_N[here])]
        log_probabilities_N[here] = (wanted_N - scores_SV.logsumexp(1)[rows_N]).cpu().numpy()
        best_N[here] = scores_SV.argmax(1)[rows_N].cpu().numpy()
    if not np.isfinite(log_probabilities_N).all():
        raise UserError(
            "the model gave scores that aren't finite numbers",
            fix="Its weights are damaged, or its training diverged: check it with `lexloom show FOLDER`.",
        )
    return log_probabilities_N, best_N


def _likelihood(ids: Sequence[int], log_probabilities: Any, best: list[int]) -> Likelihood:
    wrong = next((place for place, (token, said) in enumerate(zip(ids, best, strict=True)) if token != said), None)
    said = best if wrong is None else best[: wrong + 1]
    return Likelihood(float(log_probabilities.sum(dtype=np.float64)), len(ids), wrong is None, tuple(said))
