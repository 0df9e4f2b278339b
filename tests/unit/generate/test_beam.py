"""The most probable texts, each prompt searched as if it were alone."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

from lexloom.base.errors import UserError
from lexloom.generate.beam import beam_search, best_tokens
from lexloom.generate.engine import generate_ids
from lexloom.generate.sampling import BrokenScores, NothingLeft
from lexloom.generate.settings import BeamSettings, SamplingSettings
from tests.scripted import ScriptedDecoder, scrambled

EOS = [3, 17, 22]
PROMPTS = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10, 11, 12], [1, 2, 3], [13, 14], [15]]

some_settings = st.builds(
    BeamSettings,
    beams=st.integers(1, 5),
    n_best=st.just(1),
    max_tokens=st.integers(4, 9),
    min_tokens=st.integers(0, 4),
    no_repeat_ngram=st.integers(0, 3),
    length_penalty=st.sampled_from([-1.0, 0.0, 0.6, 1.0, 2.0]),
).map(lambda settings: settings.model_copy(update={"n_best": settings.beams}))
some_prompts = st.lists(st.lists(st.integers(0, 63), min_size=1, max_size=6), min_size=1, max_size=4)


def log_probability(model, prompt, ids):
    """Of `ids` after `prompt`, by one forward pass without cache."""
    scores_LV = model(torch.tensor([[*prompt, *ids]]))[0, len(prompt) - 1 : -1].double()
    return float(scores_LV.log_softmax(1)[torch.arange(len(ids)), ids].sum())


@trials(max_examples=60, deadline=None)
@given(prompts=some_prompts, settings=some_settings)
def test_what_is_found_keeps_all_promises(prompts, settings):
    model = scrambled()
    for prompt, found in zip(prompts, beam_search(model, prompts, settings, eos_ids=EOS), strict=True):
        assert len(found) == settings.n_best
        assert len({tuple(one.ids) for one in found}) == len(found), "no text twice"
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
        for one in found:
            assert settings.min_tokens <= len(one.ids) - (one.finish == "eos")
            assert one.finish == ("eos" if one.ids[-1] in EOS else "length")
            assert len(one.ids) == settings.max_tokens or one.finish == "eos"
            assert not set(one.ids[:-1]) & set(EOS)
            assert one.log_probability == pytest.approx(log_probability(model, prompt, one.ids), abs=1e-4)
            assert one.score == pytest.approx(one.log_probability / len(one.ids) ** settings.length_penalty)
            assert one.written == (one.ids[:-1] if one.finish == "eos" else one.ids)
            assert_no_repeats([*prompt, *one.ids], len(prompt), settings.no_repeat_ngram)


def assert_no_repeats(ids, prompt_tokens, n):
    """No n-gram that ends in the reply has been there before."""
    ngrams = [tuple(ids[end - n : end]) for end in range(n, len(ids) + 1)] if n else []
    for place, ngram in enumerate(ngrams):
        assert place + n <= prompt_tokens or ngram not in ngrams[:place]


@trials(max_examples=60, deadline=None)
@given(prompts=some_prompts, settings=some_settings)
def test_one_beam_is_greedy(prompts, settings):
    settings = settings.model_copy(update={"beams": 1, "n_best": 1})
    lengths = {name: getattr(settings, name) for name in ("max_tokens", "min_tokens", "no_repeat_ngram")}
    model, greedy = scrambled(), [[] for _ in prompts]
    for token in generate_ids(model, prompts, SamplingSettings(temperature=0, **lengths), eos_ids=EOS):
        greedy[token.row].append(token.id)
    assert [found[0].ids for found in beam_search(model, prompts, settings, eos_ids=EOS)] == greedy


def test_as_many_beams_as_texts_find_the_very_best_text():
    model = scrambled(vocab_size=4)
    texts = [list(ids) for ids in itertools.product(range(4), repeat=3)]
    (found,) = beam_search(model, [[1]], BeamSettings(beams=64, n_best=64, max_tokens=3))
    best_first = sorted(texts, key=lambda ids: -log_probability(model, [1], ids))
    assert [one.ids for one in found] == best_first


@pytest.mark.parametrize("settings", [BeamSettings(max_tokens=12, n_best=3), BeamSettings(beams=2, no_repeat_ngram=1)])
def test_neighbours_in_the_batch_change_nothing(settings):
    each = [settings.model_copy(update={"max_tokens": tokens}) for tokens in (12, 5, 9, 12, 1, 12)]
    together = beam_search(scrambled(), PROMPTS, each, eos_ids=EOS)
    alone = [beam_search(scrambled(), [prompt], one, eos_ids=EOS)[0] for prompt, one in zip(PROMPTS, each, strict=True)]
    assert together == alone
    assert together[0] == together[3]


def test_prompts_may_have_beams_of_their_own():
    each = [BeamSettings(beams=width, n_best=width, max_tokens=6) for width in (1, 5, 2)]
    together = beam_search(scrambled(), PROMPTS[:3], each, eos_ids=EOS)
    assert together == [beam_search(scrambled(), [PROMPTS[row]], each[row], eos_ids=EOS)[0] for row in range(3)]


def test_of_equally_probable_tokens_the_lowest_is_taken():
    for vocab_size in (9, 640, 1000):
        model = ScriptedDecoder(lambda ids, size=vocab_size: np.zeros(size, np.float32), vocab_size=vocab_size)
        (found,) = beam_search(model, [[1]], BeamSettings(beams=3, n_best=3, max_tokens=1))
        assert [one.ids for one in found] == [[0], [1], [2]]


def test_finished_rows_leave_and_every_other_token_passes_once():
    model = ScriptedDecoder(lambda ids: np.where(np.arange(8) == (7 if len(ids) > 3 else 1), 30.0, 0.0), vocab_size=8)
    beam_search(model, [[1, 2, 3, 4, 5], [1]], BeamSettings(beams=1, max_tokens=20), eos_ids=[7])
    assert model.forward_tokens == 2 * 5 + 3, "two prompts side by side; then the second row alone until its end"


def test_a_vocabulary_smaller_than_the_beams_gives_what_it_has():
    model = scrambled(vocab_size=2)
    (found,) = beam_search(model, [[1]], BeamSettings(beams=8, n_best=8, max_tokens=2))
    assert sorted(one.ids for one in found) == [[0, 0], [0, 1], [1, 0], [1, 1]]


def test_where_no_token_is_left_what_is_finished_counts_and_else_the_settings_are_blamed():
    model = ScriptedDecoder(lambda ids: np.arange(4, dtype=np.float32), vocab_size=4)
    settings = BeamSettings(beams=2, n_best=2, max_tokens=20, no_repeat_ngram=1)
    with pytest.raises(NothingLeft, match="every token is barred"):
        beam_search(model, [[0]], settings)
    (found,) = beam_search(model, [[0]], settings, eos_ids=[1])
    assert all(one.finish == "eos" for one in found)


def test_barred_ids_are_never_written():
    found = beam_search(scrambled(), PROMPTS, BeamSettings(max_tokens=9, n_best=4), barred_ids=range(60))
    assert {token for some in found for one in some for token in one.ids} == {60, 61, 62, 63}


@pytest.mark.parametrize("wild", [float("nan"), float("inf"), -float("inf")])
def test_scores_that_are_not_numbers_are_an_error_and_never_a_token(wild):
    model = ScriptedDecoder(lambda ids: np.full(64, wild if len(ids) > 3 else 1.0))
    with pytest.raises(BrokenScores, match="aren't finite"):
        beam_search(model, [[1, 2]], BeamSettings(max_tokens=8))


def test_what_does_not_fit_is_refused():
    model = scrambled(context=10)
    assert len(beam_search(model, [[1] * 6], BeamSettings(max_tokens=4))[0][0].ids) == 4
    with pytest.raises(UserError, match=r"6 tokens and a reply of 5 .* context of 10"):
        beam_search(model, [[1] * 6], BeamSettings(max_tokens=5))
    with pytest.raises(UserError, match="empty"):
        beam_search(model, [[]], BeamSettings())
    with pytest.raises(UserError, match="not a token id"):
        beam_search(model, [[64]], BeamSettings())
    assert beam_search(model, [], BeamSettings()) == []


@pytest.mark.parametrize("vocab_size", [1, 7, 64, 511, 512, 577, 1000])
@pytest.mark.parametrize("levels", [1, 3, 50, 10**6])
def test_best_tokens_are_those_of_a_full_stable_sort(vocab_size, levels):
    values = np.random.default_rng(levels).integers(levels, size=(40, vocab_size)).astype(np.float32)
    for count in (1, 2, 5, 8):
        ids_RC, found_RC = best_tokens(torch.from_numpy(values), count)
        expected_RC = np.sort(np.argsort(-values, axis=1, kind="stable")[:, :count], axis=1)
        assert np.array_equal(ids_RC, expected_RC)
        assert np.array_equal(found_RC, np.take_along_axis(values, expected_RC, 1))
