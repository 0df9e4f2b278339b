"""Continuations are as likely as the model says token by token, however many are read together."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lexloom.base.errors import UserError
from lexloom.evaluate.fewshot import likelihood
from lexloom.evaluate.fewshot.likelihood import Continuation, likelihoods
from lexloom.models import new_model
from lexloom.models.gpt import Config as GptConfig
from lexloom.models.llama import Config as LlamaConfig

SHAPES = {
    "gpt": GptConfig(vocab_size=50, width=32, layers=2, heads=4, context=40),
    "llama": LlamaConfig(
        vocab_size=50, width=32, layers=2, heads=4, kv_heads=2, head_width=8, ffn_width=48, context=40
    ),
}


def loud(family):
    """A model that is sure of what it says, so that its scores differ."""
    model = new_model(family, SHAPES[family], seed=1).eval()
    rng = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3, generator=rng)
    return model


def groups():
    rng = np.random.default_rng(0)

    def ids(count):
        return tuple(rng.integers(0, 50, count).tolist())

    shared, other = ids(12), ids(3)
    return [
        [Continuation(shared, ids(length)) for length in (1, 5, 2, 1)],
        [Continuation((*other, first), (7, 8, 9)) for first in (1, 2)],  # beginnings differ, as in WinoGrande
        [Continuation((4,), (5,)), Continuation((6,), (5, 5))],  # nothing in common
        [Continuation(ids(36), ids(4)), Continuation(ids(2), ids(38))],  # as long as the context allows
        [Continuation(shared, (3,)), Continuation(shared, (3,))],
        [],
    ]


@torch.inference_mode()
def definition(model, one):
    """The sum of log-probabilities, and whether each token is the best one."""
    ids = torch.tensor([*one.context, *one.ids])
    log_probabilities = model(ids[None])[0].log_softmax(-1)[len(one.context) - 1 : -1]
    targets = ids[len(one.context) :]
    return (
        float(log_probabilities.gather(1, targets[:, None]).double().sum()),
        bool((log_probabilities.argmax(-1) == targets).all()),
    )


@pytest.mark.parametrize("family", SHAPES)
def test_likelihoods_are_those_of_the_whole_text(family):
    model = loud(family)
    for group, found in zip(groups(), likelihoods(model, groups()), strict=True):
        assert len(found) == len(group)
        for one, each in zip(group, found, strict=True):
            total, greedy = definition(model, one)
            assert each.log_probability == pytest.approx(total, abs=1e-4)
            assert (each.greedy, each.tokens) == (greedy, len(one.ids))


@pytest.mark.parametrize(("portion", "threads"), [(1, 1), (17, 1), (40, 2), (512, 2)])
def test_the_size_of_portions_changes_nothing(portion, threads):
    model = loud("llama")
    whole = likelihoods(model, groups(), threads=1)
    again = likelihoods(model, groups(), portion_tokens=portion, threads=threads)
    for found, expected in zip(again, whole, strict=True):
        for one, other in zip(found, expected, strict=True):
            assert one.log_probability == pytest.approx(other.log_probability, abs=1e-5)
            assert (one.greedy, one.said, one.tokens) == (other.greedy, other.said, other.tokens)


def test_what_greedy_decoding_says_is_recognised():
    model = loud("gpt")
    context = [3, 1, 4]
    text = list(context)
    for _ in range(4):
        text.append(int(model(torch.tensor([text]))[0, -1].argmax()))
    said = tuple(text[3:])
    wrong = (*said[:2], (said[2] + 1) % 50, said[3])
    ((right, other),) = likelihoods(model, [[Continuation((3, 1, 4), said), Continuation((3, 1, 4), wrong)]])
    assert (right.greedy, right.said) == (True, said)
    assert (other.greedy, other.said) == (False, said[:3])


def test_a_common_beginning_passes_once_and_nothing_is_padded(monkeypatch):
    model, passed = loud("llama"), []
    inner = model.hidden
    monkeypatch.setattr(model, "hidden", lambda ids, **more: passed.append(ids.numel()) or inner(ids, **more))
    shared = tuple(range(10))
    likelihoods(model, [[Continuation(shared, (1,)), Continuation(shared, (2, 3, 4)), Continuation(shared, (2, 5))]])
    assert passed == [10 + 0 + 2 + 1]


def test_progress_counts_groups():
    done = []
    likelihoods(loud("gpt"), groups(), portion_tokens=20, tick=done.append)
    assert done == list(range(1, len(groups()) + 1))


def test_scores_that_are_not_numbers_are_an_error():
    broken = SimpleNamespace(
        config=SimpleNamespace(context=9, vocab_size=4),
        hidden=lambda ids, cache: torch.zeros(1, ids.numel(), 2),
        scores=lambda x: torch.full((len(x), 4), torch.nan),
    )
    with pytest.raises(UserError, match="aren't finite"):
        likelihoods(broken, [[Continuation((1,), (2,))]])


def test_few_vocabulary_scores_at_once_change_nothing(monkeypatch):
    model = loud("llama")
    whole = likelihoods(model, groups())
    monkeypatch.setattr(likelihood, "CHUNK_SCORES", 1)
    assert [[one.said for one in some] for some in likelihoods(model, groups())] == [
        [one.said for one in some] for some in whole
    ]
