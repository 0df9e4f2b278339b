"""Span corruption: read a text with spans cut out, write the spans (T5).

Windows that keep documents apart (`boundaries`) give a pair for each piece of a document in them; other windows are one
sequence, in which a document's end is a token as any other, and may be cut out.
Source: Raffel et al. 2020, arXiv:1910.10683, section 3.1.4.
"""

from lexloom.data.masking import MaskingSettings
from lexloom.data.spans import SpanNoise
from lexloom.objectives.contract import Objective
from lexloom.objectives.pairs import pair_maker, pairs_loss
from lexloom.text.tokenizers import Tokenizer


def denoise(settings: MaskingSettings, tokenizer: Tokenizer) -> Objective:
    """Write the spans cut out. Raises RecipeError if the tokenizer has no sentinels, no pad or no eos."""
    noise = SpanNoise(settings, tokenizer)
    sentinels_share = settings.rate / settings.span
    return Objective(
        pair_maker(noise, tokenizer),
        pairs_loss,
        kind="encoder-decoder",
        blank_id=tokenizer.sentinel_ids[0],
        window_tokens=noise.window_tokens,
        source_share=1 - settings.rate + sentinels_share,
        scored_share=settings.rate + sentinels_share,
    )
