"""Every encoder-decoder writes what transformers writes, and the same whatever it writes beside."""

import numpy as np
import pytest
import torch
from transformers import MarianConfig, MarianMTModel, T5Config, T5ForConditionalGeneration

from lexloom.base.errors import UserError
from lexloom.generate.settings import WritingSettings
from lexloom.generate.writing import write
from lexloom.models.folder import load_model
from lexloom.models.reading import reading
from tests.beams import assert_same, expected, near

VOCAB, CONTEXT, START = 151, 64, 5
INPUTS = 100
ENDS = list(range(1, VOCAB, 8))
T5 = {"vocab_size": VOCAB, "d_model": 24, "d_kv": 6, "d_ff": 40, "num_layers": 2, "num_heads": 4,
      "n_positions": CONTEXT}  # fmt: skip
REFERENCES = {
    "marian": lambda: MarianMTModel(
        MarianConfig(
            vocab_size=VOCAB, decoder_vocab_size=VOCAB, d_model=24, encoder_layers=2, decoder_layers=2,
            encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=40, decoder_ffn_dim=40,
            max_position_embeddings=CONTEXT, decoder_start_token_id=START, pad_token_id=0, eos_token_id=1,
            scale_embedding=True,
        )
    ),
    "t5": lambda: T5ForConditionalGeneration(T5Config(**T5, decoder_start_token_id=START)),
    "t5 v1.1": lambda: T5ForConditionalGeneration(
        T5Config(**T5, decoder_start_token_id=START, feed_forward_proj="gated-gelu", tie_word_embeddings=False)
    ),
}  # fmt: skip
SPREAD = {"marian": 0.35, "t5": 0.35, "t5 v1.1": 0.2}
SETTINGS = {
    "greedy": WritingSettings(max_tokens=16),
    "beams": WritingSettings(beams=4, n_best=4, max_tokens=16),
    "short": WritingSettings(beams=4, n_best=2, max_tokens=16, length_penalty=0.0, min_tokens=4, no_repeat_ngram=2),
    "long": WritingSettings(beams=3, n_best=3, max_tokens=12, length_penalty=2.0),
}


@pytest.fixture(scope="module", params=REFERENCES)
def both(request, tmp_path_factory):
    """Our model and theirs with the same weights, large enough that the source decides."""
    reference = REFERENCES[request.param]().eval()
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in reference.named_parameters():
            if parameter.ndim > 1 and "embed_positions" not in name:
                parameter.normal_(0, SPREAD[request.param], generator=rng)
    place = tmp_path_factory.mktemp("model") / "model"
    reference.save_pretrained(place)
    return load_model(place).model.eval(), reference


def random_sources(seed, count=INPUTS):
    rng = np.random.default_rng(seed)
    return [rng.integers(VOCAB, size=length).tolist() for length in rng.integers(1, 30, size=count)]


@pytest.mark.parametrize("name", SETTINGS)
def test_a_hundred_texts_are_those_of_transformers(both, name):
    model, reference = both
    settings, sources = SETTINGS[name], random_sources(1)
    ours = write(model, sources, settings, eos_ids=ENDS, threads=1)
    theirs = expected(reference, [[START]] * INPUTS, settings, eos_ids=ENDS, sources=sources)
    assert len({tuple(found[0].ids) for found in ours}) > INPUTS / 2, "texts should depend on their sources here"
    for source, found, wanted in zip(sources, ours, theirs, strict=True):
        if settings.beams > 1:
            assert_same(found, wanted)
        else:
            assert_greedy_is(found[0], wanted[0][0], model, source)


def assert_greedy_is(found, wanted, model, source):
    """The same tokens up to the first one for which two were as good."""
    if found.ids != wanted:
        same = next(place for place, (a, b) in enumerate(zip(found.ids, wanted, strict=False)) if a != b)
        top = plain_log_probs(model, source, [START, *wanted[:same]])[-1].topk(2).values
        assert float(top[0] - top[1]) < 1e-5


def plain_log_probs(model, source, ids):
    with torch.no_grad():
        cache = reading(model, [source]).new_cache(1, len(ids))
        return model.scores(model.hidden(torch.tensor([ids]), cache=cache))[0].double().log_softmax(-1)


def test_forced_beginnings_are_continued_as_transformers_does(both):
    model, reference = both
    sources, settings = random_sources(2, 20), WritingSettings(beams=3, n_best=3, max_tokens=8, no_repeat_ngram=2)
    prefix = np.random.default_rng(3).integers(VOCAB, size=(20, 3)).tolist()
    ours = write(model, sources, settings, eos_ids=ENDS, prefix=prefix, threads=1)
    theirs = expected(reference, [[START, *ids] for ids in prefix], settings, eos_ids=ENDS, sources=sources)
    for found, wanted in zip(ours, theirs, strict=True):
        assert_same(found, wanted)


def test_scores_are_those_of_a_plain_forward_pass(both):
    model, _ = both
    sources = random_sources(4, 10)
    for settings in (SETTINGS["beams"], WritingSettings(temperature=1.0, top_k=9, seed=1, max_tokens=9)):
        for source, found in zip(sources, write(model, sources, settings, eos_ids=ENDS), strict=True):
            for one in found:
                log_probs_LV = plain_log_probs(model, source, [START, *one.ids[:-1]])
                total = float(log_probs_LV[torch.arange(len(one.ids)), one.ids].sum())
                assert one.log_probability == pytest.approx(total, abs=1e-4)
                assert one.score == pytest.approx(total / len(one.ids) ** settings.length_penalty, abs=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        WritingSettings(max_ratio=0.3),
        WritingSettings(beams=3, n_best=3, max_ratio=0.3, no_repeat_ngram=3),
        WritingSettings(temperature=0.9, top_p=0.9, seed=3, max_tokens=9),
    ],
)
def test_results_depend_neither_on_portions_nor_on_threads(both, settings):
    model, _ = both
    sources = random_sources(5, 24)
    together = write(model, sources, settings, eos_ids=ENDS)
    for batch_tokens, threads in ((1, 1), (200, 2), (10**9, 2)):
        again = write(model, sources, settings, eos_ids=ENDS, batch_tokens=batch_tokens, threads=threads)
        for found, other in zip(together, again, strict=True):
            assert [one.ids for one in found] == [one.ids for one in other]
            assert [one.score for one in found] == [near(one.score) for one in other]


def test_lengths_follow_the_source_and_never_leave_the_context(both):
    model, _ = both
    sources = [[7] * 3, [8] * 20, [9] * 64]
    ratio = write(model, sources, WritingSettings(max_ratio=0.5), eos_ids=[])
    assert [len(found[0].ids) for found in ratio] == [11, 20, 42]
    assert {found[0].finish for found in ratio} == {"length"}
    unlimited = write(model, sources, WritingSettings(), eos_ids=[], prefix=[[], [1], [1, 2, 3]])
    assert [len(found[0].ids) for found in unlimited] == [CONTEXT - 1, CONTEXT - 2, CONTEXT - 4]
    with pytest.raises(UserError, match="don't fit into the model's context"):
        write(model, sources[:1], WritingSettings(), eos_ids=[], prefix=[[1] * CONTEXT])


def test_progress_is_told_and_nothing_is_written_of_nothing(both):
    model, _ = both
    told = []
    write(model, random_sources(6, 10), WritingSettings(max_tokens=2), eos_ids=[], batch_tokens=60, tick=told.append)
    assert told == sorted(told)
    assert told[-1] == 10
    assert write(model, [], WritingSettings(), eos_ids=[]) == []
    with pytest.raises(UserError, match="empty"):
        write(model, [[1], []], WritingSettings(), eos_ids=[])


def test_barred_ids_are_never_written(both):
    model, _ = both
    for settings in (WritingSettings(beams=2, max_tokens=9), WritingSettings(temperature=1.0, max_tokens=9)):
        found = write(model, random_sources(7, 10), settings, eos_ids=[], barred_ids=range(140))
        assert {token for some in found for token in some[0].ids} <= set(range(140, VOCAB))
