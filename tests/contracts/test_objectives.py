"""One table over all objectives (reliability T10): a newcomer is tested before it writes a test."""

import numpy as np
import pytest
import torch

from lexloom.base.rng import generator
from lexloom.data.masking import MaskingSettings
from lexloom.nn.source import source_of
from lexloom.objectives import OBJECTIVES
from lexloom.objectives.masked import NEXT_WEIGHT, first_tokens
from lexloom.text.tokenizers import with_sentinels
from tests.fakes import FakeDecoder, FakeEncoder, FakeEncoderDecoder, FakeTwoWay, FakeWindows
from tests.small import word_bytes_tokenizer, wordpiece_tokenizer

EMPTY = 3
SPLITS = {"1 × 32": [32], "4 × 8": [8] * 4, "32 × 1": [1] * 32, "uneven": [5, 1, 20, 6]}
VOCAB_SIZE = 64
TOKENIZER = with_sentinels(wordpiece_tokenizer(VOCAB_SIZE - 4), 4)
TOKENIZERS = {"bidirectional": word_bytes_tokenizer()}
MADE = {name: make(MaskingSettings(), TOKENIZERS.get(name, TOKENIZER)) for name, make in OBJECTIVES.items()}
FAKES = {"decoder": FakeDecoder, "encoder": FakeEncoder, "encoder-decoder": FakeEncoderDecoder}

MADE = {name: objective for name, objective in MADE.items() if not objective.in_one_go}

every_objective = pytest.mark.parametrize("objective", MADE.values(), ids=MADE)


def rows(indices):
    return lambda row: generator("test", indices[row])


def model_for(objective):
    if objective.head == "bidirectional":
        return FakeTwoWay(TOKENIZERS["bidirectional"].vocab_size)
    return FAKES[objective.kind](VOCAB_SIZE)


def tensors(batch):
    """What a batch is made of, flattened, so that batches lie behind one another."""
    found = {"ids": batch.ids_BL, "targets": batch.targets, "types": batch.types_BL, "labels": batch.labels_R}
    found |= {"source": batch.source_BL, "runs": batch.runs, "source runs": batch.source_runs}
    found = {name: torch.tensor(part) if isinstance(part, tuple) else part for name, part in found.items()}
    if batch.spots_S is not None:
        found["is a spot"] = torch.zeros(batch.ids_BL.numel()).index_fill(0, batch.spots_S, 1)
    return {name: tensor.flatten() for name, tensor in found.items() if tensor is not None}


@every_objective
def test_same_rows_same_seed_same_batch(objective):
    windows, indices = FakeWindows(), [4, 0, 7]
    one, two = (objective.make_batch(windows, indices, rows(indices)) for _ in range(2))
    assert one.count == two.count > 0
    assert all(torch.equal(one_tensor, tensors(two)[name]) for name, one_tensor in tensors(one).items())


@every_objective
def test_a_row_does_not_depend_on_its_neighbours(objective):
    windows, indices = FakeWindows(), [4, 0, 7]
    together = objective.make_batch(windows, indices, rows(indices))
    alone = [objective.make_batch(windows, [index], rows([index])) for index in indices]
    assert together.count == sum(batch.count for batch in alone)
    for name, tensor in tensors(together).items():
        assert torch.equal(tensor, torch.cat([tensors(batch)[name] for batch in alone])), name


@every_objective
@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
def test_any_split_of_a_batch_gives_the_same_gradient(objective, split):
    windows = FakeWindows(count=32, empty=EMPTY)
    model = model_for(objective).double()
    expected = gradient(objective, model, windows, [list(range(32))])
    ends = np.cumsum(split)
    parts = [list(range(end - size, end)) for size, end in zip(split, ends, strict=True)]
    found = gradient(objective, model, windows, parts)
    assert max(float((a - b).abs().max()) for a, b in zip(found, expected, strict=True)) < 1e-10


@every_objective
def test_a_batch_without_targets_counts_nothing_and_stays_finite(objective):
    model, windows = model_for(objective), FakeWindows(empty=EMPTY)
    loss = objective.loss(model, objective.make_batch(windows, [EMPTY, EMPTY], rows([EMPTY, EMPTY])))
    assert (loss.count, float(loss.sum.detach())) == (0, 0.0)
    gradients = torch.autograd.grad(loss.sum, list(model.parameters()), materialize_grads=True)
    assert all(torch.equal(gradient, torch.zeros_like(gradient)) for gradient in gradients)


@every_objective
def test_the_loss_is_the_cross_entropy_of_the_targets(objective):
    model, windows, indices = model_for(objective).double(), FakeWindows(empty=EMPTY), [1, EMPTY, 2]
    batch = objective.make_batch(windows, indices, rows(indices))
    loss = objective.loss(model, batch)
    inputs = {} if batch.types_BL is None else {"types_BL": batch.types_BL}
    if batch.source_BL is not None:
        states_BLD = model.encode(batch.source_BL, runs=batch.source_runs)
        inputs["source"] = source_of(states_BLD, batch.source_runs)
    x_TD = model.hidden(batch.ids_BL, runs=batch.runs, **inputs).flatten(0, 1)
    scores_SV = model.scores(x_TD if batch.spots_S is None else x_TD[batch.spots_S])
    targets_N = batch.targets.flatten()
    expected = torch.nn.functional.cross_entropy(scores_SV.reshape(len(targets_N), -1), targets_N, reduction="sum")
    if objective.head == "pretraining":
        next_scores_R2 = model.next_scores(x_TD[first_tokens(batch)])
        wrong = torch.nn.functional.cross_entropy(next_scores_R2, batch.labels_R, reduction="sum")
        expected = expected + NEXT_WEIGHT * wrong
    torch.testing.assert_close(loss.sum, expected)
    assert loss.count == int((batch.targets != -100).sum())


@every_objective
@pytest.mark.parametrize("context", [16, 33, 64])
def test_the_longest_window_fits_the_context(objective, context):
    windows = FakeWindows(context=objective.window_tokens(context))
    for index in range(20):
        batch = objective.make_batch(windows, [index], rows([index]))
        lengths = [*(batch.runs or (batch.ids_BL.shape[1],)), *(batch.source_runs or ())]
        assert max(lengths) <= context


def gradient(objective, model, windows, parts):
    """The mean gradient over all parts, from sums and counts."""
    parameters = list(model.parameters())
    totals, count = [torch.zeros_like(parameter) for parameter in parameters], 0
    for indices in parts:
        loss = objective.loss(model, objective.make_batch(windows, indices, rows(indices)))
        parts_of = torch.autograd.grad(loss.sum, parameters, materialize_grads=True)
        for total, part in zip(totals, parts_of, strict=True):
            total += part
        count += loss.count
    return [total / count for total in totals]
