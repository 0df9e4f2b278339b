"""Attention in both directions and within windows, against the textbook formula."""

from contextlib import nullcontext
from dataclasses import replace
from itertools import accumulate, pairwise

import pytest
import torch

from lexloom.nn.attention import Reach, attend, reach_of, recorded_attention
from lexloom.nn.dropout import Dropout, seed_dropout

TOLERANCE = 1e-5


def random_qkv(length: int) -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(length)
    return [torch.randn(1, length, 2, 6, generator=rng) for _ in range(3)]


def textbook(q_LHK: torch.Tensor, k_LHK: torch.Tensor, v_LHK: torch.Tensor, window: int | None) -> torch.Tensor:
    scores_HLL = torch.einsum("ihk,jhk->hij", q_LHK, k_LHK) / 6**0.5
    for query in range(len(q_LHK)):
        for key in range(len(q_LHK)):
            if window is not None and abs(query - key) > window:
                scores_HLL[:, query, key] = -torch.inf
    return torch.einsum("hij,jhk->ihk", scores_HLL.softmax(-1), v_LHK)


@pytest.mark.parametrize("window", [None, 1, 2, 7, 100])
@pytest.mark.parametrize("length", [1, 2, 5, 15, 16, 40])
def test_every_token_sees_its_window_on_both_sides(length, window):
    q, k, v = random_qkv(length)
    expected = textbook(q[0], k[0], v[0], window)
    found = attend(q, k, v, reach=Reach(causal=False, window=window))[0]
    assert (found - expected).abs().max() < TOLERANCE


@pytest.mark.parametrize("window", [None, 3])
def test_runs_are_separate_with_and_without_a_recording(window):
    runs = [9, 9, 1, 14, 3]
    q, k, v = random_qkv(sum(runs))
    reach = replace(reach_of(1, sum(runs), runs, causal=False), window=window)
    cuts = pairwise([0, *accumulate(runs)])
    expected = torch.cat([textbook(q[0, a:b], k[0, a:b], v[0, a:b], window) for a, b in cuts])
    assert (attend(q, k, v, reach=reach)[0] - expected).abs().max() < TOLERANCE
    with recorded_attention() as layers:
        assert (attend(q, k, v, reach=reach)[0] - expected).abs().max() < TOLERANCE
    assert [[weights.shape[-1] for weights in layer] for layer in layers] == [runs]


def test_recordings_end_with_their_block_and_after_an_error():
    q, k, v = random_qkv(4)
    recordings = []

    def fail() -> None:
        with recorded_attention() as layers:
            recordings.append(layers)
            attend(q, k, v, reach=Reach(causal=False))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    attend(q, k, v, reach=Reach(causal=False))
    assert len(recordings[0]) == 1


def test_dropout_drops_weights_within_the_window_only():
    q, k, _ = random_qkv(8)
    v = torch.eye(8).view(1, 8, 1, 8).expand(1, 8, 2, 8).contiguous()  # what comes out are the weights themselves
    seed_dropout("test")
    found_LHL = attend(q, k, v, reach=Reach(causal=False, window=2), dropout=Dropout(0.5).train())[0]
    places_L = torch.arange(8)
    far_LL = (places_L[:, None] - places_L).abs() > 2
    assert (found_LHL.transpose(0, 1)[:, far_LL] == 0).all()
    dropped = (found_LHL.transpose(0, 1)[:, ~far_LL] == 0).float().mean()
    assert 0.2 < dropped < 0.8


@pytest.mark.parametrize("reach", [Reach(), Reach(causal=False), Reach(causal=False, window=3)])
def test_dropout_has_the_outputs_and_gradients_of_the_plain_formula(reach):
    """A recording takes the plain way, through autograd's own steps."""
    qkv = [x.requires_grad_() for x in random_qkv(9)]
    dropout = Dropout(0.3).train()
    found = []
    for recording in (nullcontext(), recorded_attention()):
        seed_dropout("test")
        with recording:
            y = attend(*qkv, reach=reach, dropout=dropout)
        found.append([y.detach(), *torch.autograd.grad((y * y).sum(), qkv)])
    assert all(torch.allclose(a, b, atol=TOLERANCE) for a, b in zip(*found, strict=True))
    assert all(x.abs().sum() > 0 for x in found[0])
