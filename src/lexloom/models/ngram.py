"""The n-gram model: what a token is depends on the n−1 tokens before it; counted, with modified Kneser-Ney smoothing.

    log p(w | c) = log p of the n-gram cw if it was counted, else log γ(c) + log p(w | c without its first token)

Source: Chen and Goodman 1998 (TR-10-98); how it is counted and smoothed is in data/ngrams.py and data/kneser_ney.py.
The model meets the contract of decoders: its hidden state is which contexts of 1, 2, … n−1 tokens it knows of those
that end at a token.
Axes: B batch, L length, T tokens of all rows, D lengths of contexts (n−1), S states, V vocabulary, G n-grams of an
order.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from lexloom.base.console import say
from lexloom.base.errors import UserError
from lexloom.data.batches import Windows
from lexloom.data.kneser_ney import FALLBACK, Smoothed, smooth
from lexloom.data.ngrams import NONE, count_ngrams
from lexloom.nn.cache import Cache
from lexloom.nn.checks import check_length, check_list, check_size, check_sizes
from lexloom.nn.forks import Forks
from lexloom.nn.published import HARMLESS, Published, read_config, require

KIND = "decoder"
PUBLISHED = False
FIT_SETTINGS = ("memory_mb",)
MAX_GRAMS = 1 << 31
COUNTING_SHARE = 0.7
"""Of the time, roughly; smoothing takes the rest."""

# ---- config ----


@dataclass(frozen=True, kw_only=True)
class Config:
    """The shape of an n-gram model; impossible numbers raise UserError."""

    vocab_size: int
    order: int = 5
    """The longest n-gram: the word and the order − 1 tokens before it."""
    prune: tuple[int, ...] = ()
    """N-grams of 2, 3, … tokens that occur at most so often are left out; those of more tokens than are named, as often
    as the last one. Never fewer than for shorter ones."""
    sizes: tuple[int, ...] = ()
    """How many n-grams of 2, 3, … tokens there are; counting decides it."""
    context: int = 1 << 20
    """The longest text in tokens that is read at once; the model itself looks back order − 1 tokens."""

    def __post_init__(self) -> None:
        check_size("order", self.order)
        check_sizes(self)
        object.__setattr__(self, "prune", check_list("prune", self.prune))
        object.__setattr__(self, "sizes", check_list("sizes", self.sizes) or (0,) * (self.order - 1))
        _check_counts("sizes", self.sizes)
        _check_counts("prune", self.prune)
        if len(self.sizes) != self.order - 1:
            raise UserError(
                f"{list(self.sizes)} is not one number for each order from 2 to {self.order}", where="sizes"
            )
        if len(self.prune) >= self.order or list(self.prune) != sorted(self.prune):
            raise UserError(f"{list(self.prune)} doesn't rise from order 2 to at most {self.order}", where="prune")

    @property
    def width(self) -> int:
        """The contexts in a hidden state."""
        return max(1, self.order - 1)

    @property
    def thresholds(self) -> tuple[int, ...]:
        """`prune` for every order from 2 on."""
        last = self.prune[-1] if self.prune else 0
        return self.prune + (last,) * (self.order - 1 - len(self.prune))


def _check_counts(name: str, counts: Sequence[int]) -> None:
    if not all(type(count) is int and 0 <= count < MAX_GRAMS for count in counts):
        raise UserError(f"{list(counts)} are not whole numbers from 0 to {MAX_GRAMS - 1:,}", where=name)


# ---- blocks ----


class Grams(nn.Module):
    """The n-grams of one order: `keys_G` ascending (see data/ngrams.py), natural logarithms beside them.

    Single tokens have no keys, since every one is there; the longest n-grams have no back-off weights.
    """

    def __init__(self, count: int, vocab_size: int, *, keys: bool, backoffs: bool) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        self.keys = _table(count, torch.int64) if keys else None
        self.log_probabilities = _table(count, torch.float32)
        self.log_backoffs = _table(count, torch.float32) if backoffs else None

    def find(self, contexts: Tensor, words: Tensor) -> Tensor:
        """The rows of these contexts followed by these words, or NONE; int64 like both of them."""
        assert self.keys is not None, "single tokens are their own rows"
        if len(self.keys) == 0:
            return torch.full_like(words, NONE)
        wanted = contexts * self.vocab_size + words
        places = torch.searchsorted(self.keys, wanted).clamp_(max=len(self.keys) - 1)
        there = (self.keys[places] == wanted) & (contexts >= 0) & (words >= 0)
        return torch.where(there, places, NONE)

    def following(self, contexts_S: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """All n-grams with one of these contexts (NONE has none): the place of its context in S, its row, its word."""
        assert self.keys is not None, "single tokens have no context"
        known_S = contexts_S >= 0
        first_S = torch.searchsorted(self.keys, contexts_S * self.vocab_size)
        after_S = torch.searchsorted(self.keys, (contexts_S + 1) * self.vocab_size)
        counts_S = torch.where(known_S, after_S - first_S, 0)
        places = torch.repeat_interleave(torch.arange(len(contexts_S)), counts_S)
        skipped_S = first_S - (counts_S.cumsum(0) - counts_S)
        rows = torch.arange(len(places)) + skipped_S[places]
        return places, rows, self.keys[rows] % self.vocab_size

    def backoff(self, rows: Tensor) -> Tensor:
        """log γ of these rows as contexts, 0 for NONE."""
        assert self.log_backoffs is not None, "the longest n-grams are no contexts"
        if len(self.log_backoffs) == 0:
            return torch.zeros(rows.shape)
        return torch.where(rows >= 0, self.log_backoffs[rows.clamp(min=0)], 0.0)


def _table(count: int, dtype: torch.dtype) -> nn.Parameter:
    return nn.Parameter(torch.empty(count, dtype=dtype), requires_grad=False)


class History(Cache):
    """The tokens of each row, as a decoder's cache: its one cell a token holds the token's id."""

    def __init__(self, batch: int, tokens: int) -> None:
        super().__init__(layers=1, batch=batch, tokens=tokens, kv_heads=1, head_width=1, device=torch.device("cpu"))

    def add(self, ids_BL: Tensor, before: int) -> Tensor:
        """Note the new tokens; returns them behind the `before` last ones of each row, NONE where there are fewer."""
        batch, length = ids_BL.shape
        self.reserve(batch, length)
        cells_BN = self.append(0, ids_BL[:, :, None, None].float(), ids_BL[:, :, None, None].float())[0][:, 0, :, 0]
        places_BL = self.positions(length + before) - before
        found_BL = cells_BN.gather(1, places_BL.clamp(min=0).expand(batch, -1))
        self.advance(length)
        return torch.where(places_BL >= 0, found_BL.long(), NONE)


# ---- model ----


class Model(nn.Module):
    """A decoder: ids in, a log-probability for every next token out."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        sizes = (config.vocab_size, *config.sizes)
        self.orders = nn.ModuleList(
            Grams(size, config.vocab_size, keys=number > 0, backoffs=number < config.order - 1)
            for number, size in enumerate(sizes)
        )

    @property
    def tables(self) -> list[Grams]:
        """The n-grams of each order."""
        return [cast(Grams, grams) for grams in self.orders]

    def hidden(
        self, ids_BL: Tensor, *, runs: Sequence[int] | None = None, cache: History | Forks | None = None
    ) -> Tensor:
        """The rows of the contexts of 1 … n−1 tokens that end at each token, NONE for unknown ones; int64 (B, L, D).

        `runs` and `cache` are as for every decoder. Raises UserError if a text is longer than the context or the cache.
        """
        batch, length = ids_BL.shape
        check_length(length if runs is None else max(runs), self.config.context)
        if isinstance(cache, Forks):
            return self._rows(ids_BL.flatten(), cache.previous_T).view(batch, length, -1)
        before = 0
        if cache is not None:
            before = self.config.width - 1
            ids_BL = cache.add(ids_BL, before)
        previous_T = _previous([before + length] * batch if runs is None else runs)
        rows_TD = self._rows(ids_BL.flatten(), previous_T)
        return rows_TD.view(batch, before + length, -1)[:, before:]

    def scores(self, x: Tensor) -> Tensor:
        """States (…, D) → the log-probability of every next token (…, V)."""
        x_SD = x.reshape(-1, x.shape[-1])
        scores_SV = self.tables[0].log_probabilities.repeat(len(x_SD), 1)
        for contexts_S, shorter, longer in self._steps(x_SD):
            scores_SV += shorter.backoff(contexts_S)[:, None]
            places, rows, words = longer.following(contexts_S)
            scores_SV[places, words] = longer.log_probabilities[rows]
        return scores_SV.view(*x.shape[:-1], -1)

    def log_probabilities(self, x_SD: Tensor, targets_S: Tensor) -> Tensor:
        """The log-probability (S) of one next token for each state, found without the others'."""
        found_S: Tensor = self.tables[0].log_probabilities[targets_S]
        for contexts_S, shorter, longer in self._steps(x_SD):
            found_S = found_S + shorter.backoff(contexts_S)
            rows_S = longer.find(contexts_S, targets_S)
            if len(longer.log_probabilities):
                found_S = torch.where(rows_S >= 0, longer.log_probabilities[rows_S.clamp(min=0)], found_S)
        return found_S

    def forward(self, ids_BL: Tensor, *, runs: Sequence[int] | None = None, cache: History | None = None) -> Tensor:
        return self.scores(self.hidden(ids_BL, runs=runs, cache=cache))

    def new_cache(self, batch: int, tokens: int) -> History:
        """An empty cache for `batch` rows of up to `tokens` tokens, or UserError if that exceeds the context."""
        check_length(tokens, self.config.context)
        return History(batch, tokens)

    def _rows(self, ids_T: Tensor, previous_T: Tensor) -> Tensor:
        """For each token the rows of the n-grams of 1 … D tokens that end with it, (T, D)."""
        rows = [ids_T]
        for grams in self.tables[1 : self.config.width]:
            before_T = torch.where(previous_T >= 0, rows[-1][previous_T.clamp(min=0)], NONE)
            rows.append(grams.find(before_T, ids_T))
        return torch.stack(rows, dim=1)

    def _steps(self, x_SD: Tensor) -> Iterator[tuple[Tensor, Grams, Grams]]:
        """From the shortest context to the longest: its rows, the order it is an n-gram of, and the one it leads to."""
        return zip(x_SD.unbind(1), self.tables, self.tables[1:], strict=False)


def _previous(runs: Sequence[int]) -> Tensor:
    """For each token the place of the one before it in its run, NONE for the first."""
    previous_T = torch.arange(-1, sum(runs) - 1)
    starts = torch.tensor([0, *runs[:-1]]).cumsum(0)
    previous_T[starts] = NONE
    return previous_T


def init_weights(model: Model, seed: int) -> None:
    """What is known before anything is counted: every token is as probable as any other."""
    with torch.no_grad():
        for grams in model.tables:
            for table in grams.parameters():
                table.zero_()
        model.tables[0].log_probabilities.fill_(-float(np.log(model.config.vocab_size)))


# ---- learning ----


def fit(config: Config, units: Windows, tick: Callable[..., None], *, scratch: Path, memory_mb: int) -> Model:
    """Count the n-grams of a prepared corpus and smooth them; UserError for labelled examples instead of a corpus."""
    if not isinstance(units, Windows):
        raise UserError(
            "an ngram is counted on a corpus, not on labelled examples", where="model.family", fix="Use `pretrain`."
        )
    counted = count_ngrams(
        units.shards,
        config.order,
        vocab_size=config.vocab_size,
        scratch=scratch,
        memory_bytes=memory_mb * 1_000_000,
        tick=lambda share: tick(share * COUNTING_SHARE, "counting"),
    )
    smoothed = smooth(
        counted,
        prune=config.thresholds,
        tick=lambda share: tick(COUNTING_SHARE + share * (1 - COUNTING_SHARE), "smoothing"),
    )
    _say_fallbacks(smoothed)
    tick(1.0)
    return model_of(config, smoothed)


def model_of(config: Config, smoothed: Sequence[Smoothed]) -> Model:
    """The model that these tables are."""
    sizes = tuple(len(order.log_probabilities_G) for order in smoothed[1:])
    with torch.device("meta"):
        model = Model(replace(config, sizes=sizes))
    state = {}
    for number, order in enumerate(smoothed):
        arrays = {
            "keys": order.keys_G,
            "log_probabilities": order.log_probabilities_G,
            "log_backoffs": order.log_backoffs_G,
        }
        for name, values in arrays.items():
            if values is not None:
                state[f"orders.{number}.{name}"] = torch.from_numpy(values)
    model.load_state_dict(state, assign=True, strict=True)
    return model


def _say_fallbacks(smoothed: Sequence[Smoothed]) -> None:
    orders = [
        str(number) for number, order in enumerate(smoothed, start=1) if order.discounts and order.discounts.is_fallback
    ]
    if orders:
        say(
            f"Note: the counts of the n-grams of order {', '.join(orders)} give no discounts (few different tokens, or "
            f"little text); the usual ones are taken: {', '.join(map(str, FALLBACK))}"
        )


# ---- presets ----

PRESETS: dict[str, Config] = {
    "bigram": Config(vocab_size=8192, order=2),
    "trigram": Config(vocab_size=8192, order=3),
    "5gram": Config(vocab_size=8192, order=5),
}

# ---- names in files ----

KEYS = {
    "vocab_size": "vocab_size",
    "order": "order",
    "prune": "prune",
    "sizes": "sizes",
    "context": "context",
}
FIXED: dict[str, tuple[Any, ...]] = {"model_type": ("ngram",)}
PREFIX = ""
IGNORED_WEIGHTS = ()


def from_hugging_face(values: Mapping[str, Any]) -> Config:
    """The Config of our config.json; the layout is our own, since transformers has no n-grams."""
    require(values, "vocab_size", "order")
    return Config(**read_config(values, known=KEYS, fixed=FIXED, harmless=HARMLESS))


def to_hugging_face(config: Config) -> dict[str, Any]:
    """The config.json that `from_hugging_face` reads."""
    return {"architectures": ["NgramLM"], "model_type": "ngram", **asdict(config)}


def weights(config: Config) -> dict[str, Published]:
    """Every table under its own name, used where it lies in the file; the widest numbers first, so that all align."""
    names = [f"orders.{number}.keys" for number in range(1, config.order)]
    names += [f"orders.{number}.log_probabilities" for number in range(config.order)]
    names += [f"orders.{number}.log_backoffs" for number in range(config.order - 1)]
    return {name: Published((name,), mapped=True) for name in names}


def tied_copies(config: Config) -> dict[str, str]:
    """No table is stored twice."""
    return {}
