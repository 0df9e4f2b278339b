"""Word vectors looked up, and judged by what people say of words.

Likeness is the cosine; an analogy's answer is the word next to b − a + c (3CosAdd: Mikolov et al. 2013, N13-1090), all
of length 1 and the three words of the question excepted.
Axes: V vocabulary, D width, Q questions, K answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lexloom.base.errors import UserError
from lexloom.evaluate.figures import figure, paired
from lexloom.evaluate.intervals import Difference, Estimate
from lexloom.labelled.word_lists import Analogies, WordPairs
from lexloom.metrics import accuracy, spearman
from lexloom.text.tokenizers import Tokenizer
from lexloom.text.whole_words import word_of

Vectors = NDArray[np.float32]
QUESTIONS_AT_ONCE = 512


@dataclass(frozen=True)
class Neighbour:
    """A word, and its cosine with what was asked for."""

    word: str
    cosine: float


class WordTable:
    """The vectors of a vocabulary, for looking words up; special tokens and rows of zeros count as absent."""

    def __init__(self, tokenizer: Tokenizer, vectors_VD: Vectors) -> None:
        self._tokenizer = tokenizer
        sizes_V = np.linalg.norm(vectors_VD, axis=1)
        sizes_V[sorted(tokenizer.special_ids)] = 0
        sizes_V[tokenizer.vocab_size :] = 0
        self._known_V = sizes_V > 0
        sizes_V[~self._known_V] = np.inf
        self._unit_VD: Vectors = vectors_VD / sizes_V[:, None]

    def id(self, word: str) -> int | None:
        """The id of a word with a vector; None for others. A word is what the tokenizer makes one token of."""
        ids = self._tokenizer.encode(word)
        number = ids[0] if len(ids) == 1 else self._tokenizer.id(word)
        return number if number is not None and self._known_V[number] else None

    def word(self, id: int) -> str:
        """The word of an id."""
        return word_of(self._tokenizer.token(id) or "")

    def neighbours(self, word: str, *, top: int = 10) -> list[Neighbour]:
        """The words nearest to a word, itself excepted. Raises UserError for a word without a vector."""
        number = self._needed(word)
        [ids], [cosines] = self._nearest(self._unit_VD[[number]], np.array([[number]]), top)
        return self._named(ids, cosines)

    def analogy(self, a: str, b: str, c: str, *, top: int = 10) -> list[Neighbour]:
        """The words that are to c as b is to a. Raises UserError for a word without a vector."""
        numbers_13 = np.array([[self._needed(word) for word in (a, b, c)]])
        [ids], [cosines] = self._nearest(self._targets(numbers_13), numbers_13, top)
        return self._named(ids, cosines)

    def cosines(self, pairs: Sequence[tuple[str, str]]) -> list[float | None]:
        """How alike two words are; None where one has no vector."""
        numbers = [(self.id(one), self.id(other)) for one, other in pairs]
        return [
            None if one is None or other is None else float(self._unit_VD[one] @ self._unit_VD[other])
            for one, other in numbers
        ]

    def answers(self, questions: Sequence[tuple[int, int, int]]) -> list[int]:
        """The ids that answer questions of ids, each (a, b, c)."""
        found: list[int] = []
        for start in range(0, len(questions), QUESTIONS_AT_ONCE):
            numbers_Q3 = np.array(questions[start : start + QUESTIONS_AT_ONCE])
            ids_Q1, _ = self._nearest(self._targets(numbers_Q3), numbers_Q3, 1)
            found += ids_Q1[:, 0].tolist()
        return found

    def _targets(self, numbers_Q3: NDArray[np.int64]) -> Vectors:
        a_QD, b_QD, c_QD = (self._unit_VD[numbers] for numbers in numbers_Q3.T)
        targets_QD: Vectors = b_QD - a_QD + c_QD
        sizes_Q1 = np.linalg.norm(targets_QD, axis=1, keepdims=True)
        sizes_Q1[sizes_Q1 == 0] = 1
        normalised_QD: Vectors = targets_QD / sizes_Q1
        return normalised_QD

    def _nearest(
        self, targets_QD: Vectors, excepted_QN: NDArray[np.int64], top: int
    ) -> tuple[NDArray[np.int64], Vectors]:
        """The ids of the `top` nearest words, nearest first, and their cosines, both (Q, K)."""
        cosines_QV: Vectors = targets_QD @ self._unit_VD.T
        cosines_QV[:, ~self._known_V] = -np.inf
        np.put_along_axis(cosines_QV, excepted_QN, -np.inf, axis=1)
        top = min(top, cosines_QV.shape[1])
        ids_QK = np.argpartition(-cosines_QV, top - 1, axis=1)[:, :top]
        order_QK = np.argsort(-np.take_along_axis(cosines_QV, ids_QK, axis=1), axis=1, kind="stable")
        ids_QK = np.take_along_axis(ids_QK, order_QK, axis=1)
        return ids_QK, np.take_along_axis(cosines_QV, ids_QK, axis=1)

    def _named(self, ids_K: NDArray[np.int64], cosines_K: Vectors) -> list[Neighbour]:
        pairs = zip(ids_K.tolist(), cosines_K.tolist(), strict=True)
        return [Neighbour(self.word(number), cosine) for number, cosine in pairs if cosine > -np.inf]

    def _needed(self, word: str) -> int:
        number = self.id(word)
        if number is None:
            raise UserError(f"the model has no vector for {word!r}", fix="Name a word of its corpus.")
        return number


@dataclass(frozen=True)
class Likeness:
    """Spearman's correlation over the pairs that have vectors, and how many those are."""

    spearman: Estimate
    known: int
    pairs: int


@dataclass(frozen=True)
class Answered:
    """The share of right answers among the questions whose four words have vectors, and how many those are."""

    accuracy: Estimate
    known: int
    questions: int


def judge_pairs(table: WordTable, data: WordPairs) -> Likeness:
    """How well cosines rank pairs as people do; pairs without vectors are left out and counted."""
    cosines, likeness = _both_known(table.cosines(data.pairs), data.likeness)
    return Likeness(figure(spearman(), cosines, likeness), len(cosines), len(data.pairs))


def compare_pairs(first: WordTable, second: WordTable, data: WordPairs) -> Difference | None:
    """The second table's correlation minus the first's, over the pairs that both know; None for too few."""
    found = zip(first.cosines(data.pairs), second.cosines(data.pairs), data.likeness, strict=True)
    known = [(one, other, said) for one, other, said in found if one is not None and other is not None]
    one, other, said = ([row[column] for row in known] for column in range(3))
    return paired(spearman(), one, other, said)


def judge_analogies(table: WordTable, data: Analogies) -> dict[str, Answered]:
    """The accuracy of each section, and of all questions under the name "total"."""
    found: dict[str, Answered] = {}
    all_answers: list[int] = []
    all_right: list[int] = []
    for name, questions in data.sections.items():
        numbers = [[table.id(word) for word in question] for question in questions]
        known = [(a, b, c, d) for a, b, c, d in numbers if None not in (a, b, c, d)]
        answers = table.answers([(a, b, c) for a, b, c, _ in known])  # type: ignore[misc]
        right = [d for *_, d in known if d is not None]
        found[name] = _answered(answers, right, len(questions))
        all_answers, all_right = all_answers + answers, all_right + right
    return {**found, TOTAL: _answered(all_answers, all_right, sum(map(len, data.sections.values())))}


TOTAL = "total"


def _answered(answers: list[int], right: list[int], questions: int) -> Answered:
    return Answered(figure(accuracy(), answers, right), len(right), questions)


def _both_known(cosines: Sequence[float | None], likeness: Sequence[float]) -> tuple[list[float], list[float]]:
    known = [(cosine, said) for cosine, said in zip(cosines, likeness, strict=True) if cosine is not None]
    return [cosine for cosine, _ in known], [said for _, said in known]
