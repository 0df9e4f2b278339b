from dataclasses import replace

import pytest
import torch

from lexloom.models import new_model, t5
from lexloom.models.bert import Config
from lexloom.train.finetuning import FinetuneSettings
from lexloom.train.layers import choose_trained, depths_of, layer_rates
from lexloom.train.optim import Optimizer


def bert():
    shape = {"vocab_size": 30, "width": 16, "layers": 3, "heads": 2, "ffn_width": 32, "context": 16}
    return new_model("bert", Config(**shape, head="sequence", labels=2, dropout=0.0, attention_dropout=0.0), seed=0)


def test_layers_are_counted_from_the_embeddings_to_the_head():
    depths = depths_of(bert())
    assert {depths[name] for name in ("tokens.weight", "positions.weight", "norm.bias")} == {0}
    assert [depths[f"blocks.{layer}.mlp.up.weight"] for layer in range(3)] == [1, 2, 3]
    assert {depths[name] for name in ("pooler.weight", "score.weight")} == {4}


def test_layers_of_an_encoder_decoder_are_counted_through_both():
    model = new_model("t5", replace(t5.PRESETS["toy"], decoder_layers=3), seed=0)
    depths = depths_of(model)
    assert [depths[f"encoder.{layer}.attention.qkv.weight"] for layer in range(2)] == [1, 2]
    assert [depths[f"decoder.{layer}.source_attention.kv.weight"] for layer in range(3)] == [3, 4, 5]
    assert [depths[name] for name in ("tokens.weight", "encoder_norm.weight", "decoder_norm.weight")] == [0, 2, 6]


def test_each_layer_learns_at_its_own_rate():
    model = bert()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    settings = FinetuneSettings(optimizer="sgd", momentum=0.0, weight_decay=0.0, lr=0.1)
    optimizer = Optimizer(model, settings, layer_rates(model, 0.5))
    assert optimizer.peak_lr == 0.1
    optimizer.step([torch.ones_like(parameter) for parameter in model.parameters()], 1.0)
    for name, share in {"score.weight": 1, "blocks.2.mlp.up.bias": 0.5, "blocks.0.mlp.up.bias": 1 / 8,
                        "tokens.weight": 1 / 16}.items():  # fmt: skip
        moved = before[name] - model.get_parameter(name).detach()
        torch.testing.assert_close(moved, torch.full_like(moved, 0.1 * share), atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_one_rate_for_all_gives_the_bits_of_no_rates(optimizer):
    settings = FinetuneSettings(optimizer=optimizer)
    models = bert(), bert()
    for model, rates in zip(models, (None, layer_rates(models[1], 1.0)), strict=True):
        gradients = [torch.full_like(parameter, 0.1) for parameter in model.parameters()]
        Optimizer(model, settings, rates).step(gradients, 1.0)
    for one, two in zip(*(model.parameters() for model in models), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize(("frozen", "blocks"), [(0, {"0", "1", "2"}), (2, {"2"}), (3, set())])
def test_embeddings_and_the_lowest_blocks_can_be_frozen(frozen, blocks):
    model = bert()
    choose_trained(model, FinetuneSettings(freeze_layers=frozen))
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert {name.split(".")[1] for name in trained if name.startswith("blocks.")} == blocks
    assert {name.split(".")[0] for name in trained} - {"blocks"} == {"pooler", "score"}
    assert list(Optimizer(model, FinetuneSettings()).parameters) == trained


@pytest.mark.parametrize(("layers", "each"), [("attention", 2), ("all", 4)])
def test_low_rank_products_and_the_head_are_what_trains(layers, each):
    model = bert()
    choose_trained(model, FinetuneSettings(lora={"rank": 2, "layers": layers}))
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    products = {name for name in trained if name.endswith((".down", ".up"))}
    assert len(products) == 3 * each * 2
    assert trained - products == {"pooler.weight", "pooler.bias", "score.weight", "score.bias"}
