"""Sentinels: the control tokens `<extra_id_0>`, `<extra_id_1>` … that stand for spans of text that were cut out.

They are the last ids of a vocabulary, in descending order, where tools made for T5 expect them.
Source: Raffel et al. 2020 (T5), arXiv:1910.10683, section 3.1.4, and its published vocabularies.
"""

import tokenizers
from tokenizers import AddedToken

T5_SENTINELS = 100

_SPELLINGS = ("<extra_id_{}>", "▁<extra_id_{}>")
"""As T5 spells them, and as mT5, among whose SentencePiece pieces they are."""


def sentinel_ids(inner: tokenizers.Tokenizer) -> list[int]:
    """The ids of the sentinels 0, 1, 2 … of a vocabulary; none if it has none."""
    ids: list[int] = []
    while (found := _find(inner, len(ids))) is not None:
        ids.append(found)
    return ids


def add_sentinels(inner: tokenizers.Tokenizer, count: int) -> None:
    """Put `count` sentinels behind the vocabulary; those that it has already stay what they are."""
    names = [_SPELLINGS[0].format(number) for number in reversed(range(count)) if _find(inner, number) is None]
    inner.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in names])


def _find(inner: tokenizers.Tokenizer, number: int) -> int | None:
    ids = (inner.token_to_id(spelling.format(number)) for spelling in _SPELLINGS)
    return next((found for found in ids if found is not None), None)
