import numpy as np
import pytest

from lexloom.data.batches import IGNORE, Windows
from lexloom.data.sequences import IS_NEXT, IS_RANDOM, Sequences
from tests.small import wordpiece_tokenizer

TOKENIZER = wordpiece_tokenizer(64)
CLS, SEP = TOKENIZER.names["cls"], TOKENIZER.names["sep"]
SPECIAL = (CLS, SEP)


class Corpus:
    """Documents of consecutive numbers, each ended by [SEP]."""

    def __init__(self, sizes, first=10):
        starts = first + np.cumsum([0, *sizes])
        documents = [[*range(start, start + size), SEP] for start, size in zip(starts, sizes, strict=False)]
        self.ids = np.concatenate(documents)
        self.total_tokens = len(self.ids)
        ends = np.cumsum([len(document) for document in documents])
        self.documents = np.stack([ends, ends, ends], axis=1)

    def tokens(self, start, stop):
        return self.ids[start:stop]


def rng():
    return np.random.default_rng(0)


def all_sequences(corpus, context, *, boundaries, paired=False):
    windows = Windows(corpus, context, boundaries=boundaries)
    cut = Sequences(TOKENIZER, paired=paired)
    return [sequence for index in range(len(windows)) for sequence in cut(windows, index, np.random.default_rng(index))]


def test_a_window_is_one_sequence_in_which_documents_end_with_their_separator():
    found = all_sequences(Corpus([3, 4, 3]), 6, boundaries=False)
    assert [sequence.ids for sequence in found] == [
        [CLS, 10, 11, 12, SEP, 13, 14, SEP],
        [CLS, 15, 16, SEP, 17, 18, 19, SEP],
    ]
    assert all(sequence.label == IGNORE and set(sequence.types) == {0} for sequence in found)


def test_with_boundaries_each_piece_of_a_document_is_a_sequence_of_its_own():
    found = all_sequences(Corpus([3, 4, 3]), 6, boundaries=True)
    assert [sequence.ids for sequence in found] == [
        [CLS, 10, 11, 12, SEP],
        [CLS, 13, 14, SEP],
        [CLS, 15, 16, SEP],
        [CLS, 17, 18, 19, SEP],
    ]


@pytest.mark.parametrize("boundaries", [False, True])
@pytest.mark.parametrize("context", [5, 7, 16, 200])
def test_every_token_of_the_corpus_is_read_once(boundaries, context):
    corpus = Corpus([3, 1, 9, 4, 12, 5])
    found = all_sequences(corpus, context, boundaries=boundaries)
    read = [number for sequence in found for number in sequence.ids if number not in SPECIAL]
    assert read == [number for number in corpus.ids.tolist() if number != SEP]
    assert max(len(sequence.ids) for sequence in found) <= context + 2


def test_a_window_of_nothing_but_a_separator_is_an_empty_sequence():
    corpus = Corpus([4, 3])
    found = Sequences(TOKENIZER, paired=False)(Windows(corpus, 4, boundaries=True), 1, rng())
    assert [sequence.ids for sequence in found] == [[CLS, 14, 15, 16, SEP]]
    alone = Sequences(TOKENIZER, paired=True)(Windows(Corpus([3, 1]), 3, boundaries=True), 1, rng())
    assert [sequence.ids for sequence in alone] == [[CLS, 13, SEP]]


def test_a_pair_is_a_piece_cut_in_two_or_joined_with_another_windows_text():
    corpus = Corpus([30] * 40)
    labels = []
    for sequence in all_sequences(corpus, 40, boundaries=True, paired=True):
        if sequence.label == IGNORE:
            assert len(sequence.ids) == 3
            continue
        first_end = sequence.ids.index(SEP)
        a, b = sequence.ids[1:first_end], sequence.ids[first_end + 1 : -1]
        assert sequence.ids[0] == CLS
        assert sequence.ids[-1] == SEP
        assert sequence.types == [0] * (first_end + 1) + [1] * (len(b) + 1)
        assert a == list(range(a[0], a[0] + len(a)))
        assert b == list(range(b[0], b[0] + len(b)))
        assert (sequence.label == IS_NEXT) == (b[0] == a[-1] + 1)
        labels.append(sequence.label)
    assert 0.3 < np.mean(np.array(labels) == IS_RANDOM) < 0.7


def test_a_replaced_half_is_as_long_as_what_it_replaces():
    corpus = Corpus([199] * 20, first=100)
    cut, windows = Sequences(TOKENIZER, paired=True), Windows(corpus, 50, boundaries=True)
    for index in range(len(windows) - 1):
        (single, *_), (pair, *_) = (
            sequences(windows, index, np.random.default_rng(index))
            for sequences in (Sequences(TOKENIZER, paired=False), cut)
        )
        if pair.label != IGNORE:
            assert len(pair.ids) == len(single.ids) + 1


def test_a_corpus_of_one_window_has_nothing_to_replace_with():
    windows = Windows(Corpus([20]), 30, boundaries=False)
    cut = Sequences(TOKENIZER, paired=True)
    assert {cut(windows, 0, np.random.default_rng(seed))[0].label for seed in range(20)} == {IS_NEXT}


def test_the_frame_of_pairs_adds_one_token_more():
    assert [Sequences(TOKENIZER, paired=paired).window_tokens(9) for paired in (False, True)] == [7, 6]
