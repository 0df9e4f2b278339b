import pytest

from lexloom.base.errors import RecipeError
from lexloom.base.recipe import check
from lexloom.train.settings import TrainSettings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 10, "epochs": 2}, "steps and epochs are both budgets"),
        ({"steps": 0}, "steps = 0"),
        ({"context": 96, "batch_tokens": 1000}, "1000 is not a multiple of context 96; nearest is 960"),
        ({"keep_checkpoints": 1}, "keep_checkpoints = 1"),
        ({"betas": (0.9, 1.0)}, "must lie in [0, 1)"),
        ({"schedule": "wsd", "warmup_share": 0.6, "decay_share": 0.6}, "more than the whole run"),
        ({"lr": float("nan")}, "lr = nan"),
        ({"schedule": "cosin"}, "schedule = 'cosin'"),
        ({"learning_rate": 1}, "unknown key 'learning_rate'"),
        ({"optimizer": "lion"}, "optimizer = 'lion'"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_name(values, message):
    with pytest.raises(RecipeError) as caught:
        check(TrainSettings, values, where="test")
    assert message in str(caught.value)


def test_the_settings_are_whole_without_any_budget():
    settings = TrainSettings()
    assert settings.batch_units * settings.context == settings.batch_tokens
