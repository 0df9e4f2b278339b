"""Many prompts continued together, each as if it were alone: token ids in, token ids out.

The engine knows nothing of text. Axes: B rows still running, V vocabulary.
"""

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from lexloom.base.rng import generator
from lexloom.generate.decoder import Decoder, Finish, prefill, step
from lexloom.generate.ngrams import completions
from lexloom.generate.prompts import check_prompts, reply_tokens
from lexloom.generate.sampling import Floats, Ids, log_probability, next_token
from lexloom.generate.settings import MAX_SEED, SamplingSettings


@dataclass(frozen=True, slots=True)
class Token:
    """One new token of one row."""

    row: int
    id: int
    log_probability: float
    """Natural logarithm of the model's own probability, before any filter."""
    finish: Finish | None
    """Why the row ends with this token; None: it goes on."""


def generate_ids(
    model: Decoder,
    prompts: Sequence[Sequence[int]],
    settings: SamplingSettings | Sequence[SamplingSettings],
    *,
    eos_ids: Sequence[int] = (),
    barred_ids: Sequence[int] = (),
    stop: Callable[[int, int], bool] | None = None,
) -> Iterator[Token]:
    """Continue every prompt, one token of every unfinished row at a time.

    `settings` is one for all prompts or one for each. A row's tokens depend on its prompt and settings alone, not on
    the other rows. `stop(row, id)` is asked after each token and ends the row if true; an id of `eos_ids` ends it too.
    An id of `barred_ids` is never chosen. Greedy tokens are those of the model run without cache. The model must not be
    in training mode.
    Raises UserError, before the first token, for an empty prompt, ids that aren't in the vocabulary, and a prompt and
    reply longer than the context (nothing is ever cut); later BrokenScores, and NothingLeft where all tokens are
    barred.
    """
    assert not getattr(model, "training", False), "dropout would make every reply another: call model.eval() first"
    return _run(model, _rows(model, prompts, settings), _Ends(tuple(eos_ids), tuple(barred_ids), stop))


@dataclass(frozen=True)
class _Ends:
    """Which tokens matter to every row alike."""

    eos_ids: tuple[int, ...]
    barred_ids: tuple[int, ...]
    stop: Callable[[int, int], bool] | None


@dataclass
class _Row:
    """One prompt on its way."""

    number: int
    ids: list[int]
    """Prompt and reply."""
    settings: SamplingSettings
    reply_tokens: int
    """The length at which the reply ends."""
    prompt_tokens: int = field(init=False)
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.prompt_tokens = len(self.ids)
        seed = self.settings.seed
        self.rng = generator("generate", secrets.randbelow(MAX_SEED) if seed is None else seed)

    def choose(self, scores_V: Floats, ends: _Ends) -> Token:
        """Choose the next token and add it."""
        count = len(self.ids) - self.prompt_tokens
        early = ends.eos_ids if count < self.settings.min_tokens else ()
        barred = (*ends.barred_ids, *early, *completions(self.ids, self.settings.no_repeat_ngram))
        draw = 0.0 if self.settings.greedy else self.rng.random()
        token = next_token(scores_V, self.settings, seen=self._seen(), barred=barred, draw=draw)
        self.ids.append(token)
        finish: Finish | None = "length" if count + 1 == self.reply_tokens else None
        if token in ends.eos_ids:
            finish = "eos"
        elif ends.stop is not None and ends.stop(self.number, token):
            finish = "stop"
        return Token(self.number, token, log_probability(scores_V, token), finish)

    def _seen(self) -> Ids:
        if self.settings.repetition_penalty == 1:
            return np.empty(0, np.int64)
        return np.unique(np.asarray(self.ids, np.int64))


def _rows(
    model: Decoder, prompts: Sequence[Sequence[int]], settings: SamplingSettings | Sequence[SamplingSettings]
) -> list[_Row]:
    check_prompts(prompts, model.config.vocab_size)
    each = [settings] * len(prompts) if isinstance(settings, SamplingSettings) else settings
    assert len(each) == len(prompts), f"{len(each)} settings for {len(prompts)} prompts"
    return [
        _Row(number, list(prompt), chosen, reply_tokens(len(prompt), chosen, model.config.context))
        for number, (prompt, chosen) in enumerate(zip(prompts, each, strict=True))
    ]


def _run(model: Decoder, rows: list[_Row], ends: _Ends) -> Iterator[Token]:
    if not rows:
        return
    cache = model.new_cache(len(rows), max(row.prompt_tokens + row.reply_tokens for row in rows))
    scores_BV = prefill(model, cache, [row.ids for row in rows]).numpy()
    while True:
        tokens = [row.choose(scores_V, ends) for row, scores_V in zip(rows, scores_BV, strict=True)]
        yield from tokens
        going = [place for place, token in enumerate(tokens) if token.finish is None]
        if not going:
            return
        if len(going) < len(rows):
            cache.keep(going)
            rows = [rows[place] for place in going]
        scores_BV = step(model, cache, [row.ids[-1] for row in rows]).numpy()
