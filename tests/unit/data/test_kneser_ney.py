"""Counts and probabilities are those of a textbook that takes no short cuts, whatever the corpus, order and memory."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from lexloom.base.errors import DataError
from lexloom.data import kneser_ney, ngrams
from lexloom.data.kneser_ney import FALLBACK, discounts_of, smooth
from lexloom.data.ngrams import count_ngrams
from tests.counting import Corpus, random_documents

VOCAB_SIZE = 12


def tables(documents, order, tmp_path, *, prune=None, memory_bytes=1 << 30):
    counted = count_ngrams(
        Corpus(documents),
        order,
        vocab_size=VOCAB_SIZE,
        scratch=tmp_path,
        memory_bytes=memory_bytes,
        tick=lambda share: None,
    )
    return smooth(counted, prune=prune or (0,) * (order - 1), tick=lambda share: None)


def unpacked(smoothed):
    """{n-gram: (log-probability, log back-off weight or None)} of all orders."""
    found, rows = {}, [(word,) for word in range(VOCAB_SIZE)]
    for order in smoothed:
        if order.keys_G is not None:
            rows = [(*rows[key // VOCAB_SIZE], key % VOCAB_SIZE) for key in order.keys_G.tolist()]
        backoffs = [None] * len(rows) if order.log_backoffs_G is None else order.log_backoffs_G.tolist()
        found |= {row: pair for row, *pair in zip(rows, order.log_probabilities_G.tolist(), backoffs, strict=True)}
    return found


def textbook(documents, order, prune=None):
    """Chen and Goodman's formulas with dictionaries; <s> is the separator in front."""
    counts = Counter()
    for document in documents:
        text = (Corpus.END, *document, Corpus.END)
        for size in range(1, order + 1):
            counts.update(text[at : at + size] for at in range(len(text) - size + 1) if size > 1 or at > 0)
    before = defaultdict(set)
    for gram in counts:
        if len(gram) > 1:
            before[gram[1:]].add(gram[0])
    adjusted = {
        gram: count if len(gram) == order or (len(gram) > 1 and gram[0] == Corpus.END) else len(before[gram])
        for gram, count in counts.items()
    }
    discounts = []
    for size in range(1, order + 1):
        n = Counter(count for gram, count in adjusted.items() if len(gram) == size)
        y = n[1] / (n[1] + 2 * n[2]) if n[1] else 0
        found = [j - (j + 1) * y * n[j + 1] / n[j] if n[j] else -1 for j in (1, 2, 3)]
        good = all(0 <= d <= j for j, d in enumerate(found, start=1)) and n[4]
        discounts.append(found if good else list(FALLBACK))
    least = [0, *(prune or (0,) * (order - 1))]

    def left(gram):
        return adjusted[gram] - discounts[len(gram) - 1][min(adjusted[gram], 3) - 1]

    following = defaultdict(list)
    for gram in adjusted:
        following[gram[:-1]].append(gram)

    def gamma(context):
        total = sum(adjusted[gram] for gram in following[context])
        staying = sum(left(gram) for gram in following[context] if counts[gram] > least[len(gram) - 1])
        return (total - staying) / total

    def probability(gram):
        context = gram[:-1]
        total = sum(adjusted[one] for one in following[context])
        lower = 1 / VOCAB_SIZE if len(gram) == 1 else probability(gram[1:])
        return (left(gram) / total if gram in adjusted else 0.0) + gamma(context) * lower

    grams = [(word,) for word in range(VOCAB_SIZE)]
    grams += [gram for gram in counts if len(gram) > 1 and counts[gram] > least[len(gram) - 1]]
    return {
        gram: (
            math.log(probability(gram)),
            None if len(gram) == order else math.log(gamma(gram)) if following[gram] else 0.0,
        )
        for gram in grams
    }


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for gram, (log_probability, log_backoff) in expected.items():
        assert found[gram][0] == pytest.approx(log_probability, abs=1e-5), gram
        assert found[gram][1] == (None if log_backoff is None else pytest.approx(log_backoff, abs=1e-5)), gram


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(3))
def test_every_probability_and_weight_is_the_textbooks(order, seed, tmp_path):
    documents = random_documents(seed)
    assert_same(unpacked(tables(documents, order, tmp_path)), textbook(documents, order))


@pytest.mark.parametrize("prune", [(0, 0, 1), (1, 1, 2), (0, 2, 2)])
def test_pruned_models_are_the_textbooks(prune, tmp_path):
    documents = random_documents(7)
    found = unpacked(tables(documents, 4, tmp_path, prune=prune))
    assert_same(found, textbook(documents, 4, prune))
    assert len(found) < len(textbook(documents, 4))


def test_a_corpus_larger_than_memory_gives_the_same_tables(tmp_path, monkeypatch):
    """Sorted in dozens of parts, read and estimated in many small portions."""
    documents = random_documents(3, documents=200)
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole = tables(documents, 4, tmp_path / "whole")
    monkeypatch.setattr(ngrams, "READ_TOKENS", 50)
    monkeypatch.setattr(kneser_ney, "PIECE", 16)
    parts = tables(documents, 4, tmp_path / "parts", memory_bytes=2000)
    for one, other in zip(whole, parts, strict=True):
        assert one.discounts == other.discounts
        for name in ("keys_G", "log_probabilities_G", "log_backoffs_G"):
            first, second = getattr(one, name), getattr(other, name)
            assert first is second is None or np.array_equal(first, second)


def test_discounts_are_those_of_chen_and_goodman():
    counts = np.repeat([1, 2, 3, 4, 9], [100, 40, 20, 12, 30])
    y = 100 / 180
    expected = (1 - 2 * y * 40 / 100, 2 - 3 * y * 20 / 40, 3 - 4 * y * 12 / 20)
    found = discounts_of(counts)
    assert found.values == pytest.approx(expected)
    assert not found.is_fallback
    assert found.of(np.array([0, 1, 2, 3, 50])).tolist() == pytest.approx([0, *expected, expected[2]])


@pytest.mark.parametrize("counts", [[1, 1, 2, 3], [*[1] * 10, 2, *[3] * 5, 4], [5, 6]])
def test_counts_of_counts_that_give_no_discounts_fall_back(counts):
    assert discounts_of(np.array(counts)).values == FALLBACK
    assert discounts_of(np.array(counts)).is_fallback


def test_more_tokens_than_rows_can_number_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(ngrams, "MOST_TOKENS", 20)
    with pytest.raises(DataError, match="more than can be counted, which is 19"):
        tables(random_documents(0), 3, tmp_path)
