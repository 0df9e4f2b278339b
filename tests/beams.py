"""Beam search by transformers, and what it must have in common with ours."""

import pytest
import torch

TOLERANCE = 1e-5
RELATIVE_TOLERANCE = 2e-6  # long sums of log-probabilities; transformers adds them up in float32


def expected(reference, prompt, settings, *, eos_ids, **inputs):
    """What transformers finds: for each hypothesis its new tokens and its score."""
    ids = torch.tensor([prompt])
    names = {"decoder_input_ids": ids} if reference.config.is_encoder_decoder else {"input_ids": ids}
    with torch.no_grad():
        found = reference.generate(
            **names,
            **inputs,
            num_beams=settings.beams,
            num_return_sequences=settings.n_best,
            length_penalty=settings.length_penalty,
            no_repeat_ngram_size=settings.no_repeat_ngram,
            min_new_tokens=settings.min_tokens,
            max_new_tokens=settings.max_tokens,
            do_sample=False,
            eos_token_id=list(eos_ids),
            pad_token_id=0,
            return_dict_in_generate=True,
            output_scores=True,
        )
    texts = [_until_end(row, eos_ids) for row in found.sequences[:, len(prompt) :].tolist()]
    return list(zip(texts, found.sequences_scores.tolist(), strict=True))


def assert_same(ours, theirs):
    """The same texts with the same scores; those with nearly the same score in any order."""
    assert [mine.score for mine in ours] == [near(score) for _, score in theirs]
    scores = [score for _, score in theirs]
    for mine, (text, score) in zip(ours, theirs, strict=True):
        if scores.count(near(score)) == 1:
            assert mine.ids == text


def near(score):
    return pytest.approx(score, abs=TOLERANCE, rel=RELATIVE_TOLERANCE)


def _until_end(ids, eos_ids):
    ends = [place for place, token in enumerate(ids) if token in eos_ids]
    return ids[: ends[0] + 1] if ends else ids
