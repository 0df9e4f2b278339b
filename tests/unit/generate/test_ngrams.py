"""Sequences that a text already holds can't be completed again."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.generation.logits_process import NoRepeatNGramLogitsProcessor

from lexloom.generate.ngrams import completions


@given(ids=st.lists(st.integers(0, 4), min_size=1, max_size=40), n=st.integers(1, 5))
def test_barred_tokens_are_those_of_transformers(ids, n):
    scores = NoRepeatNGramLogitsProcessor(n)(torch.tensor([ids]), torch.zeros(1, 5))
    assert completions(ids, n) == (scores[0] == -torch.inf).nonzero().flatten().tolist()


def test_nothing_is_barred_unless_asked():
    assert completions([1, 1, 1, 1], 0) == []
    assert completions([], 2) == []
