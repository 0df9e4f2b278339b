"""Beam search: the most probable continuations of many prompts, each as if it were alone.

Source: Sutskever et al. 2014 (arXiv:1409.3215), section 3.2; when it ends and how texts are scored as in transformers.
Axes: R rows (all running beams of all prompts), V vocabulary, C candidates of a row, N blocks of the vocabulary, I ids
that are looked at.
"""

import math
from bisect import insort_right
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lexloom.generate.decoder import Decoder, Finish, prefill, step
from lexloom.generate.ngrams import completions
from lexloom.generate.prompts import check_prompts, reply_tokens
from lexloom.generate.sampling import BrokenScores, NothingLeft
from lexloom.generate.settings import BeamSettings

BLOCK = 64
"""Width of the blocks of the vocabulary of which only the best are looked into."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A finished text."""

    ids: list[int]
    """The new tokens, the one that ended it included."""
    score: float
    """What hypotheses are ranked by: `log_probability / len(ids) ** length_penalty`."""
    log_probability: float
    """The natural logarithm of the model's own probability of all `ids`."""
    finish: Finish

    @property
    def written(self) -> list[int]:
        """The new tokens without the end-of-text token."""
        return self.ids[:-1] if self.finish == "eos" else self.ids


def beam_search(
    model: Decoder,
    prompts: Sequence[Sequence[int]],
    settings: BeamSettings | Sequence[BeamSettings],
    *,
    eos_ids: Sequence[int] = (),
    barred_ids: Sequence[int] = (),
) -> list[list[Hypothesis]]:
    """For each prompt the `n_best` best continuations found, the best one first.

    `settings` is one for all prompts or one for each. What is found for a prompt depends on it and its settings alone;
    of equally probable tokens the one with the lowest id is taken. An id of `eos_ids` ends a text, one of `barred_ids`
    is never chosen. There are fewer than `n_best` only where the vocabulary has no more. The model must not be in
    training mode.
    Raises UserError for an empty prompt, ids that aren't in the vocabulary, and a prompt and reply longer than the
    context; BrokenScores, and NothingLeft where all tokens are barred.
    """
    assert not getattr(model, "training", False), "dropout would make every search another: call model.eval() first"
    searches = _searches(model, prompts, settings, tuple(dict.fromkeys(eos_ids)))
    if searches:
        _run(model, searches, barred_ids)
    return [search.finished[: search.settings.n_best] for search in searches]


@dataclass(slots=True)
class _Beam:
    """The beginning of a text."""

    ids: list[int]
    """The new tokens."""
    log_probability: float
    row: int
    """Where its keys and values stand in the cache: at first those of its parent."""


@dataclass(slots=True)
class _Search:
    """One prompt on its way."""

    prompt: list[int]
    settings: BeamSettings
    reply_tokens: int
    """The length at which a text ends."""
    eos_ids: tuple[int, ...]
    beams: list[_Beam] = field(default_factory=list)
    finished: list[Hypothesis] = field(default_factory=list)
    """The best ones, as many as there are beams."""
    tokens: int = 0
    """The new tokens of each beam."""

    @property
    def candidates(self) -> int:
        """So many that enough are left to go on with if all that can end do."""
        return max(2, 1 + len(self.eos_ids)) * self.settings.beams

    def grow(self, grown: list[_Beam]) -> None:
        """Take the `candidates` best beginnings that are one token longer, the best first."""
        self.tokens += 1
        width = self.settings.beams
        self.beams = []
        for rank, beam in enumerate(grown):
            if beam.ids[-1] in self.eos_ids or self.tokens == self.reply_tokens:
                if rank < width:
                    self._finish(beam)
            elif len(self.beams) < width:
                self.beams.append(beam)
        if len(self.finished) == width and self.beams and self._score(self.beams[0]) <= self.finished[-1].score:
            self.beams = []
        if not self.beams and not self.finished:
            raise NothingLeft

    def _finish(self, beam: _Beam) -> None:
        finish: Finish = "eos" if beam.ids[-1] in self.eos_ids else "length"
        hypothesis = Hypothesis(beam.ids, self._score(beam), beam.log_probability, finish)
        insort_right(self.finished, hypothesis, key=lambda one: -one.score)
        del self.finished[self.settings.beams :]

    def _score(self, beam: _Beam) -> float:
        return beam.log_probability / float(self.tokens**self.settings.length_penalty)


def _searches(
    model: Decoder,
    prompts: Sequence[Sequence[int]],
    settings: BeamSettings | Sequence[BeamSettings],
    eos_ids: tuple[int, ...],
) -> list[_Search]:
    check_prompts(prompts, model.config.vocab_size)
    each = [settings] * len(prompts) if isinstance(settings, BeamSettings) else settings
    assert len(each) == len(prompts), f"{len(each)} settings for {len(prompts)} prompts"
    searches = []
    for row, (prompt, chosen) in enumerate(zip(prompts, each, strict=True)):
        search = _Search(list(prompt), chosen, reply_tokens(len(prompt), chosen, model.config.context), eos_ids)
        search.beams.append(_Beam([], 0.0, row))
        searches.append(search)
    return searches


def _run(model: Decoder, searches: list[_Search], barred_ids: Sequence[int]) -> None:
    cache = model.new_cache(len(searches), max(len(search.prompt) + search.reply_tokens for search in searches))
    scores_RV = prefill(model, cache, [search.prompt for search in searches])
    while True:
        for search, grown in zip(searches, _grown(scores_RV, searches, barred_ids), strict=True):
            search.grow(grown)
        searches = [search for search in searches if search.beams]
        if not searches:
            return
        beams = _placed([beam for search in searches for beam in search.beams])
        cache.keep([beam.row for beam in beams])
        for row, beam in enumerate(beams):
            beam.row = row
        scores_RV = step(model, cache, [beam.ids[-1] for beam in beams])


def _placed(beams: list[_Beam]) -> list[_Beam]:
    """The beams in an order in which as many as possible have the row that they came from: those needn't be copied."""
    rows: list[_Beam | None] = [None] * len(beams)
    others = []
    for beam in beams:
        if beam.row < len(rows) and rows[beam.row] is None:
            rows[beam.row] = beam
        else:
            others.append(beam)
    left = iter(others)
    return [next(left) if beam is None else beam for beam in rows]


@torch.inference_mode()
def _grown(scores_RV: Tensor, searches: list[_Search], barred_ids: Sequence[int]) -> list[list[_Beam]]:
    """For each search its best beginnings of one more token, the best first; among equals that of the better parent."""
    log_probs_RV = scores_RV.log_softmax(dim=-1)
    if torch.isnan(log_probs_RV[:, 0]).any():  # one score that isn't finite spoils the whole row
        raise BrokenScores
    _bar(log_probs_RV, searches, barred_ids)
    ids_RC, log_probs_RC = best_tokens(log_probs_RV, max(search.candidates for search in searches))

    beams = [beam for search in searches for beam in search.beams]
    rows = [beam.row for beam in beams]
    widths = np.array([len(search.beams) * ids_RC.shape[1] for search in searches])
    totals = (log_probs_RC[rows] + np.array([beam.log_probability for beam in beams])[:, None]).ravel()
    order = np.lexsort((-totals, np.repeat(np.arange(len(searches)), widths)))
    parents = (order // ids_RC.shape[1]).tolist()
    tokens, descending = ids_RC[rows].ravel()[order].tolist(), totals[order].tolist()
    return [
        [
            _Beam([*beams[parents[place]].ids, tokens[place]], descending[place], beams[parents[place]].row)
            for place in range(end - width, end - width + min(search.candidates, width))
            if descending[place] > -math.inf
        ]
        for search, width, end in zip(searches, widths.tolist(), widths.cumsum().tolist(), strict=True)
    ]


def _bar(log_probs_RV: Tensor, searches: list[_Search], barred_ids: Sequence[int]) -> None:
    """Leave no probability to tokens that can't be chosen now."""
    if barred_ids:
        log_probs_RV[:, list(barred_ids)] = -math.inf
    rows: list[int] = []
    ids: list[int] = []
    for search in searches:
        early = search.eos_ids if search.tokens < search.settings.min_tokens else ()
        n = search.settings.no_repeat_ngram
        if not early and n == 0:
            continue
        for beam in search.beams:
            repeated = completions([*search.prompt, *beam.ids], n)
            rows += [beam.row] * (len(early) + len(repeated))
            ids += [*early, *repeated]
    if rows:
        log_probs_RV[rows, ids] = -math.inf


def best_tokens(values_RV: Tensor, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The ids (R, C) of the `count` largest values of each row, ascending, and those values; the lowest ids of equals.

    They lie in the `count` blocks with the largest maxima, so only those are looked into.
    """
    blocks = values_RV.shape[1] // BLOCK
    if blocks <= count:
        ids_RC = _largest(values_RV, min(count, values_RV.shape[1]))
    else:
        maxima_RN = values_RV[:, : blocks * BLOCK].reshape(-1, blocks, BLOCK).amax(dim=2)
        chosen_RC = _largest(maxima_RN, count).sort(dim=1).values
        inside_RI = (chosen_RC[:, :, None] * BLOCK + torch.arange(BLOCK)).flatten(1)
        rest_RI = torch.arange(blocks * BLOCK, values_RV.shape[1]).expand(len(values_RV), -1)
        looked_RI = torch.cat([inside_RI, rest_RI], dim=1)
        ids_RC = looked_RI.gather(1, _largest(values_RV.gather(1, looked_RI), count))
    ids_RC = ids_RC.sort(dim=1).values
    return ids_RC.numpy(), values_RV.gather(1, ids_RC).double().numpy()


def _largest(values_RI: Tensor, count: int) -> Tensor:
    """The places (R, C) of the largest values of each row, in any order; the first places among equals."""
    top = values_RI.topk(count)
    if int((values_RI >= top.values[:, -1:]).sum()) == top.indices.numel():
        return top.indices
    return values_RI.sort(dim=1, descending=True, stable=True).indices[:, :count]
