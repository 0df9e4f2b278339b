import math

import pytest
import torch

from lexloom.base.errors import RunStopped
from lexloom.objectives.causal import CAUSAL
from lexloom.objectives.contract import Loss, Objective
from lexloom.train.course import plan_course
from lexloom.train.loop import Progress, mean_loss, train
from lexloom.train.optim import OPTIMIZERS, Optimizer
from lexloom.train.settings import TrainSettings
from tests.fakes import FakeDecoder, FakeWindows


def start(objective=CAUSAL, model=None, windows=None, **values):
    settings = TrainSettings(**{"context": 8, "batch_tokens": 64, "micro_batch": 3, "lr": 0.02, "steps": 40, **values})
    model = FakeDecoder() if model is None else model
    course = plan_course(objective, FakeWindows() if windows is None else windows, settings, seconds_per_step=0.5)
    return model, course, Optimizer(model, settings)


def weights(model):
    return [parameter.detach().clone() for parameter in model.parameters()]


def same(one, two):
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_learns(name):
    model, course, optimizer = start(optimizer=name, lr=0.5 if name == "sgd" else 0.02)
    reports = list(train(model, course, optimizer))
    assert [report.progress.step for report in reports] == list(range(1, 41))
    assert reports[-1].loss < 0.85 * reports[0].loss
    assert reports[-1].progress.tokens == 40 * 64
    assert all(report.skipped is None and report.grad_norm > 0 and report.seconds > 0 for report in reports)


def test_the_loss_is_the_mean_over_targets_not_over_micro_batches():
    windows = FakeWindows(count=8, empty=0)
    model, course, optimizer = start(windows=windows, steps=1, micro_batch=3)
    expected = mean_loss(model, CAUSAL, windows, course.settings)
    (report,) = train(model, course, optimizer)
    assert report.loss == pytest.approx(expected)


@pytest.mark.parametrize("micro_batch", [1, 2, 5, 8])
def test_the_micro_batch_does_not_change_the_step(micro_batch):
    model, course, optimizer = start(model=FakeDecoder().double(), micro_batch=micro_batch, steps=3)
    reference, whole, other = start(model=FakeDecoder().double(), micro_batch=8, steps=3)
    losses = [report.loss for report in train(model, course, optimizer)]
    assert losses == pytest.approx([report.loss for report in train(reference, whole, other)], abs=1e-12)
    for mine, theirs in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("stop", [1, 7, 20])
def test_going_on_from_any_step_gives_the_same_bits(stop):
    model, course, optimizer = start(model=FakeDecoder(dropout=0.2))
    whole = [report.loss for report in train(model, course, optimizer)]
    first, _, before = start(model=FakeDecoder(dropout=0.2))
    reports = train(first, course, before)
    head = [next(reports) for _ in range(stop)]
    second, _, after = start(model=FakeDecoder(seed=5, dropout=0.2))
    second.load_state_dict(first.state_dict())
    after.load_state(before.state(), where="test")
    torch.rand(3)
    tail = list(train(second, course, after, head[-1].progress))
    assert [report.loss for report in [*head, *tail]] == whole
    assert same(weights(second), weights(model))


def test_clipping_bounds_the_step():
    model, course, optimizer = start(optimizer="sgd", momentum=0.0, weight_decay=0.0, lr=1.0, grad_clip=1e-3, steps=1)
    before = weights(model)
    (report,) = train(model, course, optimizer)
    moved = torch.cat([(a - b).flatten() for a, b in zip(weights(model), before, strict=True)]).norm()
    assert report.grad_norm > 1e-3
    assert float(moved) == pytest.approx(1e-3 * report.lr, rel=1e-3)


BROKEN = {
    "loss nan": lambda loss: loss * math.nan,
    "loss inf": lambda loss: loss + math.inf,
    "loss -inf": lambda loss: loss - math.inf,
}


def poisoned(steps, how):
    """The causal objective, but at these steps (one micro-batch each) something is not finite."""
    calls = iter(range(1, 1000))

    def loss(model, batch):
        right = CAUSAL.loss(model, batch)
        if next(calls) not in steps:
            return right
        if how == "gradient":
            inner = model.inner.weight
            return Loss(right.sum + (inner - inner.detach()).clamp(min=0).sqrt().sum(), right.count)
        return Loss(BROKEN[how](right.sum), right.count)

    return Objective(CAUSAL.make_batch, loss)


@pytest.mark.parametrize("how", [*BROKEN, "gradient"])
@pytest.mark.parametrize("bad", [1, 30])
def test_a_non_finite_step_never_reaches_the_weights(how, bad):
    model, course, optimizer = start(objective=poisoned({bad}, how), micro_batch=8)
    skipped = []
    before = weights(model), [tensor.clone() for tensor in optimizer.state().values()]
    for report in train(model, course, optimizer):
        after = weights(model), [tensor.clone() for tensor in optimizer.state().values()]
        unchanged = same(before[0], after[0]) and same(before[1], after[1])
        assert unchanged == (report.progress.step == bad), "only the bad step leaves everything bit-identical"
        if report.skipped is not None:
            skipped.append(report)
        before = after
    assert [report.progress.step for report in skipped] == [bad]
    assert skipped[0].units == course.chosen(bad - 1)
    if how == "gradient":
        assert skipped[0].skipped == "the gradient of inner.weight is not finite"
        assert math.isfinite(skipped[0].loss)
    else:
        assert str(skipped[0].loss) == how.split()[1]


def test_it_stops_after_so_many_bad_steps_in_a_row():
    model, course, optimizer = start(
        objective=poisoned(set(range(5, 100)), "loss nan"), micro_batch=8, max_skipped_steps=3
    )
    seen = []
    with pytest.raises(RunStopped, match="stopped at step 7: 3 steps in a row"):
        seen.extend(train(model, course, optimizer))


def test_bad_steps_that_do_not_follow_one_another_do_not_stop_it():
    model, course, optimizer = start(
        objective=poisoned({2, 4, 6, 8, 10}, "loss nan"), micro_batch=8, max_skipped_steps=2
    )
    reports = list(train(model, course, optimizer))
    assert sum(report.skipped is not None for report in reports) == 5
    assert reports[-1].progress == Progress(40, 40 * 64, 0)


def test_a_step_without_targets_is_skipped_with_a_reason():
    windows = FakeWindows(count=1, empty=0)
    model, course, optimizer = start(windows=windows, steps=1)
    (report,) = train(model, course, optimizer)
    assert report.skipped == "the batch has no targets"


def test_evaluation_reads_every_window_without_dropout():
    windows = FakeWindows(count=11)
    model, course, _ = start(model=FakeDecoder(dropout=0.5), windows=windows)
    model.train()
    one = mean_loss(model, CAUSAL, windows, course.settings)
    model.eval()
    batch = CAUSAL.make_batch(windows, list(range(11)), lambda row: None)
    loss = CAUSAL.loss(model, batch)
    assert one == pytest.approx(float(loss.sum.detach()) / loss.count)
