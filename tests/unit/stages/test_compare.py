"""Models side by side: one run folder each, a table, a picture, and which differences are real."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lexloom.base import files
from lexloom.base.errors import FolderError, RecipeError
from lexloom.base.recipe import check
from lexloom.cli import main
from lexloom.stages.compare import compare, describe
from lexloom.stages.compare_recipe import CompareRecipe, pretraining_recipe
from tests.finetuning import write_reviews
from tests.small import prepared_folder

SHORT = {"tokens": 2048, "context": 16, "batch_tokens": 128, "micro_batch": 4, "lr": 3e-3, "evaluate_every": 8}
MODELS: dict[str, Any] = {
    "unigram": {"model": {"family": "ngram", "order": 1}},
    "trigram": {"model": {"family": "ngram", "order": 3}},
    "GPT": {"model": {"family": "gpt", "width": 24, "layers": 1, "heads": 2, "context": 48}},
}
SAMPLES = {"beginnings": ["moon", "river"], "max_tokens": 8}


def recipe(folder: Path, **changes: Any) -> CompareRecipe:
    train = {**SHORT, "threads": 1, "compile": False}
    budget = {"tokens": train.pop("tokens")}
    values = {"prepared": str(folder), "budget": budget, "train": train, "models": MODELS, "samples": SAMPLES}
    return check(CompareRecipe, {**values, **changes}, where="test")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_folder(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def found(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("comparisons") / "comparison"
    return out, compare(recipe(prepared), out)


def test_every_model_has_its_run_and_its_row(found):
    out, results = found
    assert [model["name"] for model in results["models"]] == list(MODELS)
    for model in results["models"]:
        run = out / "models" / model["name"]
        assert (run / "report.html").is_file()
        assert (run / "model" / "config.json").is_file()
        own = files.read_json(run / "results.json")["models"][0]["bits_per_byte"]
        assert model["bits_per_byte"] == own
        assert [sample["prompt"] for sample in model["samples"]] == ["moon", "river"]
    unigram, trigram, gpt = results["models"]
    assert trigram["bits_per_byte"]["value"] < unigram["bits_per_byte"]["value"]
    assert len(trigram["curve"]) == 1
    assert len(gpt["curve"]) > 1
    assert [x for x, _ in gpt["curve"]] == sorted(x for x, _ in gpt["curve"])


def test_every_pair_is_tested_and_corrected(found):
    _, results = found
    assert [(pair["first"], pair["second"]) for pair in results["pairs"]] == [
        ("unigram", "trigram"), ("unigram", "GPT"), ("trigram", "GPT"),
    ]  # fmt: skip
    first = results["pairs"][0]
    assert first["real"]
    assert first["value"] < 0
    assert all(pair["corrected_p"] >= pair["p"] for pair in results["pairs"])
    assert "unigram" in describe(results)


def test_the_page_loads_nothing_and_names_every_model(found):
    out, results = found
    page = (out / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=\"(?!#)", page)
    assert "{{" not in page
    picture = (out / "picture.svg").read_text(encoding="utf-8")
    for model in results["models"]:
        assert page.count(model["name"]) > 3
        assert f"{model['name']}  {model['bits_per_byte']['value']:.3f}" in picture
    assert "#01010" not in picture


def test_the_same_command_trains_nothing_again_and_a_model_can_be_added(found, prepared, tmp_path):
    out, before = found
    weights = {name: files.sha256_of(out / "models" / name / "model" / "model.safetensors") for name in MODELS}
    shape = {"width": 24, "layers": 1, "heads": 2, "kv_heads": 2, "head_width": 12, "ffn_width": 32, "context": 48}
    more = {**MODELS, "Llama": {"model": {"family": "llama", **shape}}}
    results = compare(recipe(prepared, models=more), out)
    assert len(results["models"]) == 4
    assert [model["bits_per_byte"] for model in results["models"][:3]] == [
        model["bits_per_byte"] for model in before["models"]
    ]
    for name, digest in weights.items():
        assert files.sha256_of(out / "models" / name / "model" / "model.safetensors") == digest


def test_another_budget_or_model_on_the_same_folder_is_refused(found, prepared):
    out, _ = found
    with pytest.raises(FolderError, match="other settings: budget"):
        compare(recipe(prepared, budget={"minutes": 1}), out)
    other = {**MODELS, "trigram": {"model": {"family": "ngram", "order": 2}}}
    with pytest.raises(FolderError, match=r"models\.trigram"):
        compare(recipe(prepared, models=other), out)


def test_a_models_own_settings_win_over_those_of_all(prepared):
    models = {"GPT": {**MODELS["GPT"], "train": {"lr": 1e-4}}}
    one = pretraining_recipe(recipe(prepared, models=models), "GPT")
    assert (one.train.lr, one.train.tokens, one.train.context) == (1e-4, 2048, 16)


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ({}, "no models"),
        ({"../up": {}}, "name of a folder"),
        ({"GPT": {"modle": {}}}, "did you mean 'model'"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_trained(prepared, tmp_path, models, message):
    with pytest.raises(RecipeError, match=message):
        compare(recipe(prepared, models=models), tmp_path / "out")
    assert not (tmp_path / "out" / "models").exists()


def test_models_that_do_a_task_are_compared_by_the_labels_they_need(tmp_path):
    for number, (name, count) in enumerate((("train", 160), ("test", 60))):
        write_reviews(tmp_path / f"{name}.csv", count, seed=number)
    values = {
        "task": {"name": "classify"},
        "data": {"train": str(tmp_path / "train.csv"), "test": str(tmp_path / "test.csv")},
        "shares": [0.2, 1.0],
        "train": {"threads": 1},
        "models": {
            "words": {"model": {"family": "bow", "longest": 1}, "tokenizer": {"kind": "words"}},
            "characters": {"model": {"family": "bow", "longest": 3}, "tokenizer": {"kind": "characters"}},
        },
    }
    results = compare(check(CompareRecipe, values, where="test"), tmp_path / "out")
    few, all_ = results["models"][0]["points"]
    assert few["labels"] < all_["labels"] == results["data"]["train"]
    assert all_["figure"]["value"] > 0.85
    assert [(pair["first"], pair["second"]) for pair in results["pairs"]] == [("words", "characters")]
    assert (tmp_path / "out" / "models" / "words" / "0.2" / "model").is_dir()
    assert "accuracy" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "words" in describe(results)


def test_the_command_makes_its_own_prepared_folder(tmp_path, capsys, monkeypatch):
    prepared_folder(tmp_path)
    (tmp_path / "recipe.toml").write_text(
        f"""
[prepare]
data = {{sources = ["{tmp_path / "corpus.txt"}"], documents = "paragraph"}}
tokenizer = {{kind = "characters", vocab_size = 64}}
split = {{validation_share = 0.2}}
[models.bigram.model]
family = "ngram"
order = 3
""",
        encoding="utf-8",
    )
    command = ["compare", str(tmp_path / "recipe.toml"), "--out", str(tmp_path / "out"), "--json"]
    monkeypatch.setattr("sys.argv", ["lexloom", *command, "models.bigram.model.order=2"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    printed = json.loads(capsys.readouterr().out)
    assert printed["models"][0]["name"] == "bigram"
    assert (tmp_path / "out" / "prepared" / "tokenizer.json").is_file()
