"""What a masked language model puts in the place of a mask.

Axes: S masks, V vocabulary.
"""

import json
from dataclasses import dataclass
from typing import Any

import torch

from lexloom.base.errors import UserError
from lexloom.text.tokenizers import Tokenizer

Ids = list[int]
GOES_ON = "##"
"""How WordPiece marks a token that goes on with the word before it."""


@dataclass(frozen=True)
class Candidate:
    """A token for a mask, and how probable the model finds it there."""

    token: str
    """As people read it: `river`, `月`, `##ing`."""
    id: int
    probability: float
    text: str
    """The whole text with this token in the mask's place, the other masks left as they are."""


def fill(model: Any, tokenizer: Tokenizer, text: str, *, top: int = 5) -> list[list[Candidate]]:
    """The `top` most probable tokens for each mask of the text, the masks each foretold beside the others.

    A mask is written as the tokenizer's own mask token, `[MASK]`. Raises UserError for a text without a mask, a
    tokenizer or model that has none, and for a text longer than the model's context: cutting it could lose a mask.
    """
    if getattr(model.config, "head", None) not in ("masked", "pretraining"):
        raise UserError("the model has no head that foretells masked tokens", fix="Name a masked language model.")
    if top < 1:
        raise UserError(f"top is {top}; ask for one candidate or more")
    mask = _mask(tokenizer)
    parts = text.split(mask)
    if len(parts) == 1:
        raise UserError(f"the text has no mask: {text[:80]!r}", fix=f"Write {mask} where a token is to be foretold.")
    ids, types, spots = _framed(parts, tokenizer)
    if len(ids) > model.config.context:
        raise UserError(f"the text has {len(ids):,} tokens, the model reads {model.config.context:,}")
    with torch.inference_mode():
        x_BLD = model.hidden(torch.tensor([ids]), types_BL=torch.tensor([types]))
        shares_SV = torch.softmax(model.scores(x_BLD[0, spots]).float(), dim=-1)[:, : tokenizer.vocab_size]
        found = shares_SV.topk(min(top, shares_SV.shape[1]))
    return [
        [
            Candidate(_shown(tokenizer, token), token, share, _filled(parts, number, mask, tokenizer, token))
            for share, token in zip(shares, tokens, strict=True)
        ]
        for number, (shares, tokens) in enumerate(zip(found.values.tolist(), found.indices.tolist(), strict=True))
    ]


def _mask(tokenizer: Tokenizer) -> str:
    number = tokenizer.names.get("mask")
    token = None if number is None else tokenizer.token(number)
    if token is None:
        raise UserError("the tokenizer has no mask token", fix="Name a masked language model.")
    return token


def _framed(parts: list[str], tokenizer: Tokenizer) -> tuple[Ids, Ids, Ids]:
    """The ids of the text with its masks and special tokens, their types, and where the masks are."""
    mask = tokenizer.names["mask"]
    if _takes_space_before(tokenizer, mask):
        parts = [*(part.rstrip() for part in parts[:-1]), parts[-1]]
    ids: Ids = []
    for number, part in enumerate(tokenizer.encode_batch(parts)):
        ids += [mask] * (number > 0) + part
    framed, types, _ = tokenizer.frame(1).fill([ids])
    return framed, types, [place for place, token in enumerate(framed) if token == mask]


def _takes_space_before(tokenizer: Tokenizer, mask: int) -> bool:
    """Byte-level vocabularies have the space in front of a word in the word's token, and so in the mask's."""
    added = json.loads(tokenizer.to_bytes()).get("added_tokens") or []
    return any(token.get("id") == mask and token.get("lstrip") is True for token in added)


def _shown(tokenizer: Tokenizer, token: int) -> str:
    return tokenizer.decode([token]).strip() or str(tokenizer.token(token))


def _filled(parts: list[str], number: int, mask: str, tokenizer: Tokenizer, token: int) -> str:
    before, after = mask.join(parts[: number + 1]), mask.join(parts[number + 1 :])
    shown = _shown(tokenizer, token)
    return before.rstrip() + shown[len(GOES_ON) :] + after if shown.startswith(GOES_ON) else before + shown + after
