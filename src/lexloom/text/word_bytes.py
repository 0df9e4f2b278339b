"""Words as the bytes that spell them: the ids of the tokenizer kind "word-bytes", and how words are read from them.

The vocabulary is that of the ELMo of AllenNLP, so that its weights know our ids: 0 … 255 are the bytes, 256 and 257
begin and end a text, 258 and 259 begin and end a word's row of characters, 260 fills the row up. A space, id 32, stands
before every word, in Chinese too, and nowhere else. Behind these come further special tokens, and the frequent words of
a corpus, which no text is encoded to: they are what a language model over words foretells.
Source: https://github.com/allenai/allennlp/blob/v0.9.0/allennlp/data/token_indexers/elmo_indexer.py
Axes: T tokens, W words, C characters of a word's row.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers import Regex, decoders, models, pre_tokenizers

from lexloom.text.byte_letters import BYTE_OF, LETTERS

BYTES = 256
MARK_ID = ord(" ")
MARK = LETTERS[MARK_ID]
BEGIN_TEXT_ID, END_TEXT_ID, BEGIN_WORD_ID, END_WORD_ID, FILLER_ID = range(BYTES, BYTES + 5)
CHARACTERS = FILLER_ID + 1
"""How many characters there are: bytes, and those that frame words and texts."""
WORDS_SHARE = 0.25
"""Words per token, about: a word is its mark and some bytes, three of them in a Chinese character."""
ROW = 50
"""Characters of a word, those that begin and end it included; the rest of its bytes isn't read."""

Ids = NDArray[np.int64]

NAMES = {"bos": "<S>", "eos": "</S>", "pad": "<pad>", "unk": "<unk>"}
FRAMES = (NAMES["bos"], NAMES["eos"], "<w>", "</w>", NAMES["pad"])
"""The tokens from BEGIN_TEXT_ID on."""


def word_bytes(special: Sequence[str], words: Sequence[str] = (), *, marks_apart: bool) -> tokenizers.Tokenizer:
    """The tokenizer: `special` are the control tokens, FRAMES among them or not; `words` begin with the mark's letter.

    Words end at white space; with `marks_apart` each Chinese character and each punctuation mark is a word as well.
    """
    control = [*FRAMES, *(token for token in special if token not in FRAMES)]
    vocab = {token: number for number, token in enumerate([*LETTERS, *control, *words])}
    # Byte-pair encoding without merges is the library's fastest way to take characters one by one.
    inner = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=[]))
    apart = [pre_tokenizers.Split(Regex(r"\p{Han}|[^\w\s]"), "isolated")] if marks_apart else []
    marked = pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False)
    inner.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), *apart, marked])
    no_space = decoders.Replace(Regex(r"(?<=\p{Han}) (?=\p{Han})"), "")
    inner.decoder = decoders.Sequence([decoders.ByteLevel(), no_space, decoders.Strip(" ", 1, 0)])
    inner.add_special_tokens(control)
    return inner


def count_words(texts: Sequence[str], inner: tokenizers.Tokenizer) -> Counter[str]:
    """How often each word occurs, spelled as in the vocabulary: the mark's letter, then those of its bytes."""
    assert inner.pre_tokenizer is not None, "a tokenizer that knows words"
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(word for word, _ in inner.pre_tokenizer.pre_tokenize_str(text))
    return counts


def vocabulary_of(token: Callable[[int], str | None], vocab_size: int) -> dict[bytes, int]:
    """The words among the tokens of such a tokenizer, as bytes without the mark → their ids."""
    names = ((token(number) or "", number) for number in range(CHARACTERS, vocab_size))
    return {
        bytes(BYTE_OF[letter] for letter in name[1:]): number
        for name, number in names
        if name.startswith(MARK) and len(name) > 1
    }


class Words(NamedTuple):
    """The words of some tokens; a special token is a word of its own, and a run's first token begins one."""

    first_W: Ids  # noqa: N815
    """Where each begins."""
    words_T: Ids  # noqa: N815
    """The word that each token belongs to."""
    runs: list[int]
    """How many words each run of tokens has."""


def words_of(ids_T: Ids, runs: list[int]) -> Words:
    """Cut tokens into words; `runs` are the lengths of the texts that lie behind one another in them."""
    alone_T = ids_T >= BYTES
    starts_T = alone_T | (ids_T == MARK_ID)
    starts_T[1:] |= alone_T[:-1]
    bounds = np.cumsum([0, *runs])
    starts_T[bounds[:-1]] = True
    words_T = np.cumsum(starts_T) - 1
    first_of_runs = np.append(words_T[bounds[:-1]], words_T[-1] + 1)
    return Words(np.flatnonzero(starts_T), words_T, np.diff(first_of_runs).tolist())


def characters_of(ids_T: Ids, words: Words) -> Ids:
    """The row of characters of each word, (W, ROW): its beginning, its bytes, its end, and what fills it up.

    A special token that isn't a text's beginning or end reads as some byte.
    """
    first_T = words.first_W[words.words_T]
    is_mark_T = ids_T == MARK_ID
    marked_T = is_mark_T[first_T]
    places_T = np.arange(len(ids_T)) - first_T + 1 - marked_T
    read_T = ~(is_mark_T & (first_T == np.arange(len(ids_T)))) & (places_T < ROW - 1)
    rows_WC = np.full((len(words.first_W), ROW), FILLER_ID, np.int64)
    rows_WC[:, 0] = BEGIN_WORD_ID
    known_T = np.where(ids_T < BEGIN_WORD_ID, ids_T, ids_T % BYTES)
    rows_WC[words.words_T[read_T], places_T[read_T]] = known_T[read_T]
    sizes_W = np.bincount(words.words_T[read_T], minlength=len(rows_WC))
    rows_WC[np.arange(len(rows_WC)), sizes_W + 1] = END_WORD_ID
    return rows_WC
