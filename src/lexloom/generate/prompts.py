"""What a decoder can continue: ids of its vocabulary, at least one, and no more than its context has room for."""

from collections.abc import Sequence

from lexloom.base.errors import UserError
from lexloom.generate.settings import DEFAULT_REPLY_TOKENS, LengthSettings
from lexloom.text.tokenizers import Tokenizer


class ContextFull(UserError):
    """A prompt and reply longer than the model's context."""


def prompt_ids(text: str, tokenizer: Tokenizer, *, opening: Sequence[int] | None = None) -> list[int]:
    """`opening`, then the text's ids; nothing in the text can become a control token.

    If not given, the opening is what stands before every document in training: the eos token that ended the one before.
    Where that leaves nothing (an empty text, no opening) the text begins with the bos or else the eos token.
    """
    before = separator_ids(tokenizer) if opening is None else opening
    ids = [*before, *tokenizer.encode(text)] or first_ids(tokenizer)
    if not ids:
        raise UserError("the prompt is empty, and this tokenizer has no token to begin from", fix="Write a prompt.")
    return ids


def separator_ids(tokenizer: Tokenizer) -> list[int]:
    """The eos token, which divides documents in training; empty if there is none."""
    return [] if tokenizer.eos_id is None else [tokenizer.eos_id]


def first_ids(tokenizer: Tokenizer) -> list[int]:
    """The token from which a text can begin: bos, or else eos; empty if there is neither."""
    return separator_ids(tokenizer) if tokenizer.bos_id is None else [tokenizer.bos_id]


def check_prompts(prompts: Sequence[Sequence[int]], vocab_size: int) -> None:
    """Refuse an empty prompt, and what isn't an id of the vocabulary, with a UserError."""
    for number, prompt in enumerate(prompts):
        if not prompt:
            raise UserError(f"prompt {number} is empty", fix="Begin with the tokenizer's bos or eos token.")
        check_ids(prompt, vocab_size)


def check_ids(ids: Sequence[int], vocab_size: int) -> None:
    """Refuse what isn't an id of the vocabulary (negative, too large, 1.0, True) with a UserError that names it."""
    for place, token in enumerate(ids):
        if type(token) is not int or not 0 <= token < vocab_size:
            raise UserError(
                f"{token!r} is not a token id of this model", where=f"ids[{place}]", fix=f"Use 0 to {vocab_size - 1:,}."
            )


def reply_tokens(prompt_tokens: int, settings: LengthSettings, context: int) -> int:
    """How many tokens the reply may have, or ContextFull with the three numbers if there is no room for it."""
    room = context - prompt_tokens
    wanted = settings.max_tokens
    if wanted is None:
        wanted = max(1, settings.min_tokens, min(DEFAULT_REPLY_TOKENS, room))
    if wanted > room:
        raise ContextFull(
            f"a prompt of {prompt_tokens:,} tokens and a reply of {wanted:,} don't fit into the model's context of "
            f"{context:,} tokens",
            fix=f"Ask for at most {room:,} new tokens, or shorten the prompt." if room > 0 else "Shorten the prompt.",
        )
    return wanted
