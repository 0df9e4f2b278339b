import itertools
import json
import math

import pytest
from safetensors.torch import load_file

from lexloom.base import files
from lexloom.base.errors import FolderError, RecipeError, RunStopped
from lexloom.models.folder import load_model
from lexloom.objectives import OBJECTIVES
from lexloom.objectives.causal import CAUSAL
from lexloom.objectives.contract import Loss, Objective
from lexloom.stages.plan import plan
from lexloom.stages.pretrain import pretrain
from lexloom.train.diary import CLOCK_FIELDS
from tests.small import prepared_folder, recipe_of


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return prepared_folder(tmp_path_factory.mktemp("corpus"))


def lines(run, kind=None):
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line for line in found if kind in (None, line["kind"])]


def timeless(run):
    return [{name: value for name, value in line.items() if name not in CLOCK_FIELDS} for line in lines(run)]


def weights(run):
    return files.sha256_of(run / "model" / "model.safetensors")


@pytest.fixture(scope="module")
def finished(prepared, tmp_path_factory):
    run = tmp_path_factory.mktemp("finished") / "run"
    pretrain(recipe_of(sample_every=6, sample_prompts=("the", "")), prepared, run)
    return run


def test_a_run_leaves_everything_that_a_run_folder_has(finished):
    names = {path.name for path in finished.iterdir()}
    assert {
        "recipe.toml",
        "plan.json",
        "measured.json",
        "ledger.json",
        "metrics.jsonl",
        "checkpoints",
        "model",
    } <= names
    assert sorted(path.name for path in (finished / "checkpoints").iterdir()) == ["step-00000009", "step-00000012"]
    load_model(finished / "model")


def test_every_step_is_in_the_diary_once_and_in_order(finished):
    steps = lines(finished, "step")
    assert [line["step"] for line in steps] == list(range(1, 13))
    assert [line["tokens"] for line in steps] == [512 * step for step in range(1, 13)]
    assert all(math.isfinite(line["loss"]) and line["share_of_peak"] > 0 for line in steps)
    assert [line["step"] for line in lines(finished, "validation")] == [5, 10, 12]
    assert [(line["step"], line["prompt"]) for line in lines(finished, "sample")] == [
        (6, "the"),
        (6, ""),
        (12, "the"),
        (12, ""),
    ]


def test_the_same_recipe_gives_the_same_bytes(prepared, finished, tmp_path):
    pretrain(recipe_of(sample_every=6, sample_prompts=("the", "")), prepared, tmp_path / "run")
    assert weights(tmp_path / "run") == weights(finished)
    assert timeless(tmp_path / "run") == timeless(finished)


def test_a_finished_run_says_so_and_is_left_alone(prepared, finished, capsys):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.name != files.LOCK}
    outcome = pretrain(recipe_of(), prepared, finished)
    assert outcome.already_finished
    assert outcome.steps == 12
    assert "already finished" in capsys.readouterr().err
    assert before == {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.name != files.LOCK}


def test_an_older_step_can_be_gone_back_to(prepared, tmp_path):
    pretrain(recipe_of(), prepared, tmp_path / "run")
    expected = weights(tmp_path / "run"), timeless(tmp_path / "run")
    pretrain(recipe_of(), prepared, tmp_path / "run", step=9)
    assert (weights(tmp_path / "run"), timeless(tmp_path / "run")) == expected
    with pytest.raises(FolderError, match="there is no checkpoint of step 4"):
        pretrain(recipe_of(), prepared, tmp_path / "run", step=4)


CHANGES = {
    "train.lr": {"lr": 0.1},
    "train.steps": {"steps": 24},
    "train.seed": {"seed": 1},
    "train.optimizer": {"optimizer": "muon"},
    "train.micro_batch": {"micro_batch": 2},
    "train.boundaries": {"boundaries": True},
    "train.evaluate_every": {"evaluate_every": 2},
    "model.dropout": {"model": {"dropout": 0.2}},
    "model.width": {"model": {"width": 64}},
    "machine.threads": {"threads": 2},
}


@pytest.fixture(scope="module")
def unfinished(prepared, tmp_path_factory):
    """A run whose last checkpoint is at step 9 of 12."""
    run = tmp_path_factory.mktemp("unfinished") / "run"
    pretrain(recipe_of(), prepared, run)
    files.discard(run / "model")
    files.discard(run / "checkpoints" / "step-00000012")
    return run


@pytest.mark.parametrize(("field", "change"), CHANGES.items(), ids=CHANGES)
def test_a_change_before_resuming_is_refused_by_name(prepared, unfinished, field, change):
    with pytest.raises(FolderError) as caught:
        pretrain(recipe_of(**change), prepared, unfinished)
    assert f"{field}: " in str(caught.value)
    assert f"--allow-change {field}" in str(caught.value)


def test_other_data_is_a_change_too(unfinished, tmp_path):
    with pytest.raises(FolderError, match=r"data\.train: .* → "):
        pretrain(recipe_of(), prepared_folder(tmp_path, seed=1), unfinished)


def test_what_is_not_a_prepared_folder_is_refused_with_the_command_that_makes_one(tmp_path):
    with pytest.raises(FolderError, match="Run `lexloom prepare` first"):
        pretrain(recipe_of(), tmp_path, tmp_path / "run")


def test_two_threads_give_the_same_bytes_every_time_and_after_a_resume(prepared, tmp_path):
    recipe = recipe_of(threads=2)
    for name in ("one", "two"):
        pretrain(recipe, prepared, tmp_path / name)
    files.discard(tmp_path / "two" / "model")
    files.discard(tmp_path / "two" / "checkpoints" / "step-00000012")
    pretrain(recipe, prepared, tmp_path / "two")
    assert weights(tmp_path / "one") == weights(tmp_path / "two")
    assert timeless(tmp_path / "one") == timeless(tmp_path / "two")


def poisoned(bad_calls):
    """The causal objective, whose loss is NaN at these calls in training."""
    calls = itertools.count(1)

    def loss(model, batch):
        right = CAUSAL.loss(model, batch)
        if not right.sum.requires_grad or next(calls) not in bad_calls:
            return right
        return Loss(right.sum * math.nan, right.count)

    return Objective(CAUSAL.make_batch, loss)


def test_a_nan_is_in_the_diary_as_it_was_and_never_in_a_checkpoint(prepared, tmp_path, monkeypatch):
    run, one_batch = tmp_path / "run", {"micro_batch": 16, "checkpoint_every": 1}
    pretrain(recipe_of(**one_batch, steps=1), prepared, run)
    files.discard(run / "model")
    monkeypatch.setitem(OBJECTIVES, "causal", lambda settings, tokenizer: poisoned(range(20, 1000)))
    with pytest.raises(RunStopped, match="3 steps in a row") as caught:
        pretrain(recipe_of(**one_batch, steps=60, max_skipped_steps=3), prepared, run, allow_change=["train"])
    assert caught.value.exit_code == 3
    skipped = lines(run, "skipped")
    assert len(skipped) == 3
    assert {(line["loss"], line["reason"]) for line in skipped} == {("nan", "the loss is nan")}
    assert all(len(line["units"]) == 16 for line in skipped)
    assert sorted(line["step"] for line in [*lines(run, "step"), *skipped]) == list(range(1, skipped[-1]["step"] + 1))
    for path in (run / "checkpoints").glob("step-*"):
        assert all(tensor.isfinite().all() for tensor in load_file(path / "model.safetensors").values())


def test_an_allowed_change_is_said_aloud_and_taken(prepared, tmp_path, capsys):
    run = tmp_path / "run"
    pretrain(recipe_of(), prepared, run)
    files.discard(run / "model")
    outcome = pretrain(recipe_of(steps=15), prepared, run, allow_change=["train.steps"])
    assert outcome.steps == 15
    assert "train.steps: 12 → 15" in capsys.readouterr().err
    assert [line["step"] for line in lines(run, "step")] == list(range(1, 16))
    assert files.read_json(run / "plan.json")["steps"] == 15


def test_settings_without_effect_on_the_bits_may_change(prepared, unfinished, tmp_path):
    import shutil

    run = shutil.copytree(unfinished, tmp_path / "run")
    pretrain(recipe_of(checkpoint_every=100, keep_checkpoints=5), prepared, run)
    assert [line["step"] for line in lines(run, "step")] == list(range(1, 13))


def test_patience_ends_the_run_and_keeps_the_best_weights(prepared, tmp_path):
    run = tmp_path / "run"
    values = {"steps": 60, "patience": 2, "evaluate_every": 2, "lr": 0.3, "schedule": "constant", "warmup_steps": 0}
    outcome = pretrain(recipe_of("llama", **values), prepared, run)
    measured = lines(run, "validation")
    losses = [line["loss"] for line in measured]
    best = losses.index(min(losses))
    assert outcome.steps < 60
    assert len(losses) == best + 3
    checkpoint = run / "checkpoints" / f"step-{measured[best]['step']:08d}"
    assert files.verify_folder(checkpoint)["step"] == measured[best]["step"]
    assert outcome.steps == measured[-1]["step"]
    assert files.read_json(run / "model" / "lexloom.json")["provenance"]["weights_of_step"] == measured[best]["step"]


def test_a_budget_in_minutes_means_the_same_steps_after_a_resume(prepared, tmp_path):
    run = tmp_path / "run"
    recipe = recipe_of(steps=None, minutes=0.02, checkpoint_every=1)  # every step, however few they are
    steps = pretrain(recipe, prepared, run).steps
    assert steps == files.read_json(run / "plan.json")["steps"] > 1
    files.discard(run / "model")
    files.discard(run / "checkpoints" / f"step-{steps:08d}")
    assert pretrain(recipe, prepared, run).steps == steps


def test_the_plan_adds_up(prepared):
    planned = plan(recipe_of(optimizer="adamw"), prepared)
    assert planned.steps == 12
    assert planned.tokens == 12 * 512
    assert planned.parameter_bytes == 4 * planned.parameters
    assert planned.optimizer_bytes == pytest.approx(2 * planned.parameter_bytes, rel=0.01)
    assert planned.seconds == pytest.approx(12 * planned.seconds_per_step)
    assert planned.memory_bytes > planned.parameter_bytes
    assert 0 < planned.share_of_peak < 2


@pytest.mark.parametrize(
    ("family", "change", "message"),
    [
        ("gpt", {"model": {"widht": 32}}, "model.widht: unknown key; did you mean 'width'?"),
        ("gpt", {"model": {"width": 50, "heads": 3}}, "model.width"),
        ("gpt", {"model": {"vocab_size": 5}}, "model.vocab_size: 5 is less than the tokenizer's"),
        ("gpt", {"model": {"preset": "toyy"}}, "did you mean 'toy'?"),
        ("gpt", {"sample_prompts": ("moon" * 10,)}, "train.sample_prompts: 'moonmoonmoonmoonmoon'… has 40 tokens"),
        ("gpt", {"compile": True, "boundaries": True}, "train.compile: every batch with boundaries"),
        ("gpt", {"context": 64}, "train.context: 64 tokens are more than the model's context of 32"),
        ("llama", {"model": {"family": "lama"}}, "model.family: unknown value 'lama'; did you mean 'llama'?"),
    ],
)
def test_a_recipe_that_cannot_work_is_refused_by_its_key(prepared, tmp_path, family, change, message):
    with pytest.raises(RecipeError) as caught:
        pretrain(recipe_of(family, **change), prepared, tmp_path / "run")
    assert message in str(caught.value)


def test_a_preset_gives_way_to_the_recipes_own_keys(prepared, tmp_path):
    model = {"preset": "toy", "width": 24, "layers": 1, "heads": 2, "kv_heads": 2, "head_width": 12, "ffn_width": 32}
    pretrain(recipe_of("llama", model=model, steps=1), prepared, tmp_path / "run")
    config = files.read_json(tmp_path / "run" / "model" / "config.json")
    assert (config["hidden_size"], config["num_hidden_layers"]) == (24, 1)


def test_tensorboard_repeats_the_diary(prepared, tmp_path):
    pytest.importorskip("tensorboard")
    pretrain(recipe_of(steps=2, tensorboard=True), prepared, tmp_path / "run")
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))
