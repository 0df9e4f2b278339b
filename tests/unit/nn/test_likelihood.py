"""The likelihoods of single targets and their gradients are those of plain torch, whatever the chunks."""

import pytest
import torch

from lexloom.nn.likelihood import target_nats
from lexloom.nn.loss import vocabulary_loss

SHAPES = {"one chunk": 100, "several chunks": 3, "one target a chunk": 1}


def inputs(targets, *, dtype=torch.float64):
    rng = torch.Generator().manual_seed(0)
    x_SD = torch.randn(targets, 5, generator=rng, dtype=dtype, requires_grad=True)
    weight_VD = torch.randn(11, 5, generator=rng, dtype=dtype, requires_grad=True)
    return (
        x_SD,
        weight_VD,
        torch.randint(0, 11, (targets,), generator=rng),
        torch.randn(targets, generator=rng).to(dtype),
    )


@pytest.mark.parametrize("chunk", SHAPES.values(), ids=SHAPES)
def test_targets_cost_what_they_cost_in_plain_torch(chunk):
    x_SD, weight_VD, targets_S, weights_S = inputs(7)
    plain_S = torch.nn.functional.cross_entropy(x_SD @ weight_VD.t(), targets_S, reduction="none")
    ours_S = target_nats(x_SD, weight_VD, targets_S, chunk_targets=chunk)
    torch.testing.assert_close(ours_S, plain_S)
    for ours, plain in zip(
        torch.autograd.grad((weights_S * ours_S).sum(), (x_SD, weight_VD)),
        torch.autograd.grad((weights_S * plain_S).sum(), (x_SD, weight_VD)),
        strict=True,
    ):
        torch.testing.assert_close(ours, plain)


def test_their_sum_is_the_loss_of_the_vocabulary():
    x_SD, weight_VD, targets_S, _ = inputs(9, dtype=torch.float32)
    total = vocabulary_loss(x_SD, weight_VD, targets_S)
    torch.testing.assert_close(target_nats(x_SD, weight_VD, targets_S).sum(), total)


def test_a_frozen_head_gets_no_gradient():
    x_SD, weight_VD, targets_S, _ = inputs(4)
    weight_VD.requires_grad_(False)
    target_nats(x_SD, weight_VD, targets_S).sum().backward()
    assert weight_VD.grad is None
    assert x_SD.grad.abs().sum() > 0


def test_no_target_costs_nothing():
    x_SD, weight_VD, targets_S, _ = inputs(0)
    nats_S = target_nats(x_SD, weight_VD, targets_S)
    assert nats_S.shape == (0,)
    assert not torch.autograd.grad(nats_S.sum(), weight_VD)[0].any()
