import pytest
import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb
from transformers.models.marian.modeling_marian import MarianSinusoidalPositionalEmbedding

from lexloom.base.errors import UserError
from lexloom.nn.positions import Rotary, RotaryScaling, Sinusoids, positions_of, rotate

HEAD_WIDTH = 16
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
SCALINGS = [
    ({"rope_type": "default"}, None),
    ({"rope_type": "linear", "factor": 4.0}, RotaryScaling(kind="linear", factor=4.0)),
    (
        {"rope_type": "llama3", **LLAMA3},
        RotaryScaling(kind="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_context=64),
    ),
]


@pytest.mark.parametrize(("theirs", "ours"), SCALINGS, ids=["plain", "linear", "llama3"])
def test_rotation_equals_transformers(theirs, ours):
    config = LlamaConfig(
        hidden_size=2 * HEAD_WIDTH,
        num_attention_heads=2,
        max_position_embeddings=512,
        rope_parameters={"rope_theta": 5000.0, **theirs},
    )
    x_BLHK = torch.randn(1, 300, 2, HEAD_WIDTH, generator=torch.Generator().manual_seed(0))
    cos, sin = LlamaRotaryEmbedding(config)(x_BLHK, torch.arange(300)[None])
    expected, _ = apply_rotary_pos_emb(x_BLHK.transpose(1, 2), x_BLHK.transpose(1, 2), cos, sin)
    found = rotate(x_BLHK, Rotary(HEAD_WIDTH, 5000.0, ours)(torch.arange(300)[None]))
    torch.testing.assert_close(found, expected.transpose(1, 2), atol=1e-5, rtol=1e-5)


def test_the_gradient_of_a_rotation_is_the_rotation_back():
    x_BLHK = torch.randn(2, 5, 3, 4, dtype=torch.float64, requires_grad=True)
    turn = tuple(part.double() for part in Rotary(4, 10000.0, None)(torch.arange(5)[None]))
    assert torch.autograd.gradcheck(lambda x: rotate(x, turn), x_BLHK)


def test_the_table_grows_without_changing():
    rotary = Rotary(8, 10000.0, None)
    early = [part.clone() for part in rotary(torch.arange(3)[None])]
    rotary(torch.tensor([[100]]))
    assert all(torch.equal(a, b) for a, b in zip(early, rotary(torch.arange(3)[None]), strict=True))


def test_positions_restart_with_every_run():
    assert positions_of(torch.zeros(2, 3), None, None).tolist() == [[0, 1, 2]]
    assert positions_of(torch.zeros(2, 3), [2, 1, 3], None).tolist() == [[0, 1, 0], [0, 1, 2]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "yarn"},
        {"factor": 0.5},
        {"factor": float("nan")},
        {"low_freq_factor": 4.0, "high_freq_factor": 4.0},
        {"original_context": 0},
    ],
)
def test_senseless_scalings_are_refused(wrong):
    with pytest.raises(UserError, match="rope_scaling"):
        RotaryScaling(**{"kind": "llama3", "factor": 2.0, **wrong})


def test_sinusoids_are_those_of_marian_at_even_and_odd_widths():
    for width in (8, 9):
        theirs = MarianSinusoidalPositionalEmbedding(50, width).create_weight()
        found = Sinusoids(width)(torch.arange(50)[None])
        assert torch.equal(found[0], theirs)
