"""Where the words of a text stand among its tokens.

Axes: W words.
"""

from collections.abc import Sequence

from lexloom.labelled.examples import Tagged
from lexloom.text.tokenizers import Tokenizer
from lexloom.text.word_bytes import MARK_ID


def words_and_tokens(
    ids: Sequence[int], offsets: Sequence[tuple[int, int]], example: Tagged, tokenizer: Tokenizer
) -> tuple[list[int], list[int]]:
    """The tokens of a text such that each word has a first token of its own → (ids, place of each word's first).

    A token that reaches over the border of two words (SentencePiece's of several Chinese characters, WordPiece's of
    digits that are tagged one by one) is cut there; a word of which the tokenizer leaves nothing becomes unknown. Where
    the tokenizer marks words, every word is marked.
    """
    result: list[int] = []
    first_W: list[int] = []
    unknown = _unknown_id(tokenizer)

    def stand_in(words: int) -> None:
        """Give the words before this one what they have not got from any token."""
        while len(first_W) < words:
            first_W.append(len(result))
            result.append(unknown)

    word = 0
    for token, (start, end) in zip(ids, offsets, strict=True):
        while word < len(example.spans) and example.spans[word][1] <= start:
            word += 1
        stand_in(word)
        touched = _touched(example.spans, word, end) if start < end else []
        for each in touched:
            if len(first_W) == each:
                first_W.append(len(result))
                if tokenizer.spells_words and token != MARK_ID:
                    result.append(MARK_ID)
            if len(touched) > 1:
                low, high = example.spans[each]
                result += _part(example.text[max(low, start) : min(high, end)], tokenizer, unknown)
        if len(touched) <= 1:
            result.append(token)
    stand_in(len(example.spans))
    return result, first_W


def _touched(spans: Sequence[tuple[int, int]], word: int, end: int) -> list[int]:
    """The words from `word` on that begin before `end`."""
    after = word
    while after < len(spans) and spans[after][0] < end:
        after += 1
    return list(range(word, after))


def _part(text: str, tokenizer: Tokenizer, unknown: int) -> list[int]:
    token = tokenizer.id(text)
    if token is not None and token not in tokenizer.special_ids:
        return [token]
    return tokenizer.encode(text) or [unknown]


def _unknown_id(tokenizer: Tokenizer) -> int:
    """The unknown token; where there is none (bytes), any token that is no text."""
    if tokenizer.unk_id is not None:
        return tokenizer.unk_id
    return next(token for token, _ in tokenizer.frame(1).slots if token is not None)
