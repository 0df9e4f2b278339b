"""Many prompts continued together, each as if it were alone: token ids in, token ids out.

The engine knows nothing of text. Axes: B rows still running, L length, D width, V vocabulary.
"""

import contextlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from lexloom.base.errors import UserError
from lexloom.base.rng import generator
from lexloom.generate.prompts import check_ids, reply_tokens
from lexloom.generate.sampling import Floats, Ids, log_probability, next_token
from lexloom.generate.settings import MAX_SEED, SamplingSettings
from lexloom.nn.inference import one_thread

PREFILL_TOKENS = 2048  # tokens of all rows that pass through the model at once; bounds the memory of long prompts

Finish = Literal["eos", "stop", "length"]


class Rows(Protocol):
    """The part of a cache that the engine uses, see `nn.cache.Cache`."""

    def truncate(self, row: int, length: int) -> None: ...
    def keep(self, rows: Sequence[int]) -> None: ...


class Decoder(Protocol):
    """The part of the decoder contract that the engine uses; the vocabulary and context stand in `config`."""

    @property
    def config(self) -> Any: ...
    def hidden(self, ids_BL: Tensor, *, cache: Any) -> Tensor: ...
    def scores(self, x: Tensor) -> Tensor: ...
    def new_cache(self, batch: int, tokens: int) -> Rows: ...


@dataclass(frozen=True, slots=True)
class Token:
    """One new token of one row."""

    row: int
    id: int
    log_probability: float
    """Natural logarithm of the model's own probability, before any filter."""
    finish: Finish | None
    """Why the row ends with this token: the end-of-text token, a stop string, the length; None: it goes on."""


def generate_ids(
    model: Decoder,
    prompts: Sequence[Sequence[int]],
    settings: SamplingSettings | Sequence[SamplingSettings],
    *,
    eos_ids: Sequence[int] = (),
    stop: Callable[[int, int], bool] | None = None,
) -> Iterator[Token]:
    """Continue every prompt, one token of every unfinished row at a time.

    `settings` is one for all prompts or one for each. A row's tokens depend on its prompt and settings alone, not on
    the other rows. `stop(row, id)` is asked after each token and ends the row if true; an id of `eos_ids` ends it too.
    Greedy tokens are those of the model run without cache. The model must not be in training mode.
    Raises UserError, before the first token, for an empty prompt, ids that aren't in the vocabulary, and a prompt and
    reply longer than the context; nothing is ever cut.
    """
    assert not getattr(model, "training", False), "dropout would make every reply another: call model.eval() first"
    rows = _check_rows(model, prompts, settings)
    return _run(model, rows, tuple(eos_ids), stop)


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

    def choose(self, scores_V: Floats, eos_ids: tuple[int, ...], stop: Callable[[int, int], bool] | None) -> Token:
        """Choose the next token and add it."""
        count = len(self.ids) - self.prompt_tokens
        barred = eos_ids if count < self.settings.min_tokens else ()
        draw = 0.0 if self.settings.greedy else self.rng.random()
        token = next_token(scores_V, self.settings, seen=self._seen(), barred=barred, draw=draw)
        self.ids.append(token)
        finish: Finish | None = "length" if count + 1 == self.reply_tokens else None
        if token in eos_ids:
            finish = "eos"
        elif stop is not None and stop(self.number, token):
            finish = "stop"
        return Token(self.number, token, log_probability(scores_V, token), finish)

    def _seen(self) -> Ids:
        if self.settings.repetition_penalty == 1:
            return np.empty(0, np.int64)
        return np.unique(np.asarray(self.ids, np.int64))


def _check_rows(
    model: Decoder, prompts: Sequence[Sequence[int]], settings: SamplingSettings | Sequence[SamplingSettings]
) -> list[_Row]:
    each = [settings] * len(prompts) if isinstance(settings, SamplingSettings) else settings
    assert len(each) == len(prompts), f"{len(each)} settings for {len(prompts)} prompts"
    rows = []
    for number, (prompt, chosen) in enumerate(zip(prompts, each, strict=True)):
        if not prompt:
            raise UserError(f"prompt {number} is empty", fix="Begin with the tokenizer's bos or eos token.")
        check_ids(prompt, model.config.vocab_size)
        rows.append(_Row(number, list(prompt), chosen, reply_tokens(len(prompt), chosen, model.config.context)))
    return rows


def _run(
    model: Decoder, rows: list[_Row], eos_ids: tuple[int, ...], stop: Callable[[int, int], bool] | None
) -> Iterator[Token]:
    if not rows:
        return
    cache = model.new_cache(len(rows), max(row.prompt_tokens + row.reply_tokens for row in rows))
    scores_BV = _prefill(model, cache, [row.ids for row in rows])
    while True:
        tokens = [row.choose(scores_V, eos_ids, stop) for row, scores_V in zip(rows, scores_BV, strict=True)]
        yield from tokens
        going = [place for place, token in enumerate(tokens) if token.finish is None]
        if not going:
            return
        if len(going) < len(rows):
            cache.keep(going)
            rows = [rows[place] for place in going]
        scores_BV = _step(model, cache, [row.ids[-1] for row in rows])


# Decorated functions rather than a `with` block in the generator: that would leak the mode into the caller between
# two tokens.
@torch.inference_mode()
def _prefill(model: Decoder, cache: Rows, prompts: list[list[int]]) -> Floats:
    """Run the prompts through the model in chunks, padded on the right; the scores after each prompt's last token.

    The padding comes after a prompt's own tokens, so they don't see it, and is forgotten at the end.
    """
    lengths = [len(prompt) for prompt in prompts]
    ids_BL = torch.tensor([prompt + [0] * (max(lengths) - len(prompt)) for prompt in prompts])
    chunk = max(1, PREFILL_TOKENS // len(prompts))
    last: list[Tensor | None] = [None] * len(prompts)
    for start in range(0, max(lengths), chunk):
        x_BLD = model.hidden(ids_BL[:, start : start + chunk], cache=cache)
        for row, length in enumerate(lengths):
            if start < length <= start + chunk:
                last[row] = x_BLD[row, length - 1 - start]
    for row, length in enumerate(lengths):
        cache.truncate(row, length)
    return _as_array(model.scores(torch.stack([x_D for x_D in last if x_D is not None])))


@torch.inference_mode()
def _step(model: Decoder, cache: Rows, ids: list[int]) -> Floats:
    with one_thread() if len(ids) == 1 else contextlib.nullcontext():
        x_B1D = model.hidden(torch.tensor(ids)[:, None], cache=cache)
        return _as_array(model.scores(x_B1D[:, 0]))


def _as_array(scores_BV: Tensor) -> Floats:
    scores: Floats = scores_BV.float().cpu().numpy()
    return scores
