import itertools

import pytest

from lexloom.train.schedule import SCHEDULES, lr_share
from lexloom.train.settings import TrainSettings

STEPS = 100


def course(**values):
    settings = TrainSettings(**{"warmup_steps": 10, "final_lr_share": 0.1, **values})
    return [lr_share(step, STEPS, settings) for step in range(STEPS)]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_warms_up_to_the_peak_and_never_leaves_zero_to_one(schedule):
    shares = course(schedule=schedule)
    assert shares[0] == pytest.approx(1 / 11)
    assert shares[10] == 1.0
    assert max(shares) == 1.0
    assert min(shares) > 0
    assert all(later <= earlier for earlier, later in itertools.pairwise(shares[10:]))


def test_a_constant_schedule_stays():
    assert set(course(schedule="constant")[10:]) == {1.0}


@pytest.mark.parametrize("schedule", ["cosine", "linear", "wsd"])
def test_the_final_share_belongs_to_the_step_after_the_last(schedule):
    settings = TrainSettings(schedule=schedule, warmup_steps=10, final_lr_share=0.1)
    assert lr_share(STEPS - 1, STEPS, settings) > 0.1
    assert lr_share(STEPS, STEPS, settings) == pytest.approx(0.1)


def test_half_way_a_cosine_and_a_line_are_half_way_down():
    assert course(schedule="cosine")[55] == pytest.approx(0.55)
    assert course(schedule="linear")[55] == pytest.approx(0.55)


def test_warm_up_stable_decay_is_stable_until_its_share_is_left():
    shares = course(schedule="wsd", decay_share=0.2)
    assert set(shares[10:81]) == {1.0}
    assert shares[85] == pytest.approx(0.1 + 0.9 * (1 - (5 / 20) ** 0.5))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(
    "values", [{"warmup_steps": 0}, {"warmup_steps": 1000}, {"decay_share": 0}, {"decay_share": 1}]
)
def test_edges_do_not_divide_by_zero(schedule, values):
    assert all(0 < share <= 1 for share in course(schedule=schedule, **values))


def test_an_inverse_root_is_half_way_down_at_four_times_the_warm_up():
    shares = course(schedule="inverse_sqrt", final_lr_share=0.0)
    assert shares[40] == pytest.approx(0.5)
    assert shares[90] == pytest.approx(1 / 3)
