"""Perplexities and bits per byte are what a hand computes."""

import json
import math

import numpy as np
import pytest

from lexloom.base.errors import UserError
from lexloom.evaluate.perplexity import BLOCK_BYTES, MIN_DOCUMENTS, DocumentScores, compare, evaluate, units_of


def scores_of(nats, utf8_bytes, words):
    return DocumentScores([np.array(one, float) for one in nats], np.array(utf8_bytes), np.array(words))


def random_scores(documents, seed=0, tokens=20, shift=0.0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, tokens, documents)
    nats = [rng.gamma(4, 0.5, length) + shift for length in lengths]
    return DocumentScores(nats, lengths * 4, lengths)


def test_by_hand():
    found = evaluate(scores_of([[1.0, 2.0], [3.0]], [4, 2], [1, 1]))
    assert (found.documents, found.tokens, found.words, found.utf8_bytes) == (2, 3, 2, 6)
    assert found.nats_per_token.value == pytest.approx(2)
    assert found.perplexity_per_token.value == pytest.approx(math.e**2)
    assert found.perplexity_per_word.value == pytest.approx(math.e**3)
    assert found.bits_per_byte.value == pytest.approx(1 / math.log(2))


def test_every_number_has_an_interval_around_it():
    found = evaluate(random_scores(200))
    for estimate in (found.nats_per_token, found.perplexity_per_token, found.perplexity_per_word, found.bits_per_byte):
        assert estimate.low < estimate.value < estimate.high
    assert found.resampled == "documents"
    assert math.log(found.perplexity_per_token.low) == pytest.approx(found.nats_per_token.low)
    assert json.loads(json.dumps(found.to_json()))["bits_per_byte"]["value"] == found.bits_per_byte.value


def test_one_long_document_is_resampled_in_blocks():
    rng = np.random.default_rng(0)
    nats = rng.gamma(4, 0.5, 5_000)
    found = evaluate(DocumentScores([nats], np.array([20_000]), np.array([4_000])))
    assert found.resampled == "blocks of about 1,000 bytes"
    assert found.nats_per_token.value == pytest.approx(nats.mean())
    assert found.nats_per_token.low < nats.mean() < found.nats_per_token.high
    spread = (found.nats_per_token.high - found.nats_per_token.low) / (2 * 1.96)
    assert spread == pytest.approx(nats.std() / math.sqrt(5_000), rel=0.35)


def test_blocks_keep_every_sum_and_are_the_same_for_any_tokenizer():
    utf8_bytes, words = np.array([10, 0, 7_777]), np.array([2, 0, 900])
    rng = np.random.default_rng(0)
    for lengths in ([3, 1, 1_800], [1, 1, 5], [11, 1, 7_777]):
        nats = [rng.random(length) for length in lengths]
        units = units_of(DocumentScores(nats, utf8_bytes, words))
        assert units.nats.sum() == pytest.approx(np.concatenate(nats).sum())
        assert units.tokens.sum() == sum(lengths)
        assert units.words.sum() == pytest.approx(902)
        assert units.utf8_bytes.tolist() == [10, 0] + [pytest.approx(7_777 / (7_777 // BLOCK_BYTES))] * 7


def test_too_little_text_has_no_interval():
    found = evaluate(scores_of([[1.0]], [5], [1]))
    assert (found.bits_per_byte.low, found.bits_per_byte.high) == (None, None)
    assert "too little text" in str(found.bits_per_byte)


def test_degenerate_texts_have_no_meaningless_numbers():
    found = evaluate(scores_of([[1.0]] * 30, [0] * 30, [0] * 30))
    assert found.bits_per_byte is None
    assert found.perplexity_per_word is None
    for empty in (scores_of([], [], []), scores_of([[]], [0], [0])):
        with pytest.raises(UserError, match="no tokens to evaluate"):
            evaluate(empty)


def test_a_hopeless_model_has_a_finite_perplexity():
    found = evaluate(scores_of([[1e6]] * 30, [3] * 30, [1] * 30))
    assert math.isfinite(found.perplexity_per_token.value)


@pytest.mark.parametrize("documents", [1, MIN_DOCUMENTS - 1, MIN_DOCUMENTS, 300])
def test_paired_comparison_sees_a_shift_and_only_a_shift(documents):
    first = random_scores(documents, tokens=3_000)
    worse = DocumentScores([nats + 0.01 for nats in first.nats], first.utf8_bytes, first.words)
    found = compare(first, worse)
    tokens = sum(map(len, first.nats))
    assert found.real
    assert found.value == pytest.approx(0.01 * tokens / first.utf8_bytes.sum() / math.log(2))
    assert not compare(first, first).real


def test_models_with_different_tokenizers_are_compared_on_the_same_bytes():
    first = random_scores(50)
    halved = DocumentScores([nats[::2] * 1.5 for nats in first.nats], first.utf8_bytes, first.words)
    assert compare(first, halved).value == pytest.approx(
        evaluate(halved).bits_per_byte.value - evaluate(first).bits_per_byte.value
    )
