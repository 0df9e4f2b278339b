"""Products without a gradient are the same numbers, from whichever layout."""

import pytest
import torch
from threadpoolctl import threadpool_info

from lexloom.models import new_model
from lexloom.models.gpt import PRESETS
from lexloom.nn.inference import (
    inference_linear,
    is_inference,
    lay_out_for_few_rows,
    one_thread,
)
from lexloom.nn.linear import PACKED, Linear, pack_for_inference


def filled(inputs, outputs, *, bias=True):
    layer = Linear(inputs, outputs, bias=bias)
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(generator=rng)
    return layer


@pytest.mark.parametrize("outputs", [7, 24, 65])
@pytest.mark.parametrize("shape", [(24,), (1, 24), (1, 1, 24), (2, 24), (32, 24), (2, 4, 24), (8, 1, 24), (300, 24)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("lay_out", [None, lay_out_for_few_rows, pack_for_inference])
def test_products_without_a_gradient_are_those_of_torch(outputs, shape, bias, lay_out):
    layer = filled(24, outputs, bias=bias)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    expected = torch.nn.functional.linear(x, layer.weight, layer.bias).detach()
    if lay_out is not None:
        lay_out(layer)
    with torch.no_grad():
        assert is_inference(x)
        assert torch.allclose(inference_linear(x, layer.weight, layer.bias), expected, atol=1e-5)
        assert torch.allclose(layer(x), expected, atol=1e-5)
    with torch.inference_mode():
        assert torch.allclose(layer(x), expected, atol=1e-5)


def test_only_products_without_gradient_on_a_cpu_in_float32_take_the_short_way():
    x = torch.ones(32, 4)
    assert not is_inference(x)
    with torch.no_grad():
        assert is_inference(x)
        assert not is_inference(x.double())
        assert not is_inference(torch.ones(0, 4))
        assert not is_inference(torch.ones(1, 4, device="meta"))


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


def test_a_packed_weight_is_left_aside_once_the_weight_is_changed():
    layer = filled(8, 24)
    pack_for_inference(layer)
    x = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before = layer(x)
        layer.weight.mul_(2)
        assert torch.allclose(layer(x), torch.nn.functional.linear(x, layer.weight, layer.bias), atol=1e-5)
        assert not torch.allclose(layer(x), before, atol=1e-3)


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("approximate", ["none", "tanh"])
@pytest.mark.parametrize("packed", [True, False])
def test_gelu_of_a_layer_is_that_of_torch_with_and_without_gradient(rows, approximate, packed):
    layer = filled(8, 24)
    x = torch.randn(rows, 8, generator=torch.Generator().manual_seed(1))
    expected = torch.nn.functional.gelu(layer(x), approximate=approximate)
    assert torch.equal(layer.gelu(x, approximate), expected)
    if packed:
        pack_for_inference(layer)
    with torch.inference_mode():
        assert torch.allclose(layer.gelu(x, approximate), expected.detach(), atol=1e-5)


def test_a_head_that_is_the_embedding_is_packed_too_and_scores_the_same():
    model = new_model("gpt", PRESETS["toy"], seed=0).eval()
    x = torch.randn(5, model.config.width, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        plain = model.scores(x)
        pack_for_inference(model)
        assert PACKED in vars(model.head_weight_VD)
        assert torch.allclose(model.scores(x), plain, atol=1e-5)
