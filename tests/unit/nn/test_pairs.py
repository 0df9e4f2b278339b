"""Pairs brought together by the lengths of their sources, and texts by their own."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional

from lexloom.base.rng import generator
from lexloom.nn.attention import attend, reach_of, recorded_attention
from lexloom.nn.pairs import pairs_of, to_stacks, to_targets

CPU = torch.device("cpu")


def random_heads(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_each_query_meets_the_keys_of_its_own_source_and_gradients_go_back():
    rng = generator("stacks")
    for _ in range(20):
        targets, sources = (tuple(rng.integers(1, 6, size=9).tolist()) for _ in range(2))
        pairs = pairs_of(targets, sources, CPU)
        # Every token's number is its value, so that what meets what can be read off
        q_THK = torch.arange(1.0, sum(targets) + 1)[:, None, None].requires_grad_()
        k_SHK = torch.arange(1.0, sum(sources) + 1)[:, None, None].requires_grad_()
        met = [
            q.sum((2, 3))[:, :, None, None] * k.sum((1, 2, 3))[:, None, None, None]
            for q, k, _ in to_stacks(pairs, q_THK, k_SHK, k_SHK)
        ]
        found_T = to_targets(pairs, met).flatten()
        sums = [k.sum() for k in torch.split(k_SHK.detach(), list(sources))]
        expected_T = torch.cat([q.flatten() * k for q, k in zip(torch.split(q_THK, list(targets)), sums, strict=True)])
        assert torch.equal(found_T, expected_T)
        for found, expected in zip(
            torch.autograd.grad(found_T.sum(), (q_THK, k_SHK)),
            (torch.repeat_interleave(torch.stack(sums), torch.tensor(targets)), _sums(q_THK, targets, sources)),
            strict=True,
        ):
            assert torch.equal(found.flatten(), expected)


def _sums(q_THK: torch.Tensor, targets: tuple[int, ...], sources: tuple[int, ...]) -> torch.Tensor:
    each = torch.stack([q.detach().sum() for q in torch.split(q_THK, list(targets))])
    return torch.repeat_interleave(each, torch.tensor(sources))


def test_there_are_as_many_stacks_as_source_lengths_and_only_queries_are_padded():
    pairs = pairs_of((3, 9, 2, 4), (5, 7, 5, 7), CPU)
    assert pairs.stacks == ((2, 3, 5), (2, 9, 7))
    assert len(pairs.places_Q) == 2 * 3 + 2 * 9
    assert sorted(pairs.keys_S.tolist()) == list(range(24))


@pytest.mark.parametrize("causal", [True, False])
def test_scattered_documents_attend_as_each_alone(causal):
    """Few lengths, each all over the batch; fewer key heads than query heads."""
    runs = generator("scattered").integers(2, 5, size=40).tolist()
    tokens = sum(runs)
    q, k, v = (
        random_heads(1, tokens, 4, 6),
        random_heads(1, tokens, 2, 6, seed=1),
        random_heads(1, tokens, 2, 6, seed=2),
    )
    with recorded_attention() as layers:
        recorded = attend(q, k, v, reach=reach_of(1, tokens, runs, causal=causal))
    found = attend(q, k, v, reach=reach_of(1, tokens, runs, causal=causal))
    ends = np.cumsum([0, *runs]).tolist()
    for number, (start, end) in enumerate(pairwise(ends)):
        parts = [x[:, start:end].transpose(1, 2) for x in (q, k, v)]
        expected = functional.scaled_dot_product_attention(*parts, is_causal=causal, enable_gqa=True).transpose(1, 2)
        torch.testing.assert_close(found[:, start:end], expected)
        torch.testing.assert_close(recorded[:, start:end], expected)
        assert layers[0][number].shape == (4, end - start, end - start)
