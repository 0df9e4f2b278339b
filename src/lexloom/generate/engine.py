"""Many prompts continued together, each as if it were alone: token ids in, token ids out.

The engine knows nothing of text.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from lexloom.generate.continuous import Continuous, Failed
from lexloom.generate.decoder import Decoder, Finish
from lexloom.generate.guide import Guide
from lexloom.generate.settings import SamplingSettings


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
    guides: Sequence[Guide] | None = None,
) -> Iterator[Token]:
    """Continue every prompt, one token of every unfinished row at a time.

    `settings` is one for all prompts or one for each. A row's tokens depend on its prompt and settings alone, not on
    the other rows. `stop(row, id)` is asked after each token and ends the row if true; an id of `eos_ids` ends it too.
    An id of `barred_ids` is never chosen; `guides` say for each row which may come next (generate/constraints.py).
    Greedy tokens are those of the model run without cache. The model must not be in training mode.
    Raises UserError, before the first token, for an empty prompt, ids that aren't in the vocabulary, and a prompt and
    reply longer than the context (nothing is ever cut); later BrokenScores, and NothingLeft where all tokens are
    barred.
    """
    each = [settings] * len(prompts) if isinstance(settings, SamplingSettings) else settings
    assert len(each) == len(prompts), f"{len(each)} settings for {len(prompts)} prompts"
    running = Continuous(model, slots=len(prompts), portion_tokens=None)
    for row, (prompt, chosen) in enumerate(zip(prompts, each, strict=True)):
        running.join(
            prompt,
            chosen,
            eos_ids=eos_ids,
            barred_ids=barred_ids,
            stop=None if stop is None else partial(stop, row),
            guide=None if guides is None else guides[row],
        )
    return _run(running)


def _run(running: Continuous) -> Iterator[Token]:
    while running.rows:
        for made in running.step():
            if isinstance(made, Failed):
                raise made.error
            yield Token(made.ticket, made.id, made.log_probability, made.finish)
