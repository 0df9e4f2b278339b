"""Every generating family: cached, chunked, batched and plain inference agree, also with transformers."""

import itertools

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from lexloom.evaluate.scoring import score_documents
from lexloom.generate import decoder
from lexloom.generate.beam import beam_search
from lexloom.generate.engine import generate_ids
from lexloom.generate.settings import BeamSettings, SamplingSettings
from lexloom.models import FAMILIES, family_of, new_model
from lexloom.models.folder import save_model
from tests.beams import assert_same, expected
from tests.counting import COUNTED, counted_model, random_documents

CONTEXT, VOCAB = 96, 211
CASES = 200
LOGIT_TOLERANCE = 1e-4
SCORE_TOLERANCE = 1e-5
TINY = {
    "ngram": {"order": 4},
    "gpt": {"width": 32, "layers": 3, "heads": 4},
    "rnn": {"width": 32, "layers": 1},
    "llama": {
        "width": 32,
        "layers": 3,
        "heads": 4,
        "kv_heads": 2,
        "head_width": 10,
        "ffn_width": 48,
        "qk_norm": True,
    },
}


@pytest.fixture(scope="module", params=[name for name, family in FAMILIES.items() if family.kind == "decoder"])
def model(request):
    config = FAMILIES[request.param].config(vocab_size=VOCAB, context=CONTEXT, **TINY[request.param])
    if request.param in COUNTED:
        return counted_model(request.param, config, random_documents(3, words=VOCAB - 1, documents=300))
    model = new_model(request.param, config, seed=3)
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():  # far larger than at the start of a training, so that the context decides
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.4, generator=rng)
    return model.eval()


@pytest.fixture
def published_model(model):
    """One that transformers knows as well."""
    if not FAMILIES[family_of(model)].published:
        pytest.skip("transformers doesn't know the family")
    return model


def random_prompts(rng, count, longest=40):
    return [rng.integers(VOCAB, size=length).tolist() for length in rng.integers(1, longest, size=count)]


def replies(model, prompts, settings, **options):
    found = [[] for _ in prompts]
    for token in generate_ids(model, prompts, settings, **options):
        found[token.row].append(token)
    return found


def plain_logits(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids]))[0, -1].numpy()


def assert_greedy(model, prompt, tokens):
    """Each token is the best of the uncached model, or as good as the best but for rounding."""
    ids = list(prompt)
    for token in tokens:
        scores_V = plain_logits(model, ids)
        assert scores_V.max() - scores_V[token.id] < LOGIT_TOLERANCE
        log_probabilities = torch.from_numpy(scores_V).log_softmax(0)
        assert token.log_probability == pytest.approx(float(log_probabilities[token.id]), abs=LOGIT_TOLERANCE)
        ids.append(token.id)


def test_greedy_equals_the_uncached_model_alone_and_among_others(model):
    rng = np.random.default_rng(0)
    settings = SamplingSettings(temperature=0, max_tokens=24)
    prompts = random_prompts(rng, 9)
    together = replies(model, prompts, settings)
    for prompt, tokens in zip(prompts, together, strict=True):
        assert len(tokens) == 24
        assert_greedy(model, prompt, tokens)
        alone = replies(model, [prompt], settings)[0]
        assert [token.id for token in alone] == [token.id for token in tokens]


def test_64_greedy_tokens_are_those_of_transformers(published_model, tmp_path):
    model = published_model
    save_model(tmp_path / "model", model, None, provenance={}, generation=None, card="")
    reference = AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
    prompts = random_prompts(np.random.default_rng(7), 6, longest=30)
    together = replies(model, prompts, SamplingSettings(temperature=0, max_tokens=64))
    for prompt, tokens in zip(prompts, together, strict=True):
        ids = torch.tensor([prompt])
        with torch.no_grad():
            expected = reference.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=64, pad_token_id=0
            )
        assert [token.id for token in tokens] == expected[0, len(prompt) :].tolist()


SEARCHES = {
    "n-best": BeamSettings(beams=4, n_best=4, max_tokens=20),
    "short": BeamSettings(beams=4, max_tokens=20, length_penalty=0.0, min_tokens=5),
    "long": BeamSettings(beams=3, n_best=3, max_tokens=16, length_penalty=2.0, no_repeat_ngram=2),
    "odd": BeamSettings(beams=5, n_best=3, max_tokens=12, length_penalty=-1.0),
}
INPUTS = 100
ENDS = list(range(0, VOCAB, 10))


@pytest.mark.parametrize("name", SEARCHES)
def test_searches_find_what_transformers_finds(published_model, name, tmp_path):
    model = published_model
    save_model(tmp_path / "model", model, None, provenance={}, generation=None, card="")
    reference = AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
    settings, rng = SEARCHES[name], np.random.default_rng(8)
    prompts = (
        rng.integers(VOCAB, size=(INPUTS, 12)).tolist() if settings.no_repeat_ngram else random_prompts(rng, INPUTS)
    )
    ours = beam_search(model, prompts, settings, eos_ids=ENDS)
    for found, theirs in zip(ours, expected(reference, prompts, settings, eos_ids=ENDS), strict=True):
        assert_same(found, theirs)


def test_hypotheses_have_the_probability_of_a_plain_forward_pass(model):
    prompts = random_prompts(np.random.default_rng(9), 8)
    found = beam_search(model, prompts, SEARCHES["n-best"], eos_ids=ENDS)
    for prompt, one in ((prompt, one) for prompt, some in zip(prompts, found, strict=True) for one in some):
        with torch.no_grad():
            log_probs_LV = model(torch.tensor([[*prompt, *one.ids]]))[0, len(prompt) - 1 : -1].double().log_softmax(1)
        plain = float(log_probs_LV[torch.arange(len(one.ids)), one.ids].sum())
        assert one.log_probability == pytest.approx(plain, abs=LOGIT_TOLERANCE)


def test_rows_that_end_early_leave_the_others_alone(model):
    rng = np.random.default_rng(1)
    prompts = random_prompts(rng, 8)
    each = [SamplingSettings(temperature=0, max_tokens=int(n)) for n in rng.integers(1, 50, size=8)]
    for prompt, settings, tokens in zip(prompts, each, replies(model, prompts, each), strict=True):
        assert len(tokens) == settings.max_tokens
        assert_greedy(model, prompt, tokens)


def test_a_seeded_reply_does_not_depend_on_its_neighbours(model):
    rng = np.random.default_rng(2)
    prompts = random_prompts(rng, 6)
    each = [SamplingSettings(seed=n, top_k=20, top_p=0.9, max_tokens=16) for n in range(6)]
    together = replies(model, prompts, each)
    for prompt, settings, tokens in zip(prompts, each, together, strict=True):
        alone = replies(model, [prompt], settings)[0]
        assert [token.id for token in alone] == [token.id for token in tokens]


@pytest.mark.parametrize("prefill_tokens", [1, 5, 64])
def test_prefill_in_chunks_equals_prefill_at_once(model, prefill_tokens, monkeypatch):
    prompts = random_prompts(np.random.default_rng(3), 5)
    settings = SamplingSettings(temperature=0, max_tokens=4)
    monkeypatch.setattr(decoder, "PREFILL_TOKENS", prefill_tokens)
    for prompt, tokens in zip(prompts, replies(model, prompts, settings), strict=True):
        assert_greedy(model, prompt, tokens)


def test_any_pieces_through_the_cache_give_the_logits_of_the_whole(model):
    rng = np.random.default_rng(4)
    for _ in range(CASES):
        length = int(rng.integers(1, CONTEXT + 1))
        ids = torch.from_numpy(rng.integers(VOCAB, size=(1, length)))
        cuts = sorted({0, length, *rng.integers(0, length + 1, size=rng.integers(0, 4)).tolist()})
        cache = model.new_cache(1, length)
        with torch.no_grad():
            pieces = [model(ids[:, begin:end], cache=cache) for begin, end in itertools.pairwise(cuts)]
            assert (torch.cat(pieces, dim=1) - model(ids)).abs().max() < LOGIT_TOLERANCE


def test_a_reply_may_fill_the_context_exactly(model):
    prompt = [7] * (CONTEXT - 5)
    tokens = replies(model, [prompt], SamplingSettings(temperature=0, max_tokens=5))[0]
    assert_greedy(model, prompt, tokens)


def test_scores_do_not_depend_on_the_batch(model):
    rng = np.random.default_rng(5)
    documents = [rng.integers(VOCAB, size=n) for n in (1, 2, 50, 96, 97, 150, 300, 50, 50)]
    alone = [next(iter(score_documents(model, [document], start_id=0))) for document in documents]
    for batch_tokens in (1, 100, 100_000):
        found = list(score_documents(model, documents, start_id=0, batch_tokens=batch_tokens))
        assert np.abs(np.concatenate(found) - np.concatenate(alone)).max() < SCORE_TOLERANCE


def test_scores_are_the_log_probabilities_of_the_logits(model):
    document = np.random.default_rng(6).integers(VOCAB, size=CONTEXT)
    (found,) = score_documents(model, [document], start_id=9)
    with torch.no_grad():
        log_probabilities = model(torch.tensor([[9, *document[:-1].tolist()]])).log_softmax(-1)[0]
    expected = log_probabilities[torch.arange(CONTEXT), torch.from_numpy(document)]
    assert np.abs(found - expected.numpy()).max() < LOGIT_TOLERANCE
