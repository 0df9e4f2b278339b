"""Searches by transformers, and what they must have in common with ours."""

import pytest
import torch

PAD = 0
SAME_SCORE = 1e-5  # texts whose scores are nearer may stand in either order
TOLERANCE = {"abs": 5e-5, "rel": 2e-6}  # of a score: both models and transformers' sum are in float32


def expected(reference, prompts, settings, *, eos_ids, sources=None):
    """What transformers finds for each prompt: (new tokens, score) of each hypothesis, the best first.

    All in one batch, padded on the left (and `sources` on the right), which its n-grams don't understand.
    """
    assert settings.no_repeat_ngram == 0 or len({len(prompt) for prompt in prompts}) == 1
    if sources is None:
        ids, mask = padded(prompts, left=True)
        inputs = {"input_ids": ids, "attention_mask": mask}
    else:
        (ids, _), (source_ids, mask) = padded(prompts, left=True), padded(sources, left=False)
        inputs = {"input_ids": source_ids, "attention_mask": mask, "decoder_input_ids": ids}
    with torch.no_grad():
        found = reference.generate(
            **inputs,
            num_beams=settings.beams,
            num_return_sequences=settings.n_best,
            length_penalty=settings.length_penalty,
            no_repeat_ngram_size=settings.no_repeat_ngram,
            min_new_tokens=settings.min_tokens,
            max_new_tokens=settings.max_tokens,
            do_sample=False,
            early_stopping=False,
            eos_token_id=list(eos_ids),
            pad_token_id=PAD,
            forced_eos_token_id=None,
            bad_words_ids=None,
            return_dict_in_generate=True,
            output_scores=True,
        )
    texts = [_until_end(row, eos_ids) for row in found.sequences[:, ids.shape[1] :].tolist()]
    scores = [None] * len(texts) if settings.beams == 1 else found.sequences_scores.tolist()
    both = list(zip(texts, scores, strict=True))
    return [both[start : start + settings.n_best] for start in range(0, len(both), settings.n_best)]


def assert_same(ours, theirs):
    """The same texts with the same scores; those with nearly the same score in any order."""
    assert [mine.score for mine in ours] == [near(score) for _, score in theirs]
    scores = [score for _, score in theirs]
    for mine, (text, score) in zip(ours, theirs, strict=True):
        if sum(abs(score - other) < SAME_SCORE for other in scores) == 1:
            assert mine.ids == text


def near(score):
    return pytest.approx(score, **TOLERANCE)


def padded(rows, *, left):
    """Ids (B, L) and their mask."""
    longest = max(map(len, rows))
    fill = [[PAD] * (longest - len(row)) for row in rows]
    ids = [[*pad, *row] if left else [*row, *pad] for pad, row in zip(fill, rows, strict=True)]
    mask = [[0] * len(pad) + [1] * len(row) for pad, row in zip(fill, rows, strict=True)]
    return torch.tensor(ids), torch.tensor([one if left else one[::-1] for one in mask])


def _until_end(ids, eos_ids):
    ends = [place for place, token in enumerate(ids) if token in eos_ids]
    return ids[: ends[0] + 1] if ends else ids
