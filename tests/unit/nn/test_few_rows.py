"""Products with few rows are the same numbers, from whichever layout."""

import pytest
import torch
from threadpoolctl import threadpool_info

from lexloom.nn.few_rows import FEW_ROWS, are_few_rows, few_rows_linear, lay_out_for_few_rows, one_thread
from lexloom.nn.linear import Linear


def filled(inputs, outputs, *, bias=True):
    layer = Linear(inputs, outputs, bias=bias)
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(generator=rng)
    return layer


@pytest.mark.parametrize("outputs", [7, 24, 65])
@pytest.mark.parametrize("shape", [(24,), (1, 24), (1, 1, 24), (2, 24), (32, 24), (2, 4, 24), (8, 1, 24)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("laid_out", [True, False])
def test_few_rows_give_the_product_of_torch(outputs, shape, bias, laid_out):
    layer = filled(24, outputs, bias=bias)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    expected = torch.nn.functional.linear(x, layer.weight, layer.bias).detach()
    if laid_out:
        lay_out_for_few_rows(layer)
    with torch.no_grad():
        assert are_few_rows(x)
        assert torch.allclose(few_rows_linear(x, layer.weight, layer.bias), expected, atol=1e-5)
        assert torch.allclose(layer(x), expected, atol=1e-5)
    with torch.inference_mode():
        assert torch.allclose(layer(x), expected, atol=1e-5)


def test_only_few_rows_without_gradient_on_a_cpu_in_float32_take_the_short_way():
    x = torch.ones(FEW_ROWS, 4)
    assert not are_few_rows(x)
    with torch.no_grad():
        assert are_few_rows(x)
        assert not are_few_rows(x.double())
        assert not are_few_rows(torch.ones(FEW_ROWS + 1, 4))
        assert not are_few_rows(torch.ones(1, 4, device="meta"))


def test_the_layout_keeps_shapes_values_and_the_parameters_themselves():
    layer = filled(8, 24)
    weight, before = layer.weight, layer.weight.detach().clone()
    lay_out_for_few_rows(layer)
    lay_out_for_few_rows(layer)
    assert layer.weight is weight
    assert torch.equal(weight, before)
    assert weight.stride() == (1, 24)


def test_one_thread_is_for_the_block_only():
    threads, pools = torch.get_num_threads(), threadpool_info()
    torch.set_num_threads(2)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
            assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert threadpool_info() == pools
