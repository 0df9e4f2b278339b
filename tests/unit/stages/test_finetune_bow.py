"""A model that is learned in one go does a task by the same recipes, folders and commands as any other."""

import json
from pathlib import Path
from typing import Any

import pytest

from lexloom.base import files
from lexloom.base.errors import DataError, UserError
from lexloom.base.recipe import check
from lexloom.models.folder import load_model
from lexloom.stages.evaluating import describe, evaluate
from lexloom.stages.explain import explain
from lexloom.stages.finetune import finetune
from lexloom.stages.finetune_recipe import FinetuneRecipe
from lexloom.tasks.folder import load_task_model
from lexloom.train.finetuning import FinetuneSettings
from lexloom.train.settings import FITTING, STEPPING, TrainSettings
from tests.finetuning import sections_of, write_reviews


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    for number, (name, count) in enumerate((("train", 120), ("validation", 20), ("test", 40))):
        write_reviews(folder / f"{name}.csv", count, seed=number)
    return folder


def recipe(place: Path, **sections: Any) -> FinetuneRecipe:
    values: dict[str, Any] = {
        "data": sections_of(place)["data"],
        "model": {"family": "bow", "longest": 2},
        "tokenizer": {"kind": "wordpiece", "vocab_size": 120},
        "train": {"threads": 1},
    }
    return check(FinetuneRecipe, {**values, **sections}, where="test")


@pytest.fixture(scope="module")
def run(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert finetune(recipe(place), folder).steps == 0
    return folder


def accuracy(run: Path) -> float:
    return float(files.read_json(run / "results.json")["splits"]["test"]["figures"]["accuracy"]["value"])


def test_a_run_leaves_what_every_run_folder_has_and_has_learned(run):
    names = {path.name for path in run.iterdir()}
    assert {"recipe.toml", "plan.json", "ledger.json", "metrics.jsonl", "model", "results.json"} <= names
    assert {"predictions.jsonl", "report.html", "measured.json", "tokenizer"} <= names
    assert accuracy(run) > 0.9
    kinds = [json.loads(line)["kind"] for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert kinds == ["fit", "validation"]


def test_the_same_command_ends_in_the_same_bytes_and_leaves_a_finished_run_alone(place, run, tmp_path):
    assert finetune(recipe(place), run).already_finished
    again = finetune(recipe(place), tmp_path / "again").model
    assert files.sha256_of(again / "model.safetensors") == files.sha256_of(run / "model" / "model.safetensors")


def test_the_folder_predicts_and_is_judged_as_any_other(place, run):
    model = load_task_model(run / "model")
    assert model.setting.labels == ("bad", "good")
    results = evaluate([str(run / "model")], [str(place / "test.csv")])
    assert results["models"][0]["figures"]["accuracy"]["value"] == accuracy(run)
    assert "accuracy" in describe(results)


def test_each_word_is_explained_by_what_the_answer_is_without_it(run, tmp_path):
    (found,) = explain(run / "model", ["a lovely film"], out=tmp_path / "why.html").explanations
    (target,) = found["targets"]
    assert target["method"] == "occlusion"
    assert max(target["words"], key=lambda word: word["value"])["word"] == "lovely"
    with pytest.raises(UserError, match="can't be explained by attention"):
        explain(run / "model", ["a lovely film"], methods=["attention"], out=None)


def test_texts_are_read_to_their_end(place, run, tmp_path):
    long = tmp_path / "long.csv"
    long.write_text("text,label\n" + "\n".join(f"{'and the ' * 600}{word},{label}" for word, label in
                    [("lovely", "good"), ("dull", "bad")] * 30), encoding="utf-8")  # fmt: skip
    data = {"train": str(long), "test": str(long), "validation_share": 0.0}
    finetune(recipe(place, data=data), tmp_path / "run")
    assert accuracy(tmp_path / "run") == 1.0


def test_a_text_can_have_several_labels(place, tmp_path):
    table = tmp_path / "several.jsonl"
    rows = [("dull film", ["bad", "film"]), ("lovely song", ["song"]), ("dull song", ["bad", "song"]), ("book", [])]
    table.write_text("".join(json.dumps({"text": t, "labels": own}) + "\n" for t, own in rows * 5), encoding="utf-8")
    data = {"train": str(table), "test": str(table), "validation_share": 0.0}
    finetune(recipe(place, task={"name": "classify", "several": True}, data=data), tmp_path / "run")
    splits = files.read_json(tmp_path / "run" / "results.json")["splits"]
    assert splits["test"]["figures"]["subset accuracy"]["value"] == 1.0


def test_it_can_be_learned_anew_from_a_folder_with_its_tokenizer(place, run, tmp_path):
    model = finetune(recipe(place, model={"folder": str(run / "model")}), tmp_path / "run").model
    first, again = load_model(run / "model"), load_model(model)
    assert again.tokenizer.sha256 == first.tokenizer.sha256
    assert again.model.config == first.model.config


def test_settings_of_steps_are_named_as_without_effect(place, tmp_path, capsys):
    idle = {"lr": 0.1, "epochs": 2, "label_smoothing": 0.1, "augment": {}}
    finetune(recipe(place, train={"threads": 1, "class_weights": "balanced", **idle}), tmp_path / "run")
    (note,) = [line for line in capsys.readouterr().err.splitlines() if "without effect" in line]
    assert {name.strip(" ,") for name in note.split() if "train." in name} == {f"train.{name}" for name in idle}


def test_class_weights_change_what_is_said(place, run, tmp_path):
    weights = {"class_weights": {"good": 1000.0}}
    finetune(recipe(place, train={"threads": 1, **weights}), tmp_path / "run")
    said = [
        [
            json.loads(line)["prediction"]["label"]
            for line in (one / "predictions.jsonl").read_text("utf-8").splitlines()
        ]
        for one in (run, tmp_path / "run")
    ]
    assert said[1].count("good") >= said[0].count("good")
    models = [load_model(one / "model").model for one in (run, tmp_path / "run")]
    assert models[0].score.bias[1] < models[1].score.bias[1]


def test_every_setting_that_only_steps_ask_for_is_a_setting():
    assert {*STEPPING, *FITTING} <= {*TrainSettings.model_fields, *FinetuneSettings.model_fields}


def test_numbers_are_refused_with_what_to_do(place, tmp_path):
    table = tmp_path / "numbers.csv"
    table.write_text("text,label\n" + "lovely film,2.5\ndull film,1\n" * 20, encoding="utf-8")
    data = {"train": str(table), "validation_share": 0.0}
    with pytest.raises(DataError, match="labels, no numbers"):
        finetune(recipe(place, task={"name": "regress"}, data=data), tmp_path / "run")
