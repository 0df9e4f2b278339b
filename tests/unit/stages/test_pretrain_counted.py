"""`pretrain` of models that are counted: a run without steps, with the same folder, page and card as every other."""

import json

import pytest

from lexloom import api
from lexloom.base.errors import Interrupted, RecipeError
from lexloom.models.folder import load_model
from lexloom.stages import fitting, opening
from lexloom.stages.evaluate import evaluate
from lexloom.stages.plan import describe, plan
from lexloom.stages.pretrain import pretrain
from lexloom.train.diary import CLOCK_FIELDS
from lexloom.train.signals import Received
from tests.small import prepared_folder, recipe_of

SAMPLES = {"sample_every": 1, "sample_prompts": ("the moon",)}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return prepared_folder(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def finished(prepared, tmp_path_factory):
    run = tmp_path_factory.mktemp("finished") / "run"
    pretrain(recipe_of("ngram", **SAMPLES), prepared, run)
    return run


def lines(run):
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{name: value for name, value in line.items() if name not in CLOCK_FIELDS} for line in found]


def test_the_run_has_what_every_run_has(finished):
    kinds = [line["kind"] for line in lines(finished)]
    assert kinds == ["fit", "validation", "sample"]
    for name in ("recipe.toml", "ledger.json", "plan.json", "measured.json", "results.json", "report.html"):
        assert (finished / name).is_file(), name
    assert not [path for path in finished.iterdir() if path.name.startswith(".tmp")]
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert "Learned in one go" in page
    assert "no finished step" not in page
    card = (finished / "model" / "README.md").read_text(encoding="utf-8")
    assert "learned in one go" in card
    assert "transformers" not in card


def test_the_finished_run_is_left_alone(finished, prepared):
    before = (finished / "model" / "manifest.json").stat().st_mtime_ns
    outcome = pretrain(recipe_of("ngram", **SAMPLES), prepared, finished)
    assert outcome.already_finished
    assert (finished / "model" / "manifest.json").stat().st_mtime_ns == before


def test_validation_and_evaluation_agree(finished, prepared):
    """Windows without a token twice: their first tokens see less of what stood before."""
    measured = next(line["loss"] for line in lines(finished) if line["kind"] == "validation")
    exact = evaluate([finished / "model"], [str(prepared)])["models"][0]["nats_per_token"]["value"]
    assert exact <= measured < exact * 1.1


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_an_interrupted_run_begins_again_and_ends_in_the_same_bytes(share, finished, prepared, tmp_path, monkeypatch):
    received = Received()
    learned = fitting._learned

    def interrupted(work, fit, run, _):
        def impatient(units, scratch, tick):
            def until(done, note=""):
                received.number = 15 if done >= share else 0
                tick(done, note)

            return fit(units, scratch, until)

        return learned(work, impatient, run, received)

    monkeypatch.setattr(fitting, "_learned", interrupted)
    with pytest.raises(Interrupted, match="nothing is saved") as stopped:
        pretrain(recipe_of("ngram", **SAMPLES), prepared, tmp_path / "run")
    assert stopped.value.exit_code == 128 + 15
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".tmp")]
    monkeypatch.undo()
    pretrain(recipe_of("ngram", **SAMPLES), prepared, tmp_path / "run")
    assert lines(tmp_path / "run") == lines(finished)
    for name in ("model/model.safetensors", "model/config.json"):
        assert (tmp_path / "run" / name).read_bytes() == (finished / name).read_bytes()


def test_keys_without_effect_are_named(prepared, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(fitting, "say", said.append)
    pretrain(recipe_of("ngram", lr=1e-3, optimizer="muon"), prepared, tmp_path / "run")
    note = next(text for text in said if "without effect" in text)
    assert "train.lr" in note
    assert "train.optimizer" in note
    assert "train.threads" not in note


def test_there_is_no_step_to_go_back_to(prepared, tmp_path):
    with pytest.raises(RecipeError, match="no steps"):
        pretrain(recipe_of("ngram"), prepared, tmp_path / "run", step=3)


def test_the_plan_is_measured_on_a_share(prepared):
    found = plan(recipe_of("ngram"), prepared)
    assert found.steps == 0
    assert found.seconds > 0
    assert found.parameters > 0
    assert "in one go" in describe(found)


def test_the_run_knows_no_steps_to_the_end(finished):
    assert opening._finished_steps(finished) == 0


def test_the_model_writes_scores_and_completes(finished):
    model = api.load(str(finished / "model"))
    assert model.generate("the moon", max_tokens=8, seed=1) == model.generate("the moon", max_tokens=8, seed=1)
    assert load_model(finished / "model").model.config.order == 4
