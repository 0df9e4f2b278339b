"""Prefix language modelling: read the beginning of a text, write the rest.

A text is cut anywhere, every place equally likely. Of encoder-decoders only: there the encoder sees the whole beginning
without another kind of attention in the decoder.
Source: Raffel et al. 2020, arXiv:1910.10683, sections 3.2.3 and 3.3.1; Liu et al. 2018, arXiv:1801.10198.
Axes: T tokens.
"""

import numpy as np

from lexloom.data.masking import MaskingSettings
from lexloom.data.spans import Ids, Pair
from lexloom.objectives.contract import Objective
from lexloom.objectives.pairs import pair_maker, pairs_loss
from lexloom.text.tokenizers import Tokenizer

SHARE = 0.5
"""Of the tokens that are read, and of those that are written, on average."""


def prefix(settings: MaskingSettings, tokenizer: Tokenizer) -> Objective:
    """Write the rest; there is nothing to set. Raises RecipeError if the tokenizer has no pad or no eos."""
    return Objective(
        pair_maker(_cut_anywhere, tokenizer),
        pairs_loss,
        kind="encoder-decoder",
        # Of a text of `context` tokens at least one is on the other side, so that either side fits with its end
        window_tokens=lambda context: context,
        source_share=SHARE,
        scored_share=SHARE,
    )


def _cut_anywhere(ids_T: Ids, rng: np.random.Generator) -> Pair:
    cut = int(rng.integers(1, len(ids_T)))
    return Pair(ids_T[:cut], ids_T[cut:])
