import json
import shutil

import pytest

from lexloom.stages.pretrain import pretrain
from lexloom.train import compiling
from lexloom.train.settings import TrainSettings
from tests.small import prepared_folder, recipe_of

LONG_S = 2 * compiling.WORTH_MEASURING_S


def settings(**values):
    return TrainSettings(**{"engine": "torch", "replicas": 1, **values})


def test_auto_measures_only_where_compiling_could_pay(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert compiling.may_pay(settings(), LONG_S)
    assert not compiling.may_pay(settings(), 60.0)
    assert not compiling.may_pay(settings(compile=False), LONG_S)
    assert not compiling.may_pay(settings(boundaries=True), LONG_S)
    assert not compiling.may_pay(settings(engine="numpy"), LONG_S)
    assert not compiling.may_pay(settings(replicas=2), LONG_S)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert not compiling.may_pay(settings(), LONG_S)


def test_a_gain_within_the_noise_is_not_worth_it():
    assert compiling.pays(1.2, 1.0)
    assert not compiling.pays(1.02, 1.0)


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, compiling.COMPILERS)), reason="needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_compiled_model_learns_the_same(tmp_path):
    prepared = prepared_folder(tmp_path)
    losses = {}
    for compiled in (False, True):
        recipe = recipe_of("gpt", model={"dropout": 0.0}, steps=3, compile=compiled, engine="torch")
        pretrain(recipe, prepared, tmp_path / str(compiled))
        lines = map(json.loads, (tmp_path / str(compiled) / "metrics.jsonl").read_text().splitlines())
        losses[compiled] = [line["loss"] for line in lines if line["kind"] == "step"]
    assert losses[True] == pytest.approx(losses[False], abs=1e-4)
