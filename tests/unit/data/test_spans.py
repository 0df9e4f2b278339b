"""Span corruption: as many tokens in as many spans as T5 hides, and every way to do so equally often."""

from collections import Counter

import numpy as np
import pytest

from lexloom.base.errors import RecipeError
from lexloom.data.masking import MaskingSettings
from lexloom.data.spans import SpanNoise
from lexloom.text.tokenizers import with_sentinels
from tests.small import wordpiece_tokenizer

TOKENIZER = with_sentinels(wordpiece_tokenizer(64), 100)
SENTINELS = TOKENIZER.sentinel_ids


def noise(**settings):
    return SpanNoise(MaskingSettings(**settings), TOKENIZER)


def published_mask(length, rate, mean_span, rng):
    """`random_spans_noise_mask` as the paper's code states it, written plainly with a shuffle for each segmentation."""

    def segmentation(items, segments):
        starts = np.arange(items - 1) < segments - 1
        rng.shuffle(starts)
        return np.bincount(np.cumsum(np.concatenate([[0], starts])), minlength=segments)

    hidden = min(max(int(np.round(length * rate)), 1), length - 1)
    spans = max(int(np.round(hidden / mean_span)), 1)
    hidden_lengths, kept_lengths = segmentation(hidden, spans), segmentation(length - hidden, spans)
    lengths = np.stack([kept_lengths, hidden_lengths], axis=1).reshape(-1)
    starts = np.zeros(length, dtype=int)
    starts[np.cumsum(lengths)[:-1]] = 1
    return np.cumsum(starts) % 2 == 1


def restored(pair):
    """The text put together again from a pair, sentinel by sentinel."""
    spans, current = {}, None
    for token in pair.target.tolist():
        if token in SENTINELS:
            current = spans[token] = []
        else:
            current.append(token)
    return [token for kept in pair.source.tolist() for token in spans.get(kept, [kept])]


@pytest.mark.parametrize(("length", "rate", "span"), [(8, 0.4, 1.5), (12, 0.25, 1.0), (9, 0.5, 3.0), (2, 0.15, 3.0)])
def test_masks_come_as_often_as_those_of_the_published_algorithm(length, rate, span):
    draws, ours, theirs = 20_000, Counter(), Counter()
    make, rng = noise(rate=rate, span=span), np.random.default_rng(1)
    for _ in range(draws):
        ours[tuple(make.mask(length, rng).tolist())] += 1
        theirs[tuple(published_mask(length, rate, span, rng).tolist())] += 1
    assert ours.keys() == theirs.keys()
    expected = draws / len(ours)  # every mask equally often
    assert sum((count - expected) ** 2 / expected for count in ours.values()) < 2 * len(ours) + 20


@pytest.mark.parametrize("length", [7, 100, 512, 1000])
@pytest.mark.parametrize(("rate", "span"), [(0.15, 3.0), (0.5, 3.0), (0.15, 8.0), (0.3, 1.0)])
def test_share_and_mean_length_are_those_of_the_settings(length, rate, span):
    mask = noise(rate=rate, span=span).mask(length, np.random.default_rng(0))
    spans = int(np.count_nonzero(np.diff(mask.astype(int), prepend=0) == 1))
    assert mask.sum() == published_mask(length, rate, span, np.random.default_rng(0)).sum()
    assert mask.sum() == max(1, round(length * rate))
    assert spans == max(1, round(mask.sum() / span))
    assert not mask[0]
    assert mask[-1]


def test_t5_s_512_tokens_have_77_hidden_in_26_spans():
    assert noise().counts(512) == (77, 26)


@pytest.mark.parametrize("length", [2, 3, 5, 17, 200])
@pytest.mark.parametrize("rate", [0.01, 0.15, 0.9, 0.999])
@pytest.mark.parametrize("span", [1.0, 3.0, 50.0])
def test_source_and_target_together_are_the_text(length, rate, span):
    make, ids = noise(rate=rate, span=span), np.arange(5, 5 + length) % 60
    pair = make(ids, np.random.default_rng(length))
    hidden, spans = make.counts(length)
    assert restored(pair) == ids.tolist()
    assert (len(pair.source), len(pair.target)) == (length - hidden + spans, hidden + spans)
    assert 1 <= hidden < length
    used = [token for token in pair.target.tolist() if token in SENTINELS]
    assert used == SENTINELS[:spans] == [token for token in pair.source.tolist() if token in SENTINELS]


@pytest.mark.parametrize(("rate", "span"), [(0.15, 3.0), (0.15, 1.0), (0.5, 3.0), (0.9, 1.5), (0.99, 40.0)])
@pytest.mark.parametrize("context", [4, 5, 16, 64, 256])
def test_windows_are_as_long_as_source_and_target_allow(rate, span, context):
    make = noise(rate=rate, span=span)
    longest = make.window_tokens(context)
    fits = []
    for length in range(2, context + 1):
        pair = make(np.zeros(length, dtype=np.int64), np.random.default_rng(0))
        fits += [length] * (max(len(pair.source), len(pair.target)) + 1 <= context)
    assert longest == max(fits)


def test_a_context_without_room_and_more_spans_than_sentinels_are_refused_with_what_to_do():
    with pytest.raises(RecipeError, match="a context of 2 has no room"):
        noise().window_tokens(2)
    with pytest.raises(RecipeError, match="3000 tokens have 150 spans cut out, and the tokenizer has 100") as caught:
        noise().window_tokens(3000)
    assert "prepare.tokenizer.sentinels = 150" in str(caught.value)


def test_a_tokenizer_without_sentinels_and_whole_words_are_refused():
    with pytest.raises(RecipeError, match="no sentinels") as caught:
        SpanNoise(MaskingSettings(), wordpiece_tokenizer(64))
    assert "prepare.tokenizer.sentinels = 100" in str(caught.value)
    with pytest.raises(RecipeError, match=r"masking\.whole_words"):
        noise(whole_words=True)


def test_each_generator_cuts_in_its_own_way_and_always_alike():
    make, ids = noise(), np.arange(5, 55)
    one, again, other = (make(ids, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.source.tolist() == again.source.tolist() != other.source.tolist()
    assert ids.tolist() == list(range(5, 55))
