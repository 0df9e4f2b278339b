import pytest
import torch
from torch.nn import functional

from lexloom.nn.layers import GatedMLP, RMSNorm

EPSILON = 1e-5


def new_norm(width: int) -> RMSNorm:
    norm = RMSNorm(width, EPSILON).double()
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(-1.0, 2.0, width))
    return norm


@pytest.mark.parametrize("shape", [(7, 12), (2, 3, 4, 6), (1, 1)])
def test_rms_norm_is_torchs_in_value_and_gradient(shape):
    norm = new_norm(shape[-1])
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    grad = torch.randn(shape, dtype=torch.float64)
    expected = functional.rms_norm(x, shape[-1:], norm.weight, EPSILON)
    torch.testing.assert_close(norm(x), expected)
    gradients = [torch.autograd.grad(y, (x, norm.weight), grad) for y in (expected, norm(x))]
    torch.testing.assert_close(gradients[1], gradients[0])


def test_rms_norm_takes_slices_of_a_larger_tensor():
    norm = new_norm(4)
    whole = torch.randn(3, 5, 12, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: norm(x[..., 2:6]), whole)


def test_rms_norm_of_zeros_is_finite():
    norm = RMSNorm(4, EPSILON)
    torch.nn.init.ones_(norm.weight)
    x = torch.zeros(2, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(norm(x).sum(), x)
    assert torch.equal(norm(x), torch.zeros(2, 4))
    assert torch.isfinite(gradient).all()


def test_a_gated_layer_is_its_formula_in_value_and_gradient():
    mlp = GatedMLP(4, 6).double()
    with torch.no_grad():
        for parameter in mlp.parameters():
            parameter.copy_(torch.randn(parameter.shape, dtype=torch.float64))
    x = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    gate, up = functional.linear(x, mlp.gate_up.weight).chunk(2, dim=-1)
    torch.testing.assert_close(mlp(x), functional.linear(functional.silu(gate) * up, mlp.down.weight))
    assert torch.autograd.gradcheck(mlp, x)
