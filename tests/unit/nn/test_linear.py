import pytest
import torch

from lexloom.nn.linear import ENGINES, Linear, add_product_, product, use_engine

TOLERANCE = {"torch": 1e-6, "numpy": 1e-5, "bfloat16": 0.05}


@pytest.fixture(params=list(ENGINES))
def engine(request):
    use_engine(request.param)
    yield request.param
    use_engine("torch")


def made(dtype=torch.float32, bias=True):
    layer = Linear(7, 3, 2, bias=bias).to(dtype)
    generator = torch.Generator().manual_seed(1)
    for parameter in layer.parameters():
        parameter.data.normal_(generator=generator)
    x = torch.randn(2, 4, 7, generator=generator).to(dtype).requires_grad_()
    return layer, x


def everything(layer, x):
    y = layer(x)
    return [y, *torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])]


@pytest.mark.parametrize("bias", [True, False])
def test_every_engine_gives_the_values_and_gradients_of_torch(engine, bias):
    layer, x = made(bias=bias)
    found = everything(layer, x)
    use_engine("torch")
    for ours, expected in zip(found, everything(layer, x), strict=True):
        assert (ours - expected).abs().max() <= TOLERANCE[engine] * expected.abs().max()


def test_products_for_hand_written_gradients(engine):
    a, b = torch.randn(3, 5), torch.randn(4, 5)
    expected = a @ b.t()
    total = torch.ones(3, 4)
    add_product_(total, a, b.t())
    for ours in (product(a, b.t()), total - 1):
        assert (ours - expected).abs().max() <= TOLERANCE[engine] * expected.abs().max()


def test_double_precision_is_never_rounded(engine):
    layer, x = made(torch.float64)
    assert torch.equal(layer(x), torch.nn.functional.linear(x, layer.weight, layer.bias))
    assert torch.autograd.gradcheck(layer, (x,))


def test_gradient_that_comes_in_as_a_view_is_right(engine):
    layer, x = made()
    [grad] = torch.autograd.grad(layer(x).transpose(0, 1).sum(), [layer.weight])
    expected = x.sum((0, 1)).expand(5, 7)
    assert (grad - expected).abs().max() <= TOLERANCE[engine] * expected.abs().max()
