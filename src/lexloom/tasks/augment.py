"""Training examples told a little differently each time: some words left out, some neighbours swapped.

Source: Wei and Zou 2019 (EDA), arXiv:1901.11196, whose two changes that need no other words these are. Chinese words
are jieba's. What is drawn depends on the generator alone, which training names by seed, epoch and example.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from lexloom.tasks.contract import Encoded, Piece
from lexloom.text.tokenizers import Tokenizer
from lexloom.text.words import WordStarts

Words = list[list[int]]
"""The places of each word's tokens in a piece."""


@dataclass(frozen=True)
class Augmentation:
    """How much is changed."""

    deleted: float = 0.0
    """Share of the words left out; one word of each text always stays."""
    swapped: float = 0.0
    """Share of the words that change places with the next one."""


class Augmenter:
    """Changes the words of encoded examples, for one tokenizer. Special tokens stay where they are."""

    def __init__(self, tokenizer: Tokenizer, augmentation: Augmentation) -> None:
        self._augmentation = augmentation
        self._starts = WordStarts(tokenizer)
        self._fixed = tokenizer.special_ids - {tokenizer.unk_id}

    def __call__(self, encoded: Encoded, rng: np.random.Generator) -> Encoded:
        """Another example with the same target."""
        return replace(encoded, pieces=tuple(self._piece(piece, rng) for piece in encoded.pieces))

    def _piece(self, piece: Piece, rng: np.random.Generator) -> Piece:
        order: list[int] = []
        for fixed, group in groupby(range(len(piece.ids)), key=lambda place: piece.ids[place] in self._fixed):
            places = list(group)
            if not fixed:
                words = _deleted(self._words(piece.ids, places), self._augmentation.deleted, rng)
                places = [place for word in _swapped(words, self._augmentation.swapped, rng) for place in word]
            order += places
        return _reordered(piece, order)

    def _words(self, ids: Sequence[int], places: Sequence[int]) -> Words:
        begins = self._starts(np.array([ids[place] for place in places], np.int64))
        words: Words = []
        for place, is_first in zip(places, begins, strict=True):
            if is_first or not words:
                words.append([])
            words[-1].append(place)
        return words


def _deleted(words: Words, share: float, rng: np.random.Generator) -> Words:
    draws = rng.random(len(words))
    kept = [word for word, draw in zip(words, draws, strict=True) if draw >= share]
    return kept if kept else [words[int(draws.argmax())]]


def _swapped(words: Words, share: float, rng: np.random.Generator) -> Words:
    words = list(words)
    for place in np.flatnonzero(rng.random(max(0, len(words) - 1)) < share):
        words[place], words[place + 1] = words[place + 1], words[place]
    return words


def _reordered(piece: Piece, order: Sequence[int]) -> Piece:
    spots: Collection[int] = set(piece.spots)
    return Piece(
        ids=[piece.ids[place] for place in order],
        types=[piece.types[place] for place in order],
        spots=[new for new, old in enumerate(order) if old in spots],
        notes=piece.notes,
    )
