"""T5's relative positions: the same buckets as the published code, alone, packed and over a cache."""

import pytest
import torch
from transformers.models.t5.modeling_t5 import T5Attention

from lexloom.nn.relative import RelativeBias


def new_bias(*, both: bool, buckets: int = 32, furthest: int = 128) -> RelativeBias:
    bias = RelativeBias(buckets, 3, furthest=furthest, both=both)
    with torch.no_grad():
        bias.weight.normal_(generator=torch.Generator().manual_seed(0))
    return bias


@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize(("buckets", "furthest"), [(32, 128), (8, 16), (12, 20)])
def test_distances_fall_into_the_buckets_of_the_published_code(both, buckets, furthest):
    distances = torch.arange(-700, 701)
    expected = T5Attention._relative_position_bucket(distances, both, buckets, furthest)
    assert torch.equal(new_bias(both=both, buckets=buckets, furthest=furthest).bucket(distances), expected)


@pytest.mark.parametrize("both", [True, False])
def test_a_square_holds_each_distance_s_bias_and_hides_what_is_behind_a_decoder_s_token(both):
    bias = new_bias(both=both)
    square_HLL = bias.square(7)
    for query in range(7):
        for key in range(7):
            if key > query and not both:
                assert (square_HLL[:, query, key] == -torch.inf).all()
            else:
                expected_H = bias.weight[bias.bucket(torch.tensor(key - query))]
                assert torch.equal(square_HLL[:, query, key], expected_H)


def test_over_a_cache_the_bias_is_that_of_the_whole_text():
    bias = new_bias(both=False)
    positions_BL = torch.tensor([[4, 5], [2, 3]])
    seen_B1LN = (torch.arange(6) <= positions_BL[:, :, None])[:, None]
    over_BHLN = bias.over_cache(positions_BL, 6, seen_B1LN)
    square_HLL = bias.square(6)
    assert torch.equal(over_BHLN[0], square_HLL[:, 4:6])
    assert torch.equal(over_BHLN[1], square_HLL[:, 2:4])
