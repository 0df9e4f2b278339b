"""The Python API is small and the same for every family."""

import math
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

import lexloom
from lexloom.base.errors import FolderError, RecipeError, UserError
from lexloom.models import FAMILIES
from tests.folders import write_model

CONTEXT = 64


@pytest.fixture(scope="module", params=[name for name, family in FAMILIES.items() if family.kind == "decoder"])
def model(request, tmp_path_factory):
    return lexloom.load(write_model(tmp_path_factory.mktemp("api") / "model", family=request.param, context=CONTEXT))


def test_importing_lexloom_does_not_import_torch():
    code = "import sys, lexloom; lexloom.__version__; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_exported_names_are_those_documented():
    assert set(lexloom.__all__) == {"Encoder", "LanguageModel", "Score", "__version__", "load"}
    assert set(lexloom.__all__) <= set(dir(lexloom))
    assert all(hasattr(lexloom, name) for name in lexloom.__all__)
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        lexloom.lode  # noqa: B018


def test_logits_are_those_of_the_module_for_lists_and_tensors(model):
    ids = [[1, 2, 3], [4, 5, 6]]
    with torch.no_grad():
        expected = model.module(torch.tensor(ids))
    assert torch.equal(model.logits(ids), expected)
    assert torch.equal(model.logits(torch.tensor(ids)), expected)
    assert model.logits(ids).shape == (2, 3, model.config.vocab_size)
    assert torch.equal(model.logits(tuple(ids[0])), model.logits([ids[0]]))
    assert model.logits(torch.tensor(ids[0])).shape == (1, 3, model.config.vocab_size)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([], "no ids"),
        ([[]], "no ids"),
        (torch.empty(0, dtype=torch.int64), "no ids"),
        ([[1, 2], [3]], "different lengths"),
        ([1, -1], "-1 is not a token id"),
        ([1, 10**9], "1000000000 is not a token id"),
        ([1, True], "True is not a token id"),
        ([1.0, 2.0], "1.0 is not a token id"),
        (torch.tensor([1.0]), "1.0 is not a token id"),
        ([[[1]]], "is not a token id"),
        (torch.tensor(1), "no ids"),
        ([1] * (CONTEXT + 1), "65 tokens"),
    ],
)
def test_wild_ids_are_refused(model, ids, message):
    with pytest.raises(UserError, match=message):
        model.logits(ids)


def test_generate_returns_text_or_its_pieces(model):
    whole = model.generate("春眠", max_tokens=20, seed=1)
    assert isinstance(whole, str)
    pieces = model.generate("春眠", max_tokens=20, seed=1, stream=True)
    assert isinstance(pieces, Iterator)
    assert "".join(pieces) == whole
    assert model.generate("春眠", max_tokens=20, seed=2) != whole


def test_zero_temperature_is_greedy(model):
    start = [model.tokenizer.eos_id]
    ids = start + model.tokenizer.encode("To be")
    prompt_tokens = len(ids)
    for _ in range(8):
        ids.append(int(model.logits(ids)[0, -1].argmax()))
        if ids[-1] == model.tokenizer.eos_id:
            break
    assert model.generate("To be", temperature=0, max_tokens=8) == model.tokenizer.decode(ids[prompt_tokens:])


def test_search_finds_several_texts_the_best_first(model):
    found = model.search("To be", beams=3, n_best=3, max_tokens=8, no_repeat_ngram=2)
    assert len(found) == 3
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert model.search("To be", beams=1, max_tokens=8)[0].text == model.generate("To be", temperature=0, max_tokens=8)
    with pytest.raises(RecipeError, match="n_best"):
        model.search("To be", n_best=9)


def test_prompts_at_the_edges_of_the_context(model):
    assert isinstance(model.generate("", max_tokens=3, seed=0), str)
    room = CONTEXT - 1
    letters = "A" * 400
    tokens = model.tokenizer.encode(letters)
    assert len(tokens) > CONTEXT
    with pytest.raises(UserError, match=rf"{len(tokens) + 1:,} tokens and a reply of 1 .* context of {CONTEXT}"):
        model.generate(letters)
    with pytest.raises(UserError, match=rf"1 tokens and a reply of {room + 1} .* context of {CONTEXT}"):
        model.generate("", max_tokens=room + 1)
    model.generate("", max_tokens=room, seed=0)


@pytest.mark.parametrize(
    "settings", [{"temperature": -1}, {"temperature": math.nan}, {"top_p": 0}, {"max_tokens": 0}, {"stop": [""]}]
)
def test_wild_settings_are_refused_by_name(model, settings):
    with pytest.raises(RecipeError, match=next(iter(settings))):
        model.generate("a", **settings)


def test_unknown_settings_are_refused_with_the_nearest_name(model):
    with pytest.raises(RecipeError, match="did you mean 'temperature'"):
        model.generate("a", temprature=1)


def test_score_is_the_code_length_of_the_text(model):
    text = "To be, or not to be"
    score = model.score(text)
    ids = model.tokenizer.encode(text)
    log_probabilities = model.logits([model.tokenizer.eos_id, *ids[:-1]])[0].log_softmax(-1)
    expected = [float(log_probabilities[place, token]) for place, token in enumerate(ids)]
    assert score.tokens == ids
    assert score.logprobs == pytest.approx(expected, abs=1e-4)
    assert score.bits_per_byte == pytest.approx(-sum(expected) / math.log(2) / len(text), rel=1e-4)


def test_texts_longer_than_the_context_are_scored_whole(model):
    text = "春眠不觉晓，处处闻啼鸟。" * 40
    score = model.score(text)
    assert len(score.logprobs) == len(score.tokens) > 3 * CONTEXT
    with pytest.raises(UserError, match="empty text"):
        model.score("")


def test_chat_answers_and_needs_a_format(model):
    messages = [{"role": "user", "content": "春"}]
    whole = model.chat(messages, format="chatml", max_tokens=9, seed=3)
    assert "".join(model.chat(messages, format="chatml", max_tokens=9, seed=3, stream=True)) == whole
    with pytest.raises(UserError, match="which chat format"):
        model.chat(messages)
    with pytest.raises(UserError, match="did you mean 'chatml'"):
        model.chat(messages, format="chatmll")
    with pytest.raises(UserError, match="role and a content"):
        model.chat([{"role": "user"}], format="chatml")
    with pytest.raises(UserError, match="unknown role"):
        model.chat([{"role": "god", "content": ""}], format="chatml")
    with pytest.raises(UserError, match="at least one message"):
        model.chat([], format="chatml")


def test_a_model_without_tokenizer_says_so(tmp_path, model):
    from lexloom.models.folder import save_model

    save_model(tmp_path / "bare", model.module, None, provenance={}, generation=None, card="")
    bare = lexloom.load(str(tmp_path / "bare"))
    assert bare.logits([1, 2]).shape[:2] == (1, 2)
    with pytest.raises(FolderError, match="no tokenizer"):
        bare.generate("a")
    assert bare.family in repr(bare)
