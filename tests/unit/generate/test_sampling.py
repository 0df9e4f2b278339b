"""The filtered distributions are those of transformers, and always finite."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from transformers.generation import logits_process as reference

from lexloom.base.errors import UserError
from lexloom.generate.sampling import adjusted, candidates, kth_largest, log_probability, next_token, nucleus_edge, pick
from lexloom.generate.settings import SamplingSettings

NOTHING = np.empty(0, np.int64)


def distribution(scores_V, settings, seen=NOTHING, barred=()):
    scores_V = adjusted(scores_V, settings, seen=seen, barred=barred)
    ids_C, weights_C = candidates(scores_V, settings)
    probabilities_V = np.zeros(scores_V.size)
    probabilities_V[ids_C] = weights_C / weights_C.sum(dtype=np.float64)
    return probabilities_V


def reference_distribution(scores_V, settings, seen, eos, count):
    ids = torch.from_numpy(seen)[None]
    steps = [reference.RepetitionPenaltyLogitsProcessor(settings.repetition_penalty)]
    if settings.min_tokens:
        prompt_tokens = ids.shape[1] - count
        steps.append(reference.MinNewTokensLengthLogitsProcessor(prompt_tokens, settings.min_tokens, [eos]))
    steps.append(reference.TemperatureLogitsWarper(float(settings.temperature)))
    if settings.top_k:
        steps.append(reference.TopKLogitsWarper(settings.top_k))
    if settings.top_p < 1:
        steps.append(reference.TopPLogitsWarper(settings.top_p))
    if settings.min_p > 0:
        steps.append(reference.MinPLogitsWarper(settings.min_p))
    scores = torch.from_numpy(scores_V)[None].clone()
    for step in steps:
        scores = step(ids, scores)
    return scores.softmax(-1)[0].numpy()


GRID = list(
    itertools.product([0.3, 1.0, 2.5], [0, 1, 40, 700], [0.05, 0.9, 1.0], [0.0, 0.02, 1.0], [0.7, 1.0, 1.8], [0, 5])
)


@pytest.mark.parametrize("vocab_size", [700, 1000])
def test_filtered_distributions_equal_transformers(vocab_size):
    rng = np.random.default_rng(0)
    for temperature, top_k, top_p, min_p, penalty, min_tokens in GRID:
        settings = SamplingSettings(
            temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, repetition_penalty=penalty,
            min_tokens=min_tokens,
        )  # fmt: skip
        scores_V = (rng.normal(size=vocab_size) * 4).astype(np.float32)
        seen = rng.choice(vocab_size, size=30, replace=False)
        eos = int(scores_V.argmax())
        ours = distribution(scores_V, settings, seen, (eos,) if min_tokens > 3 else ())
        theirs = reference_distribution(scores_V, settings, seen, eos, count=3)
        assert np.array_equal(ours > 1e-30, theirs > 1e-30), settings  # float32 rounds what is smaller to zero
        assert np.abs(ours - theirs).max() < 1e-6, settings


wild_scores = arrays(
    np.float32,
    st.integers(1, 300),
    elements=st.floats(width=32, allow_nan=False, min_value=-(2.0**127), max_value=2.0**127) | st.just(-np.inf),
)


@given(
    scores=wild_scores,
    temperature=st.sampled_from([0, 1e-30, 1e-5, 1.0, 100.0]),
    top_k=st.sampled_from([0, 1, 7, 10**9]),
    top_p=st.sampled_from([1e-300, 1e-6, 0.5, 1 - 1e-16, 1.0]),
    min_p=st.sampled_from([0.0, 1e-300, 0.5, 1.0]),
    penalty=st.sampled_from([0.1, 1.0, 10.0]),
    draw=st.sampled_from([0.0, 0.5, 1 - 2**-53]),
)
def test_any_scores_and_settings_give_a_possible_token(scores, temperature, top_k, top_p, min_p, penalty, draw):
    settings = SamplingSettings(
        temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, repetition_penalty=penalty
    )
    seen = np.arange(0, scores.size, 2)
    try:
        token = next_token(scores, settings, seen=seen, barred=(), draw=draw)
    except UserError:
        assert not np.isfinite(adjust(scores, penalty, seen)).all()
        return
    assert 0 <= token < scores.size
    assert scores[token] > -np.inf
    if not settings.greedy:
        probabilities_V = distribution(scores, settings, seen)
        assert np.isfinite(probabilities_V).all()
        assert probabilities_V.sum() == pytest.approx(1)
        assert probabilities_V[token] > 0


def adjust(scores, penalty, seen):
    with np.errstate(over="ignore"):
        adjusted_scores = scores.copy()
        known = scores[seen]
        adjusted_scores[seen] = np.where(known < 0, known * np.float32(penalty), known / np.float32(penalty))
    return adjusted_scores


def test_given_scores_are_never_changed():
    scores = np.random.default_rng(0).normal(size=200).astype(np.float32)
    before = scores.copy()
    settings = SamplingSettings(top_k=5, top_p=0.5, min_p=0.1, repetition_penalty=2.0)
    next_token(scores, settings, seen=np.arange(9), barred=(3,), draw=0.5)
    assert np.array_equal(scores, before)


def test_zero_temperature_is_greedy_and_takes_the_lowest_of_equals():
    scores = np.array([1, 5, 2, 5, 5], np.float32)
    for draw in (0.0, 0.99):
        for temperature in (0, 0.0, 1e-300, 9e-6):
            settings = SamplingSettings(temperature=temperature)
            assert next_token(scores, settings, seen=NOTHING, barred=(), draw=draw) == 1


@given(
    weights=arrays(np.float32, st.integers(1, 400), elements=st.floats(0, 1, width=32)),
    draw=st.floats(0, 1, exclude_max=True),
)
def test_a_draw_lands_where_a_plain_loop_lands(weights, draw):
    weights[0] += 1
    place = pick(weights, draw)
    assert weights[place] > 0
    edges = np.concatenate([[0], weights.cumsum(dtype=np.float64)])
    assert edges[place] <= draw * edges[-1] * (1 + 1e-12)
    assert draw * edges[-1] <= edges[place + 1] * (1 + 1e-12)


def test_tokens_are_drawn_as_often_as_they_are_probable():
    weights = np.random.default_rng(0).random(300).astype(np.float32)
    draws = (np.arange(100_000) + 0.5) / 100_000
    counts = np.bincount([pick(weights, draw) for draw in draws], minlength=300)
    assert np.abs(counts / 100_000 - weights / weights.sum()).max() < 2e-5


@given(values=arrays(np.float32, st.integers(1, 500), elements=st.integers(-9, 9).map(float)), data=st.data())
def test_kth_largest_equals_sorting(values, data):
    k = data.draw(st.integers(1, values.size))
    assert kth_largest(values, k) == np.sort(values)[::-1][k - 1]


@given(
    values=arrays(np.float32, st.integers(1, 200), elements=st.floats(2**-10, 1, width=32)),
    share=st.floats(0.001, 0.999),
)
def test_nucleus_is_the_smallest_set_that_reaches_the_share(values, share):
    kept = values[values >= nucleus_edge(values, share)].astype(np.float64)
    total = values.sum(dtype=np.float64)
    assert kept.sum() >= share * total * (1 - 1e-12)
    assert kept.sum() - kept[kept == kept.min()].sum() < share * total * (1 + 1e-12)


def test_log_probability_is_that_of_the_unfiltered_model():
    scores = np.random.default_rng(0).normal(size=500).astype(np.float32) * 5
    expected = torch.from_numpy(scores).log_softmax(0)
    for token in (0, 77, 499):
        assert log_probability(scores, token) == pytest.approx(float(expected[token]), abs=1e-5)
