"""Texts that share a beginning are read together as if each were alone."""

import pytest
import torch

from lexloom.models import new_model
from lexloom.models.gpt import Config as GptConfig
from lexloom.models.llama import Config as LlamaConfig
from lexloom.nn.forks import Fork, Forks

MODELS = {
    "gpt": GptConfig(vocab_size=50, width=32, layers=2, heads=4, context=64),
    "llama": LlamaConfig(
        vocab_size=50, width=32, layers=2, heads=4, kv_heads=2, head_width=8, ffn_width=48, context=64
    ),
}


@pytest.mark.parametrize("family", MODELS)
@torch.inference_mode()
def test_every_branch_is_read_as_if_it_were_alone(family):
    model = new_model(family, MODELS[family], seed=1).eval()
    ids = torch.arange(29) * 7 % 50
    forks = [Fork(5, (3, 0, 4)), Fork(0, (2, 6)), Fork(4, ()), Fork(3, (2,))]
    assert sum(fork.tokens for fork in forks) == len(ids)
    x_TD = model.hidden(ids[None], cache=Forks(forks, ids.device))[0]
    start = 0
    for fork in forks:
        trunk = list(range(start, start + fork.trunk))
        branch_start = start + fork.trunk
        for length in fork.branches or (0,):
            own = trunk + list(range(branch_start, branch_start + length))
            if own:
                alone = model.hidden(ids[own][None])[0]
                torch.testing.assert_close(x_TD[own], alone, atol=1e-5, rtol=1e-5)
            branch_start += length
        start += fork.tokens


def test_a_row_that_was_not_described_is_refused():
    with pytest.raises(AssertionError, match="forks of 6 tokens"):
        Forks([Fork(2, (4,))], torch.device("cpu")).reserve(1, 5)
