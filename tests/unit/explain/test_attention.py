"""Attention maps are the model's own weights, and rollout keeps them shares."""

import numpy as np
import pytest
import torch

from lexloom.explain.attention import attention_maps, head_habits, rollout
from lexloom.explain.explanation import explain
from lexloom.models.folder import load_model
from lexloom.tasks import Piece
from tests.understanding import EXAMPLES, model_for, setting_of, tokenizer

transformers = pytest.importorskip("transformers")


def maps_of(example=EXAMPLES["classify"][0]):
    setting = setting_of("classify")
    return explain(model_for("classify", setting), "classify", example, setting, methods=["attention"]).attention[0]


def test_rows_sum_to_one():
    maps = maps_of()
    assert maps.weights_NHLL.shape[:2] == (2, 4)
    np.testing.assert_allclose(maps.weights_NHLL.sum(axis=-1), 1, atol=1e-5)
    np.testing.assert_allclose(rollout(maps.weights_NHLL).sum(axis=-1), 1, atol=1e-5)
    assert maps.tokens[0] == "[CLS]"
    assert maps.special == (True, *[False] * (len(maps.tokens) - 2), True)


def test_weights_equal_those_of_transformers(tmp_path):
    config = transformers.BertConfig(
        vocab_size=tokenizer().vocab_size, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=64, initializer_range=0.3, attn_implementation="eager",
    )  # fmt: skip
    torch.manual_seed(0)
    reference = transformers.BertModel(config).eval()
    reference.save_pretrained(tmp_path)
    ids = [2, 17, 40, 33, 21, 3]
    with torch.no_grad():
        expected = reference(torch.tensor([ids]), output_attentions=True).attentions
    maps = attention_maps(load_model(tmp_path).model, Piece(ids, [0] * 6, [0]), tokenizer())
    np.testing.assert_allclose(maps.weights_NHLL, torch.stack(expected)[:, 0], atol=1e-5)


def test_rollout_multiplies_layers_with_their_residual_connections():
    one = np.array([[[0.0, 1.0], [0.5, 0.5]]], np.float32)
    two = np.array([[[1.0, 0.0], [0.0, 1.0]]], np.float32)
    np.testing.assert_allclose(rollout(np.stack([one, two])), [[0.5, 0.5], [0.25, 0.75]])
    np.testing.assert_allclose(rollout(np.stack([one, one])), [[0.375, 0.625], [0.3125, 0.6875]])


def test_habits_of_a_head_that_looks_back_are_told():
    maps = maps_of()
    size = len(maps.tokens)
    looking_back = np.zeros_like(maps.weights_NHLL)
    looking_back[..., np.arange(size), np.maximum(np.arange(size) - 1, 0)] = 1
    habits = head_habits(type(maps)(maps.tokens, maps.special, looking_back))
    assert len(habits) == 8
    assert (habits[0].previous, habits[0].next, habits[0].itself, habits[0].spread) == pytest.approx((1, 0, 0, 1))
    assert (habits[-1].layer, habits[-1].head) == (1, 3)
