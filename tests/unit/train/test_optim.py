import pytest
import torch
from torch import nn

from lexloom.base.errors import DamagedError
from lexloom.nn.linear import Linear
from lexloom.train.muon import newton_schulz, orthogonalised
from lexloom.train.optim import OPTIMIZERS, Optimizer, kinds_of
from lexloom.train.settings import TrainSettings
from tests.fakes import FakeDecoder

REFERENCES = {
    "adamw": lambda groups: torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.95), fused=True),
}


def random_gradients(model, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return [torch.randn(parameter.shape, generator=rng) for parameter in model.parameters()]


def settings_of(optimizer, **values):
    return TrainSettings(**{"optimizer": optimizer, "lr": 0.01, "weight_decay": 0.1, **values})


def test_adamw_gives_the_bits_of_torch():
    ours, theirs = FakeDecoder(), FakeDecoder()
    optimizer = Optimizer(ours, settings_of("adamw"))
    decayed = [parameter for parameter in theirs.parameters() if parameter.dim() > 1]
    plain = [parameter for parameter in theirs.parameters() if parameter.dim() == 1]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}]
    reference = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.95), fused=True)
    for step in range(5):
        share = 1 / (step + 1)
        for group in reference.param_groups:
            group["lr"] = 0.01 * share
        for parameter, gradient in zip(theirs.parameters(), random_gradients(theirs, step), strict=True):
            parameter.grad = gradient
        reference.step()
        optimizer.step(random_gradients(ours, step), share)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_sgd_equals_torch_without_decay():
    ours, theirs = FakeDecoder(), FakeDecoder()
    optimizer = Optimizer(ours, settings_of("sgd", weight_decay=0.0, momentum=0.9))
    reference = torch.optim.SGD(theirs.parameters(), lr=0.01, momentum=0.9)
    for step in range(4):
        for parameter, gradient in zip(theirs.parameters(), random_gradients(theirs, step), strict=True):
            parameter.grad = gradient
        reference.step()
        optimizer.step(random_gradients(ours, step), 1.0)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_decay_reaches_matrices_only(name):
    model = FakeDecoder()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    zeros = [torch.zeros_like(parameter) for parameter in model.parameters()]
    Optimizer(model, settings_of(name, muon_lr=0.01)).step(zeros, 1.0)
    for key, parameter in model.named_parameters():
        expected = before[key] * (1 - 0.01 * 0.1) if parameter.dim() > 1 else before[key]
        torch.testing.assert_close(parameter.detach(), expected)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_restored_optimizer_goes_on_with_the_same_bits(name):
    one, two = FakeDecoder(), FakeDecoder()
    first, second = Optimizer(one, settings_of(name)), Optimizer(two, settings_of(name))
    for step in range(3):
        first.step(random_gradients(one, step), 1.0)
    two.load_state_dict(one.state_dict())
    second.load_state({key: tensor.clone() for key, tensor in first.state().items()}, where="test")
    for optimizer, model in ((first, one), (second, two)):
        optimizer.step(random_gradients(model, 9), 0.5)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert all(torch.equal(tensor, second.state()[key]) for key, tensor in first.state().items())


@pytest.mark.parametrize("change", ["missing", "extra", "misshapen"])
def test_state_that_does_not_fit_is_named(change):
    optimizer = Optimizer(FakeDecoder(), settings_of("adamw"))
    tensors = dict(optimizer.state())
    if change == "missing":
        del tensors["norm.weight/first"]
    elif change == "extra":
        tensors["other/first"] = torch.zeros(1)
    else:
        tensors["norm.weight/first"] = torch.zeros(3)
    with pytest.raises(DamagedError, match=r"other/first|norm\.weight/first"):
        optimizer.load_state(tensors, where="checkpoint")


def test_parameters_are_sorted_by_what_they_do():
    kinds = kinds_of(FakeDecoder())
    assert list(kinds.matrices) == ["inner.weight"]
    assert list(kinds.tables) == ["embedding.weight"]
    assert list(kinds.vectors) == ["inner.bias", "norm.weight", "norm.bias"]


def test_stacked_matrices_are_known_by_their_parts():
    model = nn.Sequential(Linear(8, 8, 4, 4, bias=False))
    assert kinds_of(model).parts == ((8, 4, 4),)


@pytest.mark.parametrize("shape", [(24, 24), (24, 96), (96, 24), (7, 31)])
def test_an_orthogonalised_matrix_has_singular_values_near_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    (result,) = orthogonalised([matrix], [(shape[0],)])
    scale = max(1.0, shape[0] / shape[1]) ** 0.5
    values = torch.linalg.svdvals(result) / scale
    assert values.min() > 0.5
    assert values.max() < 1.3
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    assert torch.nn.functional.cosine_similarity(result.flatten(), (left @ right).flatten(), dim=0) > 0.95


def test_the_gram_matrix_is_a_short_cut_not_another_result():
    wide = torch.randn(3, 16, 64, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    plain = wide / wide.norm(dim=(1, 2), keepdim=True)
    for _ in range(5):
        gram = plain @ plain.mT
        plain = 3.4445 * plain + (-4.7750 * gram + 2.0315 * gram @ gram) @ plain
    torch.testing.assert_close(newton_schulz(wide), plain, atol=1e-6, rtol=1e-5)


def test_each_part_of_a_stack_is_orthogonalised_by_itself():
    rng = torch.Generator().manual_seed(2)
    top, bottom = torch.randn(8, 16, generator=rng), torch.randn(4, 16, generator=rng)
    (stacked,) = orthogonalised([torch.cat([top, bottom])], [(8, 4)])
    alone = orthogonalised([top, bottom], [(8,), (4,)])
    torch.testing.assert_close(stacked, torch.cat(alone))
