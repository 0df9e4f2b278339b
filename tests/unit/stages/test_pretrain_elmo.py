"""`pretrain` with the two-way objective, and `finetune` on its features: exact resume, honest figures."""

import json
import math
import shutil

import pytest
import torch

import lexloom
from lexloom.base import files
from lexloom.base.errors import RecipeError
from lexloom.base.recipe import check
from lexloom.models.folder import load_model
from lexloom.stages.evaluating import evaluate
from lexloom.stages.finetune import finetune
from lexloom.stages.finetune_recipe import FinetuneRecipe
from lexloom.stages.pretrain import pretrain
from lexloom.train.diary import CLOCK_FIELDS
from tests.small import prepared_folder, recipe_of

RECIPE = {"objective": "bidirectional", "boundaries": True, "lr": 1e-2, "steps": 24, "checkpoint_every": 8}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return prepared_folder(tmp_path_factory.mktemp("corpus"), tokenizer="word-bytes")


@pytest.fixture(scope="module")
def finished(prepared, tmp_path_factory):
    run = tmp_path_factory.mktemp("finished") / "run"
    pretrain(recipe_of("elmo", **RECIPE), prepared, run)
    return run


def lines(run, kind):
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{name: line[name] for name in line if name not in CLOCK_FIELDS} for line in found if line["kind"] == kind]


def weights(run):
    return files.sha256_of(run / "model" / "model.safetensors")


def test_an_interrupted_run_ends_in_the_same_bytes(prepared, finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    files.discard(run / "model")
    files.discard(run / "checkpoints" / "step-00000024")
    pretrain(recipe_of("elmo", **RECIPE), prepared, run)
    assert weights(run) == weights(finished)
    assert lines(run, "step") == lines(finished, "step")


def test_words_are_learned_and_measured_from_both_sides(prepared, finished):
    losses = [line["loss"] for line in lines(finished, "step")]
    assert losses[-1] < losses[0] - 1
    (found,) = files.read_json(finished / "results.json")["models"]
    nats = found["nats_per_foretold_word"]["value"]
    assert nats == pytest.approx(lines(finished, "validation")[-1]["loss"], abs=1e-4)
    assert found["perplexity_per_foretold_word"]["value"] == pytest.approx(math.exp(nats))
    sides = [found[f"perplexity_from_{side}"]["value"] for side in ("before", "behind")]
    assert min(sides) <= math.exp(nats) <= max(sides)
    card = (finished / "model" / "README.md").read_text(encoding="utf-8")
    assert "nats per word" in card
    for claim in ("per byte", "masked", "generate(", "transformers"):
        assert claim not in card, claim


def test_the_folder_is_evaluated_as_the_run_was(prepared, finished):
    (again,) = evaluate([str(finished / "model")], [str(prepared)])["models"]
    (found,) = files.read_json(finished / "results.json")["models"]
    assert again["nats_per_foretold_word"] == pytest.approx(found["nats_per_foretold_word"], abs=1e-6)


def test_texts_become_vectors(finished):
    one, other = lexloom.load(str(finished / "model")).embed(["the moon", "床前明月光"])
    assert one.shape == other.shape == (96,)


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("characters", {}, "the tokenizer has no words to foretell"),
        ("word-bytes", {"sample_every": 4}, "train.sample_every: a model that learns this objective can't write"),
    ],
)
def test_a_recipe_that_cannot_work_is_refused(tmp_path, kind, change, message):
    prepared = prepared_folder(tmp_path, tokenizer=kind)
    with pytest.raises(RecipeError) as caught:
        pretrain(recipe_of("elmo", **{**RECIPE, **change}), prepared, tmp_path / "run")
    assert message in str(caught.value)


def tagging(finished, place):
    """Names behind 住在 are places."""
    texts = [
        "\n".join(
            f"{letter} {tag}"
            for letter, tag in zip(f"{first}住在{second}城", ("O", "O", "O", "B-LOC", "I-LOC"), strict=True)
        )
        for first in "小明王李他她"
        for second in "东西南北江"
    ]
    (place / "tags.txt").write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    values = {
        "task": {"name": "tag"},
        "data": {"train": str(place / "tags.txt")},
        "model": {"folder": str(finished / "model")},
        "train": {"epochs": 10, "lr": 2e-2, "batch_size": 4, "threads": 1, "checkpoint_every": 10},
    }
    return check(FinetuneRecipe, values, where="test")


def test_a_tagger_learns_on_features_that_stay_as_they_are_and_resumes_exactly(finished, tmp_path):
    recipe = tagging(finished, tmp_path)
    finetune(recipe, tmp_path / "run")
    before, after = (load_model(folder / "model").model for folder in (finished, tmp_path / "run"))
    for name, parameter in after.named_parameters():
        if name.startswith(("words.", "blocks.")):
            assert torch.equal(parameter, before.get_parameter(name)), name
    assert after.mix.weights.abs().max() > 0
    (entity,) = lexloom.load(str(tmp_path / "run" / "model")).tag("赵住在中城")["entities"]
    assert (entity["start"], entity["end"], entity["type"]) == (3, 5, "LOC")

    again = shutil.copytree(tmp_path / "run", tmp_path / "again")
    files.discard(again / "model")
    last = max((again / "checkpoints").glob("step-*"))
    files.discard(last)
    finetune(recipe, again)
    assert weights(again) == weights(tmp_path / "run")
