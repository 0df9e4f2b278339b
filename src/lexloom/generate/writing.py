"""Texts written from other texts by an encoder–decoder: source ids in, hypotheses out, in the same order."""

import contextlib
import math
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from lexloom.base.rng import seed_for
from lexloom.generate.beam import Hypothesis, beam_search
from lexloom.generate.decoder import Decoder
from lexloom.generate.engine import Token, generate_ids
from lexloom.generate.prompts import reply_tokens
from lexloom.generate.settings import DEFAULT_REPLY_TOKENS, MAX_SEED, RATIO_EXTRA_TOKENS, WritingSettings
from lexloom.models.reading import reading
from lexloom.nn.inference import one_thread
from lexloom.nn.passes import in_passes

PORTION_TOKENS = 4096
"""Tokens of sources and of all that is written of them under way in one thread, taking a text to become as long as its
source; the bound of memory."""


def write(
    model: Any,
    sources: Sequence[Sequence[int]],
    settings: WritingSettings,
    *,
    eos_ids: Sequence[int],
    prefix: Sequence[Sequence[int]] | None = None,
    barred_ids: Sequence[int] = (),
    batch_tokens: int = PORTION_TOKENS,
    threads: int | None = None,
    tick: Callable[[int], None] | None = None,
) -> list[list[Hypothesis]]:
    """For each source the `n_best` best texts found, the best one first.

    `model` is an encoder–decoder in evaluation mode, `prefix` has for each source the ids with which its text is forced
    to begin (they aren't repeated in the hypotheses), an id of `barred_ids` is never written. Sources of about one
    length pass together, `batch_tokens` at a time on each of `threads` threads (as many as there are cores if None);
    what is written of one depends on none of this, as far as sums may be rounded either way. `tick` is told how many
    sources are done.
    Where `max_tokens` is more than the context has room for, the context is the limit. Raises UserError for an empty
    source, one longer than the context, ids that aren't in the vocabulary, and a prefix that fills the context.
    """
    jobs = _jobs(model.config, sources, prefix, settings)
    some = list(_portions(sorted(jobs, key=lambda job: -len(job.source)), batch_tokens))
    found: list[list[Hypothesis]] = [[] for _ in jobs]
    done = 0
    # Products of single rows are numpy's: its threads must not meet those of the passes
    with contextlib.nullcontext() if threads == 1 or len(some) == 1 else one_thread():
        passes = in_passes(partial(_write, model, tuple(eos_ids), tuple(barred_ids)), some, threads)
        for portion, hypotheses in zip(some, passes, strict=True):
            for job, texts in zip(portion, hypotheses, strict=True):
                found[job.number] = texts
            done += len(portion)
            if tick is not None:
                tick(done)
    return found


@dataclass(frozen=True, slots=True)
class _Job:
    """One source on its way."""

    number: int
    source: Sequence[int]
    prompt: list[int]
    settings: WritingSettings
    """With the limit and the seed of this source."""

    @property
    def tokens(self) -> int:
        """What it adds to a portion."""
        assert self.settings.max_tokens is not None
        return len(self.source) + self.settings.beams * min(len(self.source), self.settings.max_tokens)


def _jobs(
    config: Any, sources: Sequence[Sequence[int]], prefix: Sequence[Sequence[int]] | None, settings: WritingSettings
) -> list[_Job]:
    assert prefix is None or len(prefix) == len(sources), "a prefix for each source, or none at all"
    seed = secrets.randbelow(MAX_SEED) if settings.seed is None else settings.seed
    jobs = []
    for number, source in enumerate(sources):
        prompt = [config.start_id, *(() if prefix is None else prefix[number])]
        limit = _limit(len(source), config.context - len(prompt), settings)
        own = settings.model_copy(update={"max_tokens": limit, "seed": seed_for("write", seed, number)})
        reply_tokens(len(prompt), own, config.context)
        jobs.append(_Job(number, source, prompt, own))
    return jobs


def _limit(source_tokens: int, room: int, settings: WritingSettings) -> int:
    """The longest text of a source, in tokens."""
    limits = [] if settings.max_tokens is None else [settings.max_tokens]
    if settings.max_ratio is not None:
        limits.append(max(settings.min_tokens, int(source_tokens * settings.max_ratio) + RATIO_EXTRA_TOKENS))
    if not limits:
        limits.append(max(settings.min_tokens, DEFAULT_REPLY_TOKENS))
    return max(1, min(room, *limits))


def _portions(jobs: Sequence[_Job], tokens: int) -> Iterator[list[_Job]]:
    """Neighbours of at most `tokens` in all; a larger one is a portion of its own."""
    portion: list[_Job] = []
    filled = 0
    for job in jobs:
        if portion and filled + job.tokens > tokens:
            yield portion
            portion, filled = [], 0
        portion.append(job)
        filled += job.tokens
    if portion:
        yield portion


def _write(
    model: Any, eos_ids: tuple[int, ...], barred_ids: tuple[int, ...], portion: Sequence[_Job]
) -> list[list[Hypothesis]]:
    decoder: Decoder = reading(model, [job.source for job in portion])
    prompts, each = [job.prompt for job in portion], [job.settings for job in portion]
    if each[0].beams > 1 or (each[0].greedy and each[0].repetition_penalty == 1):  # one beam is greedy, and faster
        return beam_search(decoder, prompts, each, eos_ids=eos_ids, barred_ids=barred_ids)
    rows: list[list[Token]] = [[] for _ in portion]
    for token in generate_ids(decoder, prompts, each, eos_ids=eos_ids, barred_ids=barred_ids):
        rows[token.row].append(token)
    return [[_hypothesis(row, settings)] for row, settings in zip(rows, each, strict=True)]


def _hypothesis(tokens: Sequence[Token], settings: WritingSettings) -> Hypothesis:
    total = math.fsum(token.log_probability for token in tokens)
    finish = tokens[-1].finish
    assert finish is not None, "a row ends with the token that says why"
    return Hypothesis(
        [token.id for token in tokens], total / float(len(tokens) ** settings.length_penalty), total, finish
    )
