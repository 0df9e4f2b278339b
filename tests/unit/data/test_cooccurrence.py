from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from lexloom.data import cooccurrence
from lexloom.data.cooccurrence import count_pairs, count_tokens

VOCABULARY, WINDOW = 11, 4


def shards_of(ids, ends):
    documents = np.array([[end, 0, 0] for end in ends])
    return SimpleNamespace(
        total_tokens=len(ids), documents=documents, tokens=lambda start, stop: np.asarray(ids[start:stop], np.uint16)
    )


def by_hand(ids, ends, known):
    """GloVe's cooccur.c, symmetric: 1/distance for both directions, unknown words taken out before."""
    found, start = Counter(), 0
    for end in ends:
        text = [number for number in ids[start:end] if known[number]]
        for place, one in enumerate(text):
            for distance in range(1, min(WINDOW, place) + 1):
                other = text[place - distance]
                found[min(one, other), max(one, other)] += (2 if one == other else 1) / distance
        start = end
    return found


@pytest.mark.parametrize("portion", [WINDOW, 50, 1 << 20])
def test_pairs_are_weighed_by_distance_within_documents_however_the_text_is_portioned(monkeypatch, portion):
    monkeypatch.setattr(cooccurrence, "PORTION_PAIRS", portion * WINDOW)
    rng = np.random.default_rng(1)
    ids, ends = rng.integers(0, VOCABULARY, 400).tolist(), [1, 30, 31, 200, 203, 400]
    known = np.array([number not in (0, 7) for number in range(VOCABULARY)])
    pairs = count_pairs(shards_of(ids, ends), known, WINDOW, lambda share: None)
    expected = by_hand(ids, ends, known)
    found = dict(zip(zip(pairs.first_P.tolist(), pairs.second_P.tolist(), strict=True), pairs.weights_P, strict=True))
    assert found.keys() == expected.keys()
    assert all(abs(found[pair] - expected[pair]) < 1e-4 for pair in expected)
    assert (np.diff(pairs.keys_P) > 0).all()


def test_a_corpus_of_one_word_or_of_none_has_no_pairs():
    known = np.ones(VOCABULARY, bool)
    assert len(count_pairs(shards_of([3], [1]), known, WINDOW, lambda share: None).keys_P) == 0
    assert len(count_pairs(shards_of([3, 4], [2]), ~known, WINDOW, lambda share: None).keys_P) == 0


def test_tokens_are_counted_without_the_skipped_ones():
    assert count_tokens(shards_of([1, 2, 2, 0, 0], [5]), 4, {0}).tolist() == [0, 1, 2, 0]
