"""Texts continued together that join and leave at any token, each as if it were alone: ids in, ids out.

No threads and no clock: who calls `step` decides when. Source: Yu et al. 2022 (Orca), iteration-level scheduling.
Axes: B rows of a batch, V vocabulary.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from lexloom.base.rng import generator
from lexloom.generate import decoder
from lexloom.generate.decoder import Decoder, Finish, Prompts, Rows, scores_after, step
from lexloom.generate.guide import Guide
from lexloom.generate.ngrams import completions
from lexloom.generate.prefixes import PrefixCache
from lexloom.generate.prompts import check_prompts, reply_tokens
from lexloom.generate.sampling import Floats, Ids, best, log_probability, next_token
from lexloom.generate.settings import MAX_SEED, SamplingSettings

PORTION_TOKENS = 128
"""Tokens of prompts that are read between two tokens of the others; about the time of one more of these."""


@dataclass(frozen=True, slots=True)
class Step:
    """One new token of one row."""

    ticket: int
    id: int
    log_probability: float
    """Natural logarithm of the model's own probability, before any filter."""
    top: tuple[tuple[int, float], ...]
    """The most probable tokens and their log-probabilities, as many as were asked for, the best first."""
    finish: Finish | None
    """Why the row ends with this token; None: it goes on."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A row that ended with an error; the others go on."""

    ticket: int
    error: Exception


class Continuous:
    """Up to `slots` rows on their way through one model.

    A row's tokens depend on its prompt and settings alone, whatever else runs. Prompts are read `portion_tokens` at a
    time, in turns with the next token of the rows that are already writing, so that neither waits long; None: whole,
    and first. `tokens` bounds the memory: so many tokens of prompts and replies in all rows at most; None: no bound.
    The model must not be in training mode.
    """

    def __init__(
        self,
        model: Decoder,
        *,
        slots: int,
        tokens: int | None = None,
        portion_tokens: int | None = PORTION_TOKENS,
        prefixes: PrefixCache | None = None,
    ) -> None:
        assert not getattr(model, "training", False), "dropout would make every reply another: call model.eval() first"
        self._model, self._slots, self._tokens = model, slots, tokens
        self._portion_tokens, self._prefixes = portion_tokens, prefixes
        self._tickets = count()
        self._new: list[_Row] = []
        self._groups: list[_Group] = []
        self._rows: list[_Row] = []
        self._cache: Rows | None = None
        self._has_read = False
        self._shortest_is_next = False

    @property
    def rows(self) -> int:
        """How many rows there are, those whose prompts wait or are being read included."""
        return len(self._everyone())

    def has_room(self, prompt_tokens: int, settings: SamplingSettings) -> bool:
        """Whether a row may join now. Raises ContextFull where the prompt and reply don't fit into the model."""
        everyone = self._everyone()
        taken = sum(row.tokens for row in everyone)
        tokens = prompt_tokens + reply_tokens(prompt_tokens, settings, self._model.config.context)
        fits = self._tokens is None or not everyone or taken + tokens <= self._tokens
        return len(everyone) < self._slots and fits

    def join(
        self,
        prompt_ids: Sequence[int],
        settings: SamplingSettings,
        *,
        eos_ids: Sequence[int] = (),
        barred_ids: Sequence[int] = (),
        stop: Callable[[int], bool] | None = None,
        guide: Guide | None = None,
        top: int = 0,
        owner: str = "",
    ) -> int:
        """Continue a prompt; its row's ticket.

        `stop(id)` is asked after each token and ends the row if true, an id of `eos_ids` ends it too, one of
        `barred_ids` is never chosen; `guide` says which may come next (generate/constraints.py). Of what rows of one
        `owner` have read, others of the same owner may use the beginning.
        Raises UserError for an empty prompt, ids that aren't in the vocabulary, and a prompt and reply longer than the
        context.
        """
        check_prompts([prompt_ids], self._model.config.vocab_size)
        tokens = reply_tokens(len(prompt_ids), settings, self._model.config.context)
        assert self.rows < self._slots, f"all {self._slots} slots are taken: ask `has_room` first"
        ends = _Ends(tuple(eos_ids), tuple(barred_ids), stop)
        row = _Row(next(self._tickets), list(prompt_ids), settings, tokens, ends, guide, top, owner)
        self._new.append(row)
        return row.ticket

    def step(self) -> list[Step | Failed]:
        """One pass through the model: a portion of the prompts, or the next token of every row; in turns if both wait.

        What came of it, by tickets; nothing if no prompt was read to its end. A row that ended or failed is gone.
        """
        waiting = bool(self._new or self._groups)
        self._has_read = waiting and not (self._rows and self._has_read and self._portion_tokens is not None)
        made = self._read() if self._has_read else self._write()
        return sorted(made, key=lambda one: one.ticket)

    def leave(self, ticket: int) -> None:
        """Take a row off, wherever it is; nothing if it is gone."""
        self._new = [row for row in self._new if row.ticket != ticket]
        for group in self._groups:
            group.rows = [row if row is None or row.ticket != ticket else None for row in group.rows]
        self._groups = [group for group in self._groups if any(group.rows)]
        self._drop({ticket})

    def _everyone(self) -> list["_Row"]:
        return [*self._new, *(row for group in self._groups for row in group.rows if row is not None), *self._rows]

    def _read(self) -> list[Step | Failed]:
        """Read a portion of one group of prompts, or all of all groups."""
        self._make_groups()
        made: list[Step | Failed] = []
        tokens = decoder.PREFILL_TOKENS if self._portion_tokens is None else self._portion_tokens
        while self._groups:
            group = self._next_group()
            made += self._read_portion(group, tokens)
            self._groups = [one for one in self._groups if one.rows]
            if self._portion_tokens is not None:
                break
        return made

    def _next_group(self) -> "_Group":
        """The oldest, so that none waits for ever, and the one with the least left, so that few wait, in turns."""
        group = min(self._groups, key=lambda one: one.prompts.left) if self._shortest_is_next else self._groups[0]
        self._shortest_is_next = not self._shortest_is_next
        return group

    def _make_groups(self) -> None:
        """Prompts that came since the last step are read together; one whose beginning is known, alone."""
        together, self._new = self._new, []
        plain: list[_Row] = []
        for row in together:
            found = self._prefixes.find(row.owner, row.ids, row.tokens) if self._prefixes is not None else None
            if found is None:
                plain.append(row)
            else:
                cache, seen = found
                self._groups.append(_Group([row], Prompts([row.ids[seen:]]), cache, seen))
        for rows in _in_portions(plain, self._portion_tokens):
            cache = self._model.new_cache(len(rows), max(row.tokens for row in rows))
            self._groups.append(_Group([*rows], Prompts([row.ids for row in rows]), cache, 0))

    def _read_portion(self, group: "_Group", tokens: int) -> list[Step | Failed]:
        try:
            states = group.prompts.read(self._model, group.cache, tokens)
            if not states:
                return []
            scores_BV = scores_after(self._model, list(states.values())).numpy()
        except Exception as error:
            rows, group.rows = group.rows, []
            return [Failed(row.ticket, error) for row in rows if row is not None]
        made: list[Step | Failed] = []
        for place, scores_V in zip(states, scores_BV, strict=True):
            row = group.rows[place]
            made += [] if row is None else [row.choose(scores_V)]
            group.cache.truncate(place, group.seen + group.prompts.lengths[place])
        going = {one.ticket for one in made if isinstance(one, Step) and one.finish is None}
        self._move(group, list(states), going)
        return made

    def _move(self, group: "_Group", read: list[int], going: set[int]) -> None:
        """Let rows whose prompts are read go over to those that write, and the others of their group go on."""
        for place in read:
            row = group.rows[place]
            if row is not None and row.ticket not in going:
                self._remember(row, group.cache, place)
        left = [place for place, row in enumerate(group.rows) if place not in read and row is not None]
        over = [(place, row) for place in read if (row := group.rows[place]) is not None and row.ticket in going]
        if left:
            for place, row in over:
                self._let_in([row], group.cache.take(place, row.seen, row.tokens))
            group.rows = [group.rows[place] for place in left]
            group.prompts.keep(left)
            group.cache.keep(left)
        else:
            group.rows = []
            if over:
                group.cache.keep([place for place, _ in over])
                self._let_in([row for _, row in over], group.cache)

    def _let_in(self, rows: "list[_Row]", cache: Rows) -> None:
        self._rows += rows
        if self._cache is None:
            self._cache = cache
        else:
            self._cache.join(cache)

    def _write(self) -> list[Step | Failed]:
        """The next token of every row."""
        if self._cache is None:
            return []
        try:
            scores_BV = step(self._model, self._cache, [row.ids[-1] for row in self._rows]).numpy()
        except Exception as error:
            rows, self._rows, self._cache = self._rows, [], None
            return [Failed(row.ticket, error) for row in rows]
        made = [row.choose(scores_V) for row, scores_V in zip(self._rows, scores_BV, strict=True)]
        self._drop({one.ticket for one in made if isinstance(one, Failed) or one.finish is not None})
        return made

    def _drop(self, tickets: set[int]) -> None:
        """Take rows off that write; the last rows take their places, so that few are copied."""
        places = [place for place, row in enumerate(self._rows) if row.ticket not in tickets]
        if len(places) == len(self._rows):
            return
        assert self._cache is not None, "rows that write have a cache"
        for place, row in enumerate(self._rows):
            if row.ticket in tickets:
                self._remember(row, self._cache, place)
        kept = _in_place(places)
        self._rows = [self._rows[place] for place in kept]
        if kept:
            self._cache.keep(kept)
        else:
            self._cache = None

    def _remember(self, row: "_Row", cache: Rows, place: int) -> None:
        """Keep what a row has seen, all but its last token, for others that begin alike."""
        seen = row.ids[: row.seen]
        if self._prefixes is not None and not row.failed and self._prefixes.wants(row.owner, seen):
            self._prefixes.add(row.owner, seen, cache.take(place, len(seen), len(seen)))


@dataclass(frozen=True)
class _Ends:
    """Which tokens end a row or never come."""

    eos_ids: tuple[int, ...]
    barred_ids: tuple[int, ...]
    stop: Callable[[int], bool] | None


@dataclass
class _Row:
    """One prompt on its way."""

    ticket: int
    ids: list[int]
    """Prompt and reply."""
    settings: SamplingSettings
    reply_tokens: int
    """The length at which the reply ends."""
    ends: _Ends
    guide: Guide | None
    top: int
    owner: str
    failed: bool = False
    prompt_tokens: int = field(init=False)
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.prompt_tokens = len(self.ids)
        seed = self.settings.seed
        self.rng = generator("generate", secrets.randbelow(MAX_SEED) if seed is None else seed)

    @property
    def tokens(self) -> int:
        """Prompt and reply at their longest."""
        return self.prompt_tokens + self.reply_tokens

    @property
    def seen(self) -> int:
        """How many of `ids` have passed through the model: all but the last, which was chosen since."""
        return len(self.ids) - 1

    def choose(self, scores_V: Floats) -> Step | Failed:
        """Choose the next token and add it."""
        try:
            return self._choose(scores_V)
        except Exception as error:
            self.failed = True
            return Failed(self.ticket, error)

    def _choose(self, scores_V: Floats) -> Step:
        new = len(self.ids) - self.prompt_tokens
        early = self.ends.eos_ids if new < self.settings.min_tokens else ()
        barred = (*self.ends.barred_ids, *early, *completions(self.ids, self.settings.no_repeat_ngram))
        draw = 0.0 if self.settings.greedy else self.rng.random()
        allowed = None if self.guide is None else self.guide.allowed(self.ends.eos_ids)
        token = next_token(scores_V, self.settings, seen=self._seen(), barred=barred, draw=draw, allowed=allowed)
        self.ids.append(token)
        top = best(scores_V, self.top) if self.top else ()
        return Step(self.ticket, token, log_probability(scores_V, token), top, self._finish(token))

    def _finish(self, token: int) -> Finish | None:
        if token in self.ends.eos_ids:
            return "eos"
        complete = self.guide is not None and self.guide.push(token)
        # Asked after a complete form, too: whoever stops texts is also who writes them down
        stopped = self.ends.stop is not None and self.ends.stop(token)
        if complete or stopped:
            return "stop"
        return "length" if len(self.ids) == self.tokens else None

    def _seen(self) -> Ids:
        if self.settings.repetition_penalty == 1:
            return np.empty(0, np.int64)
        return np.unique(np.asarray(self.ids, np.int64))


@dataclass
class _Group:
    """Rows whose prompts are read together; one that has left is None, so that the others keep their places."""

    rows: list[_Row | None]
    prompts: Prompts
    cache: Rows
    seen: int
    """The tokens that the cache held before."""


def _in_portions(rows: Sequence[_Row], tokens: int | None) -> list[list[_Row]]:
    """The rows in their order, together as many as one portion reads to their ends: more would all wait for the last.

    None: all together.
    """
    portions: list[list[_Row]] = []
    for row in rows:
        company = [*portions[-1], row] if portions else []
        if company and (tokens is None or len(company) * max(len(one.ids) for one in company) <= tokens):
            portions[-1] = company
        else:
            portions.append([row])
    return portions


def _in_place(places: Sequence[int]) -> list[int]:
    """The same ascending places in an order in which as many as possible stay where they are."""
    stay = {place for place in places if place < len(places)}
    others = iter(place for place in places if place >= len(places))
    return [place if place in stay else next(others) for place in range(len(places))]
