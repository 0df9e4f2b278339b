"""Which tokens of a sequence are hidden from a model that is to find them, and behind what.

Of the tokens chosen 80 % are replaced by [MASK], 10 % by a random token, 10 % stay as they are, so that the model can't
trust any token. Source: Devlin et al. 2018 (BERT, arXiv:1810.04805), section 3.1 and appendix A.1; drawn anew each time
a sequence is read, as in Liu et al. 2019 (RoBERTa, arXiv:1907.11692), section 4.1; whole words as in Cui et al. 2019,
arXiv:1906.08101.
Axes: T tokens, S chosen tokens, W words, V vocabulary.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lexloom.base.errors import RecipeError
from lexloom.base.recipe import Settings
from lexloom.text.tokenizers import Tokenizer
from lexloom.text.words import WordStarts

MASKED_SHARE = 0.8
RANDOM_SHARE = 0.1

Ids = NDArray[np.int64]


class MaskingSettings(Settings):
    """What is hidden from a model, for the objectives that hide something."""

    rate: float = Field(default=0.15, gt=0, lt=1)
    """Share of the tokens of a window that the model has to find."""
    whole_words: bool = False
    """Hide whole words: all pieces of a word, and all characters of a Chinese word (as in jieba's dictionary); for the
    masked objectives."""
    span: float = Field(default=3.0, ge=1, le=1000)
    """Mean length of what the objective "denoise" cuts out, in tokens; the masked objectives hide tokens or words."""


class Masked(NamedTuple):
    """A sequence with hidden tokens."""

    ids_T: Ids  # noqa: N815
    spots_S: Ids  # noqa: N815
    """Where tokens were chosen, ascending; those that were left as they are among them."""


class Masker:
    """Hides tokens of sequences of one tokenizer; special tokens never, and random ones are never special."""

    def __init__(self, settings: MaskingSettings, tokenizer: Tokenizer) -> None:
        """Raises RecipeError if the tokenizer has no mask token."""
        self._rate = settings.rate
        self._mask_id = _mask_id(tokenizer)
        self._special_V = np.zeros(tokenizer.vocab_size, dtype=np.bool_)
        self._special_V[sorted(tokenizer.special_ids)] = True
        self._ordinary = np.flatnonzero(~self._special_V)
        self._word_starts = WordStarts(tokenizer) if settings.whole_words else None

    def __call__(self, ids_T: Ids, rng: np.random.Generator) -> Masked:
        """Hide as many of the ordinary tokens as the settings say, one at least; `ids_T` is not changed."""
        spots_S = self._chosen(ids_T, rng)
        lots_S = rng.random(len(spots_S))
        random_S = self._ordinary[rng.integers(len(self._ordinary), size=len(spots_S))]
        kept_S = ids_T[spots_S]
        replaced_S = np.where(lots_S < MASKED_SHARE + RANDOM_SHARE, random_S, kept_S)
        hidden_T = ids_T.copy()
        hidden_T[spots_S] = np.where(lots_S < MASKED_SHARE, self._mask_id, replaced_S)
        return Masked(hidden_T, spots_S)

    def _chosen(self, ids_T: Ids, rng: np.random.Generator) -> Ids:
        """Words in random order, until their tokens are as near to the wanted share as whole words allow."""
        places = np.flatnonzero(~self._special_V[ids_T])
        if len(places) == 0:
            return places
        # A special token stands alone, so what follows it begins a word, as the first of `places` always does
        starts_T = np.ones_like(ids_T) if self._word_starts is None else self._word_starts(ids_T)
        words = np.cumsum(starts_T[places]) - 1
        sizes_W = np.bincount(words)
        order_W = rng.permutation(len(sizes_W))
        middles_W = np.cumsum(sizes_W[order_W]) - sizes_W[order_W] / 2
        chosen_W = np.zeros(len(sizes_W), dtype=np.bool_)
        chosen_W[order_W[middles_W <= self._rate * len(places)]] = True
        chosen_W[order_W[0]] = True
        spots_S: Ids = places[chosen_W[words]]
        return spots_S


def _mask_id(tokenizer: Tokenizer) -> int:
    if "mask" not in tokenizer.names:
        raise RecipeError(
            "the tokenizer has no mask token, behind which a masked objective hides words",
            where="objective",
            fix='Prepare with prepare.tokenizer.kind = "wordpiece", or with a tokenizer that names a mask_token.',
        )
    return tokenizer.names["mask"]
