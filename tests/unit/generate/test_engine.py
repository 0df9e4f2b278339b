"""Each prompt is continued as if it were alone."""

import itertools

import numpy as np
import pytest
import torch

from lexloom.base.errors import UserError
from lexloom.generate import decoder
from lexloom.generate.engine import generate_ids
from lexloom.generate.sampling import NothingLeft
from lexloom.generate.settings import SamplingSettings
from tests.scripted import ScriptedDecoder, scrambled, scripted

GREEDY = SamplingSettings(temperature=0, max_tokens=12)
PROMPTS = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10, 11, 12], [1, 2, 3], [13, 14]]


def replies(model, prompts, settings, **options) -> list[list[int]]:
    found = [[] for _ in prompts]
    for token in generate_ids(model, prompts, settings, **options):
        found[token.row].append(token.id)
    return found


@pytest.mark.parametrize("settings", [GREEDY, SamplingSettings(seed=7, max_tokens=12, top_k=9, repetition_penalty=1.3)])
def test_neighbours_in_the_batch_change_nothing(settings):
    model = scrambled()
    together = replies(model, PROMPTS, settings, eos_ids=[3, 17, 22])
    assert together == [replies(model, [prompt], settings, eos_ids=[3, 17, 22])[0] for prompt in PROMPTS]
    assert together[0] == together[3]
    assert len({len(reply) for reply in together}) > 1, "rows should end at different times here"


def test_rows_may_have_settings_of_their_own():
    model = scrambled()
    each = [SamplingSettings(temperature=0, max_tokens=3), SamplingSettings(seed=1, max_tokens=5)]
    assert replies(model, [[1], [2, 3]], each) == [
        replies(model, [[1]], each[0])[0],
        replies(model, [[2, 3]], each[1])[0],
    ]


def test_prefill_in_chunks_changes_nothing(monkeypatch):
    whole = replies(scrambled(), PROMPTS, GREEDY)
    for tokens in (1, 7, 12, 40):
        monkeypatch.setattr(decoder, "PREFILL_TOKENS", tokens)
        assert replies(scrambled(), PROMPTS, GREEDY) == whole


def test_greedy_is_the_best_token_of_the_uncached_model():
    model, ids = scrambled(), [5, 6]
    for token in generate_ids(model, [ids], GREEDY):
        scores_V = model(torch.tensor([ids]))[0, -1]
        assert token.id == int(scores_V.argmax())
        assert token.log_probability == pytest.approx(float(scores_V.log_softmax(0)[token.id]), abs=1e-5)
        ids = [*ids, token.id]
    assert len(ids) == 2 + 12


def test_each_token_passes_through_the_model_once():
    model = scrambled()
    replies(model, [[1, 2, 3]], GREEDY)
    assert model.forward_tokens == 3 + 12 - 1


def test_same_seed_same_reply_other_seed_other_reply():
    model = scrambled()
    first, again, other = (replies(model, [[1]], SamplingSettings(seed=seed, max_tokens=20))[0] for seed in (3, 3, 4))
    assert first == again != other
    unset = SamplingSettings(max_tokens=20)
    assert replies(model, [[1]], unset) != replies(model, [[1]], unset)


def test_end_of_text_ends_a_row_but_not_before_min_tokens():
    model = scripted([9] * 10, prompt_tokens=1, vocab_size=16)
    tokens = list(generate_ids(model, [[1]], GREEDY, eos_ids=[9]))
    assert [(token.id, token.finish) for token in tokens] == [(9, "eos")]
    patient = SamplingSettings(temperature=0, max_tokens=8, min_tokens=3)
    tokens = list(generate_ids(model, [[1]], patient, eos_ids=[9]))
    assert [token.id == 9 for token in tokens] == [False, False, False, True]
    assert [token.finish for token in tokens] == [None, None, None, "eos"]


@pytest.mark.parametrize("temperature", [0, 1])
def test_no_sequence_of_the_prompt_or_the_reply_comes_twice(temperature):
    model = ScriptedDecoder(lambda ids: np.arange(6, dtype=np.float32), vocab_size=6)
    settings = SamplingSettings(temperature=temperature, seed=1, max_tokens=10, no_repeat_ngram=2)
    (reply,) = replies(model, [[5, 5, 4, 0]], settings)
    pairs = list(itertools.pairwise([5, 5, 4, 0, *reply]))
    assert len(pairs) == len(set(pairs))
    if temperature == 0:
        assert reply[:4] == [5, 3, 5, 2], "always the best of those that are left"


def test_where_no_token_is_left_the_settings_are_blamed_and_not_the_model():
    model = ScriptedDecoder(lambda ids: np.zeros(4, np.float32), vocab_size=4)
    with pytest.raises(NothingLeft, match="every token is barred"):
        replies(model, [[0]], SamplingSettings(max_tokens=4, no_repeat_ngram=1))


def test_barred_ids_are_never_written():
    (reply,) = replies(scrambled(), [[1]], SamplingSettings(seed=0, max_tokens=100), barred_ids=range(60))
    assert set(reply) == {60, 61, 62, 63}


def test_asked_to_stop_only_that_row_ends():
    tokens = list(generate_ids(scrambled(), [[1], [2]], GREEDY, stop=lambda row, token: row == 0))
    assert [token.finish for token in tokens if token.row == 0] == ["stop"]
    assert [token.finish for token in tokens if token.row == 1] == [None] * 11 + ["length"]


def test_a_reply_may_fill_the_context_exactly_and_no_more():
    model = scrambled(context=10)
    assert len(replies(model, [[1] * 6], SamplingSettings(max_tokens=4))[0]) == 4
    assert len(replies(model, [[1] * 9], SamplingSettings())[0]) == 1
    with pytest.raises(UserError, match=r"6 tokens and a reply of 5 .* context of 10"):
        generate_ids(model, [[1] * 6], SamplingSettings(max_tokens=5))
    for prompt_tokens in (10, 11, 1000):
        with pytest.raises(UserError, match=rf"{prompt_tokens:,} tokens and a reply of 1 .* context of 10"):
            generate_ids(model, [[1] * prompt_tokens], SamplingSettings())
    with pytest.raises(UserError, match="empty"):
        generate_ids(model, [[]], SamplingSettings())
    assert list(generate_ids(model, [], SamplingSettings())) == []


@pytest.mark.parametrize("wild", [-1, 64, 10**30, True, 1.0, "1", None, float("nan")])
def test_wild_ids_are_refused_by_name(wild):
    with pytest.raises(UserError, match=r"is not a token id.*\n.*0 to 63") as caught:
        generate_ids(scrambled(), [[1, wild]], GREEDY)
    assert caught.value.where == "ids[1]"


@pytest.mark.parametrize("wild", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("temperature", [0, 1])
def test_scores_that_are_not_numbers_are_an_error_and_never_a_token(wild, temperature):
    model = ScriptedDecoder(lambda ids: np.full(64, wild if len(ids) > 3 else 1.0))
    running = generate_ids(model, [[1, 2]], SamplingSettings(temperature=temperature))
    assert [next(running).row, next(running).row] == [0, 0]
    with pytest.raises(UserError, match="aren't finite"):
        next(running)


def test_the_caller_is_not_left_in_inference_mode():
    for _ in generate_ids(scrambled(), [[1]], GREEDY):
        assert not torch.is_inference_mode_enabled()
