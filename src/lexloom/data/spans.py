"""Which spans of a text are cut out, for a model that is to write them: span corruption.

Each span gives way to a sentinel; the target is every sentinel followed by its span. As many tokens are hidden, in as
many spans, as `random_spans_noise_mask` of T5's published code hides, and of all ways to do so each is equally likely.
The paper ends a target with one more sentinel; here, as in that code, with the end of text only.
Source: Raffel et al. 2020 (T5), arXiv:1910.10683, sections 3.1.4 and 3.3.4.
Axes: T tokens, S spans.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexloom.base.errors import RecipeError
from lexloom.data.masking import MaskingSettings
from lexloom.text.tokenizers import Tokenizer

Ids = NDArray[np.int64]

LEAST_TOKENS = 2
"""One to hide and one to stay."""
END_TOKENS = 1


class Pair(NamedTuple):
    """A text to read and the text to write, both without what begins and ends them."""

    source: Ids
    target: Ids


class SpanNoise:
    """Cuts spans out of sequences of one tokenizer."""

    def __init__(self, settings: MaskingSettings, tokenizer: Tokenizer) -> None:
        """Raises RecipeError if the tokenizer has no sentinels, or whole words are wanted."""
        if not tokenizer.sentinel_ids:
            raise RecipeError(
                "the tokenizer has no sentinels <extra_id_0>, <extra_id_1> …, which stand for the spans cut out",
                where="objective",
                fix="Prepare with prepare.tokenizer.sentinels = 100.",
            )
        if settings.whole_words:
            raise RecipeError("spans are cut out between any tokens", where="masking.whole_words", fix="Leave it out.")
        self._rate, self._span = settings.rate, settings.span
        self._sentinels = np.array(tokenizer.sentinel_ids, dtype=np.int64)

    def window_tokens(self, context: int) -> int:
        """The longest sequence, up to `context`, whose source and target fit into `context` with their ends.

        Raises RecipeError if not even two tokens fit, or more spans would be cut out than there are sentinels.
        """
        longest = next((size for size in range(context, LEAST_TOKENS - 1, -1) if self._fits(size, context)), None)
        if longest is None:
            raise RecipeError(f"a context of {context} has no room for a text and its spans", where="train.context")
        spans = self.counts(longest)[1]
        if spans > len(self._sentinels):
            raise RecipeError(
                f"{longest} tokens have {spans} spans cut out, and the tokenizer has {len(self._sentinels)} sentinels",
                where="train.context",
                fix=f"Lower it, raise masking.span, or prepare with prepare.tokenizer.sentinels = {spans}.",
            )
        return longest

    def counts(self, tokens: int) -> tuple[int, int]:
        """How many of so many tokens are hidden, and in how many spans: one at least, never next to one another."""
        assert tokens >= LEAST_TOKENS, "one token is hidden, one stays"
        hidden = min(max(1, round(tokens * self._rate)), tokens - 1)
        return hidden, min(max(1, round(hidden / self._span)), tokens - hidden)

    def mask(self, tokens: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Which tokens are hidden (T). The first one never is, and the last one always."""
        hidden, spans = self.counts(tokens)
        lengths_2S = np.stack([_parts(tokens - hidden, spans, rng), _parts(hidden, spans, rng)], axis=1).ravel()
        return np.repeat(np.arange(2 * spans) % 2 == 1, lengths_2S)

    def __call__(self, ids_T: Ids, rng: np.random.Generator) -> Pair:
        """Cut spans out of a sequence of two tokens or more; `ids_T` is not changed."""
        hidden_T = self.mask(len(ids_T), rng)
        starts_T = hidden_T & ~np.concatenate([[False], hidden_T[:-1]])
        places_S = np.flatnonzero(starts_T)
        sentinels_S = self._sentinels[: len(places_S)]
        source_T = ids_T.copy()
        source_T[places_S] = sentinels_S
        before_S = np.cumsum(hidden_T)[places_S] - 1
        return Pair(source_T[starts_T | ~hidden_T], np.insert(ids_T[hidden_T], before_S, sentinels_S))

    def _fits(self, tokens: int, context: int) -> bool:
        hidden, spans = self.counts(tokens)
        return max(tokens - hidden, hidden) + spans + END_TOKENS <= context


def _parts(total: int, parts: int, rng: np.random.Generator) -> Ids:
    """`total` as a sum of so many whole numbers above zero, every sum equally likely."""
    cuts = np.sort(rng.choice(total - 1, parts - 1, replace=False)) + 1
    return np.diff(np.concatenate([[0], cuts, [total]]))
