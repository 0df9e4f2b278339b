import pytest
import torch
from torch import nn

from lexloom.objectives.causal import CAUSAL
from lexloom.objectives.contract import Loss
from lexloom.train.course import plan_course
from lexloom.train.loop import train
from lexloom.train.optim import Optimizer
from lexloom.train.parallel import gradient_of, replica_pool
from lexloom.train.settings import TrainSettings
from tests.fakes import FakeDecoder, FakeWindows


@pytest.fixture(autouse=True)
def _threads_as_before():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def final_weights(**values):
    settings = TrainSettings(
        **{"context": 8, "batch_tokens": 64, "micro_batch": 1, "lr": 0.02, "steps": 6, "optimizer": "muon", **values}
    )
    model = FakeDecoder()
    list(train(model, plan_course(CAUSAL, FakeWindows(), settings), Optimizer(model, settings)))
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


@pytest.mark.parametrize("replicas", [2, 3, 20])
def test_replicas_take_the_same_steps_as_one(replicas):
    many = final_weights(replicas=replicas)
    torch.testing.assert_close(many, final_weights(), atol=1e-4, rtol=1e-4)
    assert torch.equal(many, final_weights(replicas=replicas)), "the same number of replicas gives the same bits"


def test_an_error_in_a_replica_is_raised():
    def bad():
        raise ValueError("from a thread")

    with pytest.raises(ValueError, match="from a thread"):
        gradient_of([bad, bad], list(FakeDecoder().parameters()), replica_pool(2, 2))


def test_shared_and_expanded_gradients_are_added_once_each():
    one, two = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(3))
    losses = [lambda: Loss((one + two).sum() * 1.0, 1)] * 3
    gradient = gradient_of(losses, [one, two])
    assert [tensor.tolist() for tensor in gradient.tensors] == [[3.0] * 3] * 2
    assert gradient.count == 3
