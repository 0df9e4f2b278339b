"""What a decoder can continue: ids of its vocabulary, and no more of them than its context has room for."""

from collections.abc import Sequence

from lexloom.base.errors import UserError
from lexloom.generate.settings import DEFAULT_REPLY_TOKENS, SamplingSettings


def check_ids(ids: Sequence[int], vocab_size: int) -> None:
    """Refuse what isn't an id of the vocabulary (negative, too large, 1.0, True) with a UserError that names it."""
    for place, token in enumerate(ids):
        if type(token) is not int or not 0 <= token < vocab_size:
            raise UserError(
                f"{token!r} is not a token id of this model", where=f"ids[{place}]", fix=f"Use 0 to {vocab_size - 1:,}."
            )


def reply_tokens(prompt_tokens: int, settings: SamplingSettings, context: int) -> int:
    """How many tokens the reply may have, or a UserError with the three numbers if there is no room for it."""
    room = context - prompt_tokens
    wanted = settings.max_tokens
    if wanted is None:
        wanted = max(1, settings.min_tokens, min(DEFAULT_REPLY_TOKENS, room))
    if wanted > room:
        raise UserError(
            f"a prompt of {prompt_tokens:,} tokens and a reply of {wanted:,} don't fit into the model's context of "
            f"{context:,} tokens",
            fix=f"Ask for at most {room:,} new tokens, or shorten the prompt." if room > 0 else "Shorten the prompt.",
        )
    return wanted
