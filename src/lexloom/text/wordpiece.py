"""Training of WordPiece vocabularies, the same bytes every time.

The library's own trainer numbers the pieces of its alphabet in the order of a randomly seeded hash table, which then
decides ties: two trainings on one text differ. Here the alphabet is given in order, and the library's byte-pair trainer
(which the WordPiece trainer wraps) does the merging.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable

import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from lexloom.text import samples

CONTINUES = "##"


def train_wordpiece(texts: Iterable[str], vocab_size: int, special: list[str]) -> list[str]:
    """The pieces in order of their ids: `special`, the alphabet, then merges by frequency.

    `texts` are normalised already (spaces around Chinese characters). Characters for which there is no room are left
    out, rare ones first.
    """
    words: list[list[str]] = [_words(text) for text in texts]
    alphabet = _alphabet(Counter(word for text in words for word in text), vocab_size - len(special))
    scratch = tokenizers.Tokenizer(models.BPE(continuing_subword_prefix=CONTINUES))
    scratch.pre_tokenizer = pre_tokenizers.Split("\n", "removed")
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[*special, *alphabet],
        limit_alphabet=0,
        continuing_subword_prefix=CONTINUES,
        show_progress=False,
    )
    scratch.train_from_iterator(("\n".join(text) for text in words), trainer)
    vocab = scratch.get_vocab()
    return sorted(vocab, key=lambda token: vocab[token])


def _words(text: str) -> list[str]:
    """Words as BERT's pre-tokenizer cuts them, punctuation standing alone."""
    marks: dict[str, str | int | None] = {mark: f" {mark} " for mark in set(text) if _is_punctuation(mark)}
    return text.translate(str.maketrans(marks)).split()


def _is_punctuation(character: str) -> bool:
    ascii_mark = character.isascii() and character.isprintable() and not character.isalnum() and character != " "
    return ascii_mark or unicodedata.category(character).startswith("P")


def _alphabet(words: Counter[str], room: int) -> list[str]:
    """Single characters, and their continuing form where they have one, by frequency as far as there is room."""
    continuing = {character for word in words for character in word[1:]}
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            counts[character] += count
    alphabet: list[str] = []
    for character in samples.most_common(counts, room):
        forms = [character, CONTINUES + character] if character in continuing else [character]
        if len(alphabet) + len(forms) <= room:
            alphabet += forms
    return sorted(alphabet)
