"""The losses against their definitions."""

import math

import pytest
import torch
from torch.nn import functional

from lexloom.tasks.contract import Weighing
from lexloom.tasks.losses import balanced_weights, classes, group_log_softmax, group_means, places, squares, yes_or_no

NAN = math.nan


def test_weights_and_smoothing_are_torch_s():
    scores, targets = torch.randn(5, 3), torch.tensor([0, 2, -100, 1, 2])
    weights = torch.tensor([0.5, 1.0, 2.0])
    loss = classes(scores, targets, Weighing(weights, 0.1))
    expected = functional.cross_entropy(scores, targets, weight=weights, reduction="sum", label_smoothing=0.1)
    assert loss.count == 4
    torch.testing.assert_close(loss.sum, expected)


def test_several_labels_cost_the_mean_over_columns_and_unknown_rows_nothing():
    scores = torch.randn(3, 2)
    targets = torch.tensor([[1.0, 0.0], [NAN, NAN], [0.0, 0.0]])
    loss = yes_or_no(scores, targets, Weighing())
    kept = [0, 2]
    expected = functional.binary_cross_entropy_with_logits(scores[kept], targets[kept], reduction="sum") / 2
    assert loss.count == 2
    torch.testing.assert_close(loss.sum, expected)


def test_squares_leave_out_what_is_unknown():
    loss = squares(torch.tensor([1.0, 5.0, 2.0]), torch.tensor([3.0, NAN, 2.0]))
    assert (float(loss.sum), loss.count) == (4.0, 1 + 1)


def test_groups_are_normalised_each_by_itself():
    scores, groups = torch.randn(7, 2), torch.tensor([0, 0, 0, 1, 2, 2, 2])
    expected = torch.cat([part.log_softmax(0) for part in scores.split([3, 1, 3])])
    torch.testing.assert_close(group_log_softmax(scores, groups), expected)


def test_the_gradient_through_groups_of_unequal_length_is_finite_and_right():
    scores, groups = torch.randn(4, 1, dtype=torch.float64, requires_grad=True), torch.tensor([0, 0, 0, 1])
    assert torch.autograd.gradcheck(lambda x: group_log_softmax(x, groups), (scores,))


def test_places_are_the_cross_entropy_over_each_group():
    scores, groups = torch.randn(5, 2), torch.tensor([0, 0, 0, 1, 1])
    targets = torch.tensor([[1, 2], [-100, -100]])
    loss = places(scores, groups, targets, Weighing())
    expected = -(scores[:3, 0].log_softmax(0)[1] + scores[:3, 1].log_softmax(0)[2]) / 2
    assert loss.count == 1
    torch.testing.assert_close(loss.sum, expected)


def test_smoothing_of_places_is_that_of_classes():
    scores = torch.randn(3, 4)
    smooth = Weighing(smoothing=0.2)
    grouped = places(scores.reshape(12, 1), torch.arange(3).repeat_interleave(4), torch.tensor([[1], [6], [8]]), smooth)
    torch.testing.assert_close(grouped.sum, classes(scores, torch.tensor([1, 2, 0]), smooth).sum)


def test_means_of_groups():
    x, groups = torch.tensor([[1.0], [3.0], [5.0]]), torch.tensor([0, 0, 1])
    assert group_means(x, groups).tolist() == [[2.0], [5.0]]


def test_balanced_weights_are_scikit_learn_s_and_have_mean_1():
    targets = torch.tensor([0, 0, 0, 1, -100])
    assert balanced_weights(targets, 2).tolist() == pytest.approx([4 / 6, 2.0])
    assert float(balanced_weights(targets, 2)[targets[:4]].mean()) == pytest.approx(1.0)


def test_a_label_that_never_occurs_weighs_as_the_rarest_that_does():
    assert balanced_weights(torch.tensor([0, 0, 0, 1]), 3).tolist() == pytest.approx([4 / 6, 2.0, 2.0])
    assert balanced_weights(torch.tensor([-100]), 2).tolist() == [1.0, 1.0]


def test_several_labels_are_balanced_by_their_counts():
    targets = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0], [NAN, NAN]])
    assert balanced_weights(targets, 2).tolist() == pytest.approx([4 / 6, 2.0])
