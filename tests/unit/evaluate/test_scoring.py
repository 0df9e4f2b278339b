"""Every token is scored once, after the right tokens, whatever the batch."""

import numpy as np
import pytest
import torch

from lexloom.base.errors import UserError
from lexloom.evaluate import scoring
from lexloom.evaluate.scoring import score_documents
from lexloom.nn import likelihood
from tests.scripted import ScriptedDecoder, scrambled

START = 0


def documents(lengths, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(1, 64, length) for length in lengths]


def plain_loop(model, document, stride):
    """The definition, token by token."""
    context, text, found = model.config.context, [START, *document.tolist()], []
    done = 0
    while done < len(document):
        end = min(len(document), done + (stride if done else context))
        begin = max(0, end - context)
        for target in range(done, end):
            logits = model(torch.tensor([text[begin : target + 1]]))[0, -1]
            found.append(float(logits.log_softmax(0)[text[target + 1]]))
        done = end
    return np.array(found)


@pytest.mark.parametrize("stride", [None, 1, 3, 16])
def test_scores_equal_the_definition_token_by_token(stride):
    model = scrambled(context=16)
    texts = documents([1, 5, 15, 16, 17, 31, 32, 33, 70, 0])
    for found, text in zip(score_documents(model, texts, start_id=START, stride=stride), texts, strict=True):
        assert found == pytest.approx(plain_loop(model, text, 8 if stride is None else stride), abs=1e-5)


def test_batch_group_and_chunk_sizes_change_nothing(monkeypatch):
    model = scrambled(context=16)
    texts = documents([3, 40, 1, 16, 17, 9, 9, 9])
    whole = list(score_documents(model, texts, start_id=START))
    for batch, group, chunk in ((1, 1, 1), (20, 25, 100), (33, 10_000, 64 * 17)):
        monkeypatch.setattr(scoring, "GROUP_TOKENS", group)
        monkeypatch.setattr(likelihood, "SCORES_AT_ONCE", chunk)
        again = list(score_documents(model, texts, start_id=START, batch_tokens=batch))
        assert [found == pytest.approx(expected, abs=1e-5) for found, expected in zip(again, whole, strict=True)]
        assert [len(found) for found in again] == [len(text) for text in texts]
        assert np.concatenate(again) == pytest.approx(np.concatenate(whole), abs=1e-5)


def test_short_documents_pass_through_the_model_without_padding():
    model = scrambled(context=16)
    list(score_documents(model, documents([3, 9, 1]), start_id=START))
    assert model.forward_tokens == 3 + 9 + 1


def test_progress_is_told_batch_by_batch_up_to_the_last_token():
    told = []
    list(
        score_documents(scrambled(context=16), documents([3, 40, 9]), start_id=START, batch_tokens=16, tick=told.append)
    )
    assert told[-1] == 3 + 40 + 9
    assert len(told) > 3
    assert told == sorted(set(told))


def test_scores_that_are_not_numbers_are_an_error():
    model = ScriptedDecoder(lambda ids: np.full(64, np.nan))
    with pytest.raises(UserError, match="aren't finite"):
        list(score_documents(model, documents([3]), start_id=START))
