"""Recurrent models go through the same loop, checkpoints, generation and tasks as all others."""

import json

import pytest
import torch

import lexloom
from lexloom.base import files
from lexloom.base.errors import RecipeError
from lexloom.base.recipe import check
from lexloom.models.folder import load_model
from lexloom.stages.finetune import finetune
from lexloom.stages.finetune_recipe import FinetuneRecipe
from lexloom.stages.pretrain import pretrain
from lexloom.stages.recipe import Recipe
from tests.finetuning import write_reviews
from tests.small import TRAIN, prepared_folder, recipe_of

RNN = {"family": "rnn", "width": 48, "layers": 2, "context": 64}
DROPOUTS = {"dropout": 0.2, "embedding_dropout": 0.1, "word_dropout": 0.1, "recurrent_dropout": 0.3}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return prepared_folder(tmp_path_factory.mktemp("corpus"))


def rnn_recipe(model=None, **train):
    values = {"model": {**RNN, **DROPOUTS, **(model or {})}, "train": {**TRAIN, "lr": 3e-3, **train}}
    return check(Recipe, values, where="test")


def losses(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line["loss"] for line in lines if line["kind"] == "validation"]


@pytest.mark.parametrize(
    "recipe",
    [rnn_recipe(carried_tokens=16), rnn_recipe({"cell": "gru"}, boundaries=True, optimizer="muon", threads=2)],
    ids=["lstm, carried", "gru, boundaries, muon, two threads"],
)
def test_an_interrupted_run_ends_in_the_same_bytes_and_writes(prepared, tmp_path, recipe):
    for name in ("whole", "cut"):
        pretrain(recipe, prepared, tmp_path / name)
    files.discard(tmp_path / "cut" / "model")
    for step in (12, 9):
        files.discard(tmp_path / "cut" / "checkpoints" / f"step-{step:08}")
    pretrain(recipe, prepared, tmp_path / "cut")
    weights = [files.sha256_of(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "cut")]
    assert weights[0] == weights[1]
    found = losses(tmp_path / "whole")
    assert found[-1] < found[0]
    model = lexloom.load(str(tmp_path / "whole" / "model"))
    assert len(model.generate("the ", max_tokens=8, temperature=0)) >= 4
    assert model.generate("the ", max_tokens=8, temperature=0) == model.generate("the ", max_tokens=8, temperature=0)


def test_only_what_remembers_carries_over(prepared, tmp_path):
    with pytest.raises(RecipeError, match=r"carried_tokens: gpt remembers nothing"):
        pretrain(recipe_of(carried_tokens=8), prepared, tmp_path / "run")
    with pytest.raises(RecipeError, match="nothing for carried_tokens"):
        rnn_recipe(carried_tokens=8, boundaries=True)


def write_vectors(path, width):
    rows = {"lovely": 0.5, "film": -0.5, "nowhere": 0.1}
    path.write_text("".join(f"{word} {' '.join([str(value)] * width)}\n" for word, value in rows.items()))
    return path


def classify_recipe(tmp_path, vectors, **model):
    values = {
        "data": {"train": str(write_reviews(tmp_path / "train.csv", 40))},
        "model": {"family": "birnn", "preset": "toy", "vectors": str(vectors), **model},
        "tokenizer": {"kind": "words", "vocab_size": 60},
        "train": {"epochs": 2, "batch_size": 16, "threads": 1, "freeze_layers": 0, "lr": 1e-2},
    }
    return check(FinetuneRecipe, values, where="test")


def test_a_classifier_begins_with_word_vectors_and_may_keep_them(tmp_path, capsys):
    recipe = classify_recipe(tmp_path, write_vectors(tmp_path / "vectors.txt", 20))
    outcome = finetune(recipe, tmp_path / "run")
    assert "have theirs in" in capsys.readouterr().err
    contents = load_model(outcome.model)
    assert contents.model.config.table_width == 20
    names = [contents.tokenizer.token(number) for number in range(contents.tokenizer.vocab_size)]
    rows = {name.strip("▁"): contents.model.tokens.weight[number] for number, name in enumerate(names)}
    (row,) = (value for name, value in rows.items() if "lovely" in name)
    assert torch.equal(row.detach(), torch.full((20,), 0.5)), "frozen: as it was in the file"
    assert lexloom.load(str(outcome.model)).classify("a lovely film")["label"] in ("good", "bad")


def test_vectors_of_another_width_are_refused_with_the_width_to_set(tmp_path):
    recipe = classify_recipe(tmp_path, write_vectors(tmp_path / "vectors.txt", 20), embedding_width=30)
    with pytest.raises(RecipeError, match="embedding_width=20"):
        finetune(recipe, tmp_path / "run")
