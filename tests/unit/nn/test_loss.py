import pytest
import torch
from torch.nn import functional

from lexloom.nn.loss import IGNORE, vocabulary_loss

TOKENS, WIDTH, VOCAB_SIZE = 37, 6, 23


@pytest.fixture
def problem():
    rng = torch.Generator().manual_seed(0)
    x_TD = torch.randn(TOKENS, WIDTH, generator=rng, dtype=torch.float64, requires_grad=True)
    weight_VD = torch.randn(VOCAB_SIZE, WIDTH, generator=rng, dtype=torch.float64, requires_grad=True)
    targets_T = torch.randint(0, VOCAB_SIZE, (TOKENS,), generator=rng)
    targets_T[::5] = IGNORE
    return x_TD, weight_VD, targets_T


@pytest.mark.parametrize("chunk_tokens", [1, 7, 30, 1000, None])
@pytest.mark.parametrize("ignored", [True, False])
def test_equals_torch_cross_entropy_in_value_and_gradient(problem, chunk_tokens, ignored):
    x_TD, weight_VD, targets_T = problem
    targets_T = targets_T if ignored else targets_T.clamp_min(0)
    expected = functional.cross_entropy(x_TD @ weight_VD.t(), targets_T, reduction="sum", ignore_index=IGNORE)
    found = vocabulary_loss(x_TD, weight_VD, targets_T, chunk_tokens=chunk_tokens)
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(0.3 * loss, (x_TD, weight_VD)) for loss in (expected, found)]
    torch.testing.assert_close(gradients[1], gradients[0])


@pytest.mark.parametrize("chunk_tokens", [7, None])
def test_smoothed_targets_equal_torch_s_in_value_and_gradient(problem, chunk_tokens):
    x_TD, weight_VD, targets_T = problem
    scores_TV = x_TD @ weight_VD.t()
    expected = functional.cross_entropy(scores_TV, targets_T, reduction="sum", ignore_index=IGNORE, label_smoothing=0.1)
    found = vocabulary_loss(x_TD, weight_VD, targets_T, smoothing=0.1, chunk_tokens=chunk_tokens)
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(loss, (x_TD, weight_VD)) for loss in (expected, found)]
    torch.testing.assert_close(gradients[1], gradients[0])


def test_gradient_is_the_derivative_of_the_value(problem):
    x_TD, weight_VD, targets_T = problem
    assert torch.autograd.gradcheck(lambda x, w: vocabulary_loss(x, w, targets_T, chunk_tokens=5), (x_TD, weight_VD))


def test_an_all_ignored_batch_costs_nothing_and_moves_nothing(problem):
    x_TD, weight_VD, targets_T = problem
    loss = vocabulary_loss(x_TD, weight_VD, torch.full_like(targets_T, IGNORE))
    gradients = torch.autograd.grad(loss, (x_TD, weight_VD))
    assert loss == 0
    assert all((gradient == 0).all() for gradient in gradients)


def test_only_the_gradients_that_are_needed_are_computed(problem):
    x_TD, weight_VD, targets_T = problem
    with torch.no_grad():
        assert not vocabulary_loss(x_TD, weight_VD, targets_T).requires_grad
    (x_grad,) = torch.autograd.grad(vocabulary_loss(x_TD, weight_VD.detach(), targets_T), x_TD)
    (weight_grad,) = torch.autograd.grad(vocabulary_loss(x_TD.detach(), weight_VD, targets_T), weight_VD)
    both = torch.autograd.grad(vocabulary_loss(x_TD, weight_VD, targets_T), (x_TD, weight_VD))
    torch.testing.assert_close((x_grad, weight_grad), both)


def test_improbable_targets_give_large_but_finite_losses():
    x_TD = torch.tensor([[200.0]], requires_grad=True)
    weight_VD = torch.tensor([[1.0], [-1.0]], requires_grad=True)
    loss = vocabulary_loss(x_TD, weight_VD, torch.tensor([1]))
    assert loss == 400.0
    assert all(torch.isfinite(gradient).all() for gradient in torch.autograd.grad(loss, (x_TD, weight_VD)))


def test_the_sum_is_float32_or_better(problem):
    x_TD, weight_VD, targets_T = problem
    assert vocabulary_loss(x_TD.float(), weight_VD.float(), targets_T).dtype == torch.float32
    assert vocabulary_loss(x_TD, weight_VD, targets_T).dtype == torch.float64


def test_no_full_table_of_scores_is_ever_held():
    """torch's own account of every allocation in the forward and backward pass."""
    tokens, vocab_size, chunk_tokens = 1024, 2048, 64
    x_TD = torch.randn(tokens, 8, requires_grad=True)
    weight_VD = torch.randn(vocab_size, 8, requires_grad=True)
    targets_T = torch.randint(0, vocab_size, (tokens,))
    with torch.profiler.profile(profile_memory=True, activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        vocabulary_loss(x_TD, weight_VD, targets_T, chunk_tokens=chunk_tokens).backward()
    largest_bytes = max(event.cpu_memory_usage for event in profile.events() if event.name == "aten::empty")
    largest_bytes = max(largest_bytes, *(event.cpu_memory_usage for event in profile.events() if "mm" in event.name))
    assert chunk_tokens * vocab_size * 4 <= largest_bytes < 4 * chunk_tokens * vocab_size * 4


@pytest.mark.parametrize("chunk_tokens", [1, 7, 1000])
def test_a_bias_is_added_to_the_scores_and_has_its_gradient(problem, chunk_tokens):
    x_TD, weight_VD, targets_T = problem
    bias_V = torch.randn(VOCAB_SIZE, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()
    expected = functional.cross_entropy(x_TD @ weight_VD.t() + bias_V, targets_T, reduction="sum", ignore_index=IGNORE)
    found = vocabulary_loss(x_TD, weight_VD, targets_T, bias=bias_V, chunk_tokens=chunk_tokens)
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(0.3 * loss, (x_TD, weight_VD, bias_V)) for loss in (expected, found)]
    torch.testing.assert_close(gradients[1], gradients[0])


def test_the_bias_alone_may_be_what_learns(problem):
    x_TD, weight_VD, targets_T = problem
    bias_V = torch.zeros(VOCAB_SIZE, dtype=torch.float64, requires_grad=True)
    loss = vocabulary_loss(x_TD.detach(), weight_VD.detach(), targets_T, bias=bias_V)
    (gradient,) = torch.autograd.grad(loss, bias_V)
    assert gradient.abs().sum() > 0
    assert float(gradient.sum()) == pytest.approx(0, abs=1e-9)
