import csv
import json
import math
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lexloom.base import files
from lexloom.base.errors import DataError, FolderError, RecipeError
from lexloom.base.ledger import Ledger
from lexloom.base.rng import generator
from lexloom.models.folder import load_model, save_model
from lexloom.nn.lora import LowRank, add_low_rank, merge_low_rank
from lexloom.stages.adapting import Data, fitted, gather, read_data
from lexloom.stages.beginning import first_model, open_base
from lexloom.stages.finetune import finetune
from lexloom.stages.finetune_once import finetune_once
from lexloom.stages.plan import plan_finetuning
from lexloom.tasks import TASKS
from lexloom.train.diary import CLOCK_FIELDS
from tests.finetuning import place_of, recipe_of, write_reviews
from tests.folders import write_model
from tests.understanding import EXAMPLES, model_for, setting_of, tokenizer, unlabelled


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return place_of(tmp_path_factory.mktemp("place"))


@pytest.fixture(scope="module")
def finished(place, tmp_path_factory):
    run = tmp_path_factory.mktemp("finished") / "run"
    finetune(recipe_of(place, epochs=8), run)
    return run


def lines(run, kind=None):
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line for line in found if kind in (None, line["kind"])]


def timeless(run):
    return [{name: value for name, value in line.items() if name not in CLOCK_FIELDS} for line in lines(run)]


def weights(run):
    return files.sha256_of(run / "model" / "model.safetensors")


def value(run, split="test", metric="accuracy"):
    return files.read_json(run / "results.json")["splits"][split]["figures"][metric]["value"]


def rows_of(table):
    with open(table, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_a_run_learns_and_leaves_everything_that_a_run_folder_has(finished):
    names = {path.name for path in finished.iterdir()}
    assert {
        "recipe.toml", "plan.json", "ledger.json", "metrics.jsonl", "checkpoints", "model", "results.json",
        "predictions.jsonl", "report.html", "measured.json",
    } <= names  # fmt: skip
    assert value(finished) > 0.9


def test_the_plan_is_that_of_the_run_and_leaves_nothing_behind(place, finished, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    planned, begun = plan_finetuning(recipe_of(place, epochs=8)), files.read_json(finished / "plan.json")
    for name in ("steps", "tokens", "epochs", "parameters", "checkpoint_bytes"):
        assert getattr(planned, name) == begun[name]
    assert list(tmp_path.iterdir()) == []


def test_it_is_measured_after_every_epoch(finished):
    measured = lines(finished, "validation")
    assert [line["step"] for line in measured] == [6 * epoch for epoch in range(1, 9)]
    assert all(math.isfinite(line["loss"]) and 0 <= line["accuracy"] <= 1 for line in measured)


def test_the_figures_are_those_of_the_saved_predictions(finished):
    rows = [json.loads(line) for line in (finished / "predictions.jsonl").read_text("utf-8").splitlines()]
    assert len(rows) == 20
    right = sum(row["prediction"]["label"] == row["reference"] for row in rows)
    assert value(finished) == pytest.approx(right / 20)


def test_the_model_folder_knows_its_task(finished):
    contents = load_model(finished / "model")
    assert contents.facts["task"]["name"] == "classify"
    assert contents.facts["task"]["labels"] == contents.facts["labels"] == ["bad", "good"]
    assert files.read_json(finished / "model" / "config.json")["id2label"] == {"0": "bad", "1": "good"}


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_learned_through_the_same_loop(place, tmp_path, name):
    examples = EXAMPLES[name]
    base = tmp_path / "base"
    save_model(base, model_for(name, setting_of(name)), tokenizer(), provenance={}, generation=None, card="A test.")
    model = {"folder": str(base)}
    recipe = recipe_of(place, task={"name": name}, model=model, epochs=1, batch_size=4, max_tokens=48)
    data = Data(examples, examples, [*examples, unlabelled(examples[0])], Ledger())
    outcome = finetune_once(recipe, data, tmp_path / "run")
    assert outcome.steps == 2
    results = files.read_json(tmp_path / "run" / "results.json")
    test = results["splits"]["test"]
    assert (test["examples"], test["unlabelled"]) == (8, 1)
    assert next(iter(test["figures"])) == test["main"]
    (measured,) = lines(tmp_path / "run", "validation")
    assert measured[test["main"]] == pytest.approx(results["splits"]["validation"]["figures"][test["main"]]["value"])
    assert load_model(outcome.model).facts["task"]["name"] == name


def test_an_interrupted_run_ends_in_the_same_bytes(place, tmp_path):
    recipe = recipe_of(place, patience=3)
    for name in ("whole", "cut"):
        finetune(recipe, tmp_path / name)
    files.discard(tmp_path / "cut" / "model")
    files.discard(tmp_path / "cut" / "checkpoints" / "step-00000012")
    finetune(recipe, tmp_path / "cut")
    assert weights(tmp_path / "whole") == weights(tmp_path / "cut")
    assert timeless(tmp_path / "whole") == timeless(tmp_path / "cut")
    for name in ("results.json", "predictions.jsonl"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()


def test_two_threads_give_the_same_bytes_every_time(place, tmp_path):
    for name in ("one", "two"):
        finetune(recipe_of(place, threads=2, epochs=1), tmp_path / name)
    assert weights(tmp_path / "one") == weights(tmp_path / "two")
    assert timeless(tmp_path / "one") == timeless(tmp_path / "two")


CHANGES = {
    "train.lr": {"lr": 0.1},
    "train.batch_size": {"batch_size": 4},
    "train.max_tokens": {"max_tokens": 32},
    "train.class_weights": {"class_weights": "balanced"},
    "train.lora.rank": {"lora": {"rank": 2}},
    "model.dropout": {"model": {"dropout": 0.3}},
    "task.several": {"task": {"name": "classify", "several": True}},
}


@pytest.mark.parametrize(("field", "change"), CHANGES.items(), ids=CHANGES)
def test_a_change_before_resuming_is_refused_by_name(place, finished, tmp_path, field, change):
    run = shutil.copytree(finished, tmp_path / "run")
    files.discard(run / "model")
    with pytest.raises(FolderError, match=re.escape(field)):
        finetune(recipe_of(place, **{"epochs": 8, **change}), run)


def test_other_data_or_another_model_is_a_change_too(place, finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    files.discard(run / "model")
    other = place_of(tmp_path / "other", train=47)
    with pytest.raises(FolderError, match=r"data\.train"):
        finetune(recipe_of(other, epochs=8), run)
    with pytest.raises(FolderError, match=r"model\.weights"):
        finetune(recipe_of(place, epochs=8, model={"folder": str(finished / "model")}), run)


def test_patience_follows_the_main_metric_and_of_equals_the_earlier(place, tmp_path):
    run = tmp_path / "run"
    outcome = finetune(recipe_of(place, epochs=30, patience=3, schedule="constant"), run)
    measured = lines(run, "validation")
    scores = [line["accuracy"] for line in measured]
    best = scores.index(max(scores))
    assert len(scores) == best + 4
    assert outcome.steps == measured[-1]["step"] < 180
    assert files.read_json(run / "model" / "lexloom.json")["provenance"]["weights_of_step"] == measured[best]["step"]
    assert value(run, "validation") == pytest.approx(scores[best])


def test_without_validation_data_a_share_is_held_out_by_content(place, tmp_path):
    shuffled = tmp_path / "shuffled.csv"
    rows = rows_of(place["data"]["train"])
    with open(shuffled, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([rows[0], *rows[:0:-1]])
    parts = []
    for train in (place["data"]["train"], str(shuffled)):
        data = read_data(recipe_of(place, data={"train": train, "validation": (), "validation_share": 0.25}))
        parts.append({example.texts for example in data.validation})
        assert not parts[-1] & {example.texts for example in data.train}
        assert len(data.train) + len(data.validation) == 48
    assert parts[0] == parts[1]


def test_low_rank_products_are_merged_into_a_plain_folder(place, tmp_path):
    finetune(recipe_of(place, lora={"rank": 4}, epochs=8, lr=6e-3), tmp_path / "run")
    tensors = load_file(tmp_path / "run" / "model" / "model.safetensors")
    assert not any("down" in name and "lora" in name for name in tensors)
    assert value(tmp_path / "run") > 0.8
    before = load_model(open_base_path(place)).model
    after = load_model(tmp_path / "run" / "model").model
    assert torch.equal(before.tokens.weight, after.tokens.weight)
    assert not torch.equal(before.blocks[0].attention.qkv.weight, after.blocks[0].attention.qkv.weight)


def open_base_path(place):
    return Path(place["model"]["folder"])


def test_merging_changes_nothing_that_is_computed(place):
    model = load_model(open_base_path(place)).model
    names = [name for name, module in model.named_modules() if name.endswith((".qkv", ".up"))]
    ids = torch.arange(40).view(1, -1) % 60
    plain = model.hidden(ids)
    add_low_rank(model, names, rank=3, alpha=6.0, seed=1)
    torch.testing.assert_close(model.hidden(ids), plain, msg="it begins as the model was")
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, LowRank):
                module.up.normal_(0, 0.1, generator=torch.Generator().manual_seed(0))
    adapted = model.hidden(ids)
    assert (adapted - plain).abs().max() > 1e-2
    merge_low_rank(model)
    assert (model.hidden(ids) - adapted).abs().max() < 1e-5
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert set(dict(model.named_parameters())) == set(dict(load_model(open_base_path(place)).model.named_parameters()))


def test_frozen_layers_stay_bit_identical_and_have_no_optimizer_state(place, tmp_path):
    finetune(recipe_of(place, freeze_layers=1), tmp_path / "run")
    before = dict(load_model(open_base_path(place)).model.named_parameters())
    after = dict(load_model(tmp_path / "run" / "model").model.named_parameters())
    frozen = [name for name in before if not name.startswith(("blocks.1.", "pooler"))]
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    assert not torch.equal(before["blocks.1.mlp.up.weight"], after["blocks.1.mlp.up.weight"])
    (*_, last) = sorted((tmp_path / "run" / "checkpoints").iterdir())
    assert not any(name.startswith(tuple(frozen)) for name in load_file(last / "optimizer.safetensors"))


def test_too_many_frozen_layers_are_refused(place, tmp_path):
    with pytest.raises(RecipeError, match="the model has 2 blocks, 3 can't be frozen"):
        finetune(recipe_of(place, freeze_layers=3), tmp_path / "run")


def test_several_seeds_show_their_spread_and_the_best_gives_the_model(place, tmp_path):
    run = tmp_path / "run"
    recipe = recipe_of(place, seeds=3, epochs=1)
    outcome = finetune(recipe, run)
    results = files.read_json(run / "results.json")
    values = [row["splits"]["validation"]["figures"]["accuracy"]["value"] for row in results["runs"]]
    assert len({weights(run / f"seed-{seed}") for seed in range(3)}) == 3
    assert results["chosen"] == f"seed-{values.index(max(values))}"
    spread = results["spread"]["validation"]["accuracy"]
    assert spread["mean"] == pytest.approx(sum(values) / 3)
    assert (spread["least"], spread["greatest"]) == (min(values), max(values))
    assert weights(run) == weights(run / results["chosen"])
    files.verify_folder(outcome.model)
    assert finetune(recipe, run).already_finished


def test_folds_foretell_every_example_once_and_the_model_learns_from_all(place, tmp_path):
    run = tmp_path / "run"
    recipe = recipe_of(place, data={"folds": 3, "validation": ()}, epochs=1)
    finetune(recipe, run)
    results = files.read_json(run / "results.json")
    folds = results["splits"]["folds"]
    assert folds["examples"] == 48
    assert sum(row["examples"] for row in folds["runs"]) == 48
    weighted = sum(row["examples"] * row["figures"]["accuracy"]["value"] for row in folds["runs"]) / 48
    assert folds["figures"]["accuracy"]["value"] == pytest.approx(weighted)
    assert results["splits"]["test"]["examples"] == 20
    assert files.read_json(run / "model" / "lexloom.json")["provenance"]["train_examples"] == 48


def test_a_label_unknown_to_training_is_counted_located_and_an_error(place, tmp_path, capsys):
    table = write_reviews(tmp_path / "test.csv", 12, seed=5, labels=("good", "odd"))
    finetune(recipe_of(place, data={"test": str(table)}, epochs=8), tmp_path / "run")
    odd = sum(row[1] == "odd" for row in rows_of(table))
    ledger = Ledger.from_json(files.read_json(tmp_path / "run" / "ledger.json"))
    assert ledger["encode", "label that training doesn't know"].documents == odd
    assert f"{odd} examples have a label that is not in the training data" in capsys.readouterr().err
    figure = files.read_json(tmp_path / "run" / "results.json")["splits"]["test"]["figures"]["accuracy"]
    assert figure["value"] <= 1 - odd / 12 + 1e-9
    assert figure["low"] < figure["value"] < figure["high"]


def test_what_is_cut_is_counted_and_another_way_is_offered(place, tmp_path, capsys):
    finetune(recipe_of(place, max_tokens=10, epochs=1), tmp_path / "run")
    said = capsys.readouterr().err
    assert "texts are cut at 10 tokens" in said
    assert 'task.long_texts = "windows"' in said
    capsys.readouterr()
    windows = {"name": "classify", "long_texts": "windows"}
    finetune(recipe_of(place, max_tokens=10, epochs=1, task=windows), tmp_path / "windows")
    assert "are cut" not in capsys.readouterr().err


def test_augmented_examples_differ_from_epoch_to_epoch_and_an_interrupted_run_still_ends_in_the_same_bytes(
    place, tmp_path
):
    recipe = recipe_of(place, augment={"deleted": 0.3, "swapped": 0.3})
    adapting = gather(recipe, read_data(recipe), tmp_path)
    draws = [
        adapting.objective.make_batch(adapting.units, [0, 1, 2], lambda row, epoch=epoch: generator("row", epoch, row))
        for epoch in (0, 0, 1)
    ]
    ids = [batch.ids_BL.tolist() for batch in draws]
    assert ids[0] == ids[1] != ids[2]
    for name in ("whole", "cut"):
        finetune(recipe, tmp_path / name)
    files.discard(tmp_path / "cut" / "model")
    files.discard(tmp_path / "cut" / "checkpoints" / "step-00000012")
    finetune(recipe, tmp_path / "cut")
    assert weights(tmp_path / "whole") == weights(tmp_path / "cut")


def test_augmentation_is_nothing_to_tags_and_that_is_said(place, tmp_path, capsys):
    words = "\n".join("Anna B-PER\nlives O\nhere O\n" for _ in range(12))
    (tmp_path / "tags.conll").write_text(words, encoding="utf-8")
    data = {"train": (str(tmp_path / "tags.conll"),), "validation": (), "test": (), "validation_share": 0.0}
    recipe = recipe_of(place, task={"name": "tag"}, data=data, augment={})
    gather(recipe, read_data(recipe), tmp_path)
    assert "train.augment changes nothing" in capsys.readouterr().err


def test_going_on_from_a_run_keeps_the_head_of_the_same_labels_only(place, finished, tmp_path):
    def fresh(labels):
        table = write_reviews(tmp_path / "more.csv", 20, seed=9, labels=labels)
        recipe = recipe_of(place, data={"train": str(table)}, model={"folder": str(finished / "model")})
        train = read_data(recipe).train
        base = open_base(recipe, train, tmp_path)
        task, setting = fitted(recipe, train, base)
        return first_model(base, task, setting, recipe)

    model, drawn = fresh(("good", "bad"))
    assert drawn == []
    assert torch.equal(model.score.weight, load_model(finished / "model").model.score.weight)
    model, drawn = fresh(("good", "worse"))
    assert drawn == ["score.bias", "score.weight"]
    assert not torch.equal(model.score.weight, load_model(finished / "model").model.score.weight)


def test_from_nothing_takes_the_shape_only(place, tmp_path):
    recipe = recipe_of(place, model={"from_nothing": True})
    parts = gather(recipe, read_data(recipe), tmp_path)
    model, _ = parts.build()
    assert not torch.equal(model.tokens.weight, parts.base.model.tokens.weight)
    again, _ = parts.build()
    assert torch.equal(model.tokens.weight, again.tokens.weight)


def test_rare_labels_can_weigh_more(place, tmp_path):
    table = tmp_path / "few.csv"
    table.write_text("text,label\n" + "lovely film,good\n" * 6 + "dull film,bad\n" * 2, encoding="utf-8")
    recipe = recipe_of(place, data={"train": str(table)}, class_weights="balanced")
    assert gather(recipe, read_data(recipe), tmp_path).weighing.labels_C.tolist() == pytest.approx([2.0, 2 / 3])
    recipe = recipe_of(place, data={"train": str(table)}, class_weights={"bad": 3.0})
    assert gather(recipe, read_data(recipe), tmp_path).weighing.labels_C.tolist() == [3.0, 1.0]
    recipe = recipe_of(place, data={"train": str(table)}, class_weights={"baad": 3.0})
    with pytest.raises(RecipeError, match="did you mean 'bad'"):
        gather(recipe, read_data(recipe), tmp_path)


def test_one_example_of_one_class_is_learned_with_a_warning(place, tmp_path, capsys):
    table = tmp_path / "one.csv"
    table.write_text("text,label\nlovely film,good\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"validation_share to 0"):
        finetune(recipe_of(place, data={"train": str(table), "validation": ()}), tmp_path / "run")
    alone = {"train": str(table), "validation": (), "test": (), "validation_share": 0.0}
    outcome = finetune(recipe_of(place, data=alone, epochs=3), tmp_path / "run")
    said = capsys.readouterr().err
    assert outcome.steps == 3
    assert "one label only, 'good'" in said
    assert "a batch has 1 instead of 8" in said
    assert files.read_json(tmp_path / "run" / "results.json")["splits"] == {}


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"data": {"train": ()}}, RecipeError, "data.train: names no training data"),
        ({"task": {"name": "clasify"}}, RecipeError, "did you mean 'classify'"),
        ({"task": {"name": "classify", "thresold": 1}}, RecipeError, "did you mean 'threshold'"),
        ({"max_tokens": 65}, RecipeError, "65 tokens are more than the model's context of 64"),
        ({"seeds": 2, "data": {"folds": 2, "validation": ()}}, RecipeError, "folds and seeds"),
        ({"data": {"folds": 2}}, RecipeError, "data.validation: the folds are the validation data"),
    ],
)
def test_a_recipe_that_cannot_work_is_refused_by_its_key(place, tmp_path, change, kind, message):
    with pytest.raises(kind) as caught:
        finetune(recipe_of(place, **change), tmp_path / "run")
    assert message in str(caught.value)


def test_a_decoder_is_refused(place, tmp_path):
    folder = write_model(tmp_path / "llama")
    with pytest.raises(FolderError, match="holds a llama, which is a decoder; classify needs an encoder"):
        finetune(recipe_of(place, model={"folder": str(folder)}), tmp_path / "run")


def test_transformers_gives_the_same_answers_by_name(place, finished):
    transformers = pytest.importorskip("transformers")
    pipeline = transformers.pipeline("text-classification", model=str(finished / "model"))
    rows = [json.loads(line) for line in (finished / "predictions.jsonl").read_text("utf-8").splitlines()]
    texts = [text for text, _ in rows_of(place["data"]["test"])[1:]]
    for theirs, ours in zip(pipeline(texts), rows, strict=True):
        assert theirs["label"] == ours["prediction"]["label"]
        assert theirs["score"] == pytest.approx(ours["prediction"]["probability"], abs=1e-4)
