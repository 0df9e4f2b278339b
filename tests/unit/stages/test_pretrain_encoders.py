"""`pretrain` with a masked objective: the same promises as for decoders, and none that only a decoder can keep."""

import json
import math
import shutil

import pytest

from lexloom.base import files
from lexloom.base.errors import FolderError, RecipeError
from lexloom.models.folder import load_model
from lexloom.stages.evaluating import describe, evaluate
from lexloom.stages.plan import plan
from lexloom.stages.pretrain import pretrain
from lexloom.text.tokenizers import load_tokenizer
from lexloom.train.diary import CLOCK_FIELDS
from tests.small import prepared_folder, recipe_of

PROMPTS = {"sample_every": 6, "sample_prompts": ("the [MASK] sings", "床前[MASK]月[MASK]")}
RECIPES = {
    "bert, masked": ("bert", {"objective": "masked", **PROMPTS}),
    "bert, whole words, boundaries": (
        "bert",
        {"objective": "masked", "masking": {"whole_words": True, "rate": 0.3}, "boundaries": True, "optimizer": "muon"},
    ),
    "bert, pairs, two threads": ("bert", {"objective": "masked+next", "boundaries": True, "threads": 2}),
    "modernbert": ("modernbert", {"objective": "masked"}),
}
every_recipe = pytest.mark.parametrize("name", RECIPES)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return prepared_folder(tmp_path_factory.mktemp("corpus"), tokenizer="wordpiece")


@pytest.fixture(scope="module")
def finished(prepared, tmp_path_factory):
    """A finished run of each recipe."""
    place = tmp_path_factory.mktemp("finished")
    for name in RECIPES:
        pretrain(recipe(name), prepared, place / name)
    return place


def recipe(name, **changes):
    family, values = RECIPES[name]
    return recipe_of(family, **{**values, **changes})


def lines(run, kind=None):
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line for line in found if kind in (None, line["kind"])]


def timeless(run):
    return [{name: value for name, value in line.items() if name not in CLOCK_FIELDS} for line in lines(run)]


def weights(run):
    return files.sha256_of(run / "model" / "model.safetensors")


@every_recipe
def test_an_interrupted_run_ends_in_the_same_bytes(prepared, finished, tmp_path, name):
    run = shutil.copytree(finished / name, tmp_path / "run")
    files.discard(run / "model")
    files.discard(run / "checkpoints" / "step-00000012")
    pretrain(recipe(name), prepared, run)
    assert weights(run) == weights(finished / name)
    assert timeless(run) == timeless(finished / name)


def test_two_models_are_compared_on_the_same_hidden_tokens(prepared, finished):
    others = ("modernbert", "bert, whole words, boundaries", "bert, pairs, two threads")
    first, *later = (str(finished / name / "model") for name in ("bert, masked", *others))
    found = evaluate([first, *later], [str(prepared)])
    assert len({model["tokens"] for model in found["models"][:3]}) == 1
    for model, told in zip(found["models"][1:3], found["comparisons"][:2], strict=True):
        nats, base = (each["nats_per_masked_token"]["value"] for each in (model, found["models"][0]))
        assert told["value"] == pytest.approx(nats - base)
        assert told["low"] <= told["value"] <= told["high"]
        assert 0 < told["p"] <= 1
        assert told["verdict"] in describe(found)
    assert found["comparisons"][2]["verdict"].endswith("were asked for different things, so they can't be compared.")


@every_recipe
def test_results_are_those_of_hidden_tokens_with_intervals(finished, name):
    (found,) = files.read_json(finished / name / "results.json")["models"]
    assert 0 <= found["masked_accuracy"]["low"] <= found["masked_accuracy"]["value"] <= found["masked_accuracy"]["high"]
    perplexity, nats = found["perplexity_per_masked_token"]["value"], found["nats_per_masked_token"]["value"]
    assert perplexity == pytest.approx(math.exp(nats))
    assert (found["next_accuracy"] is not None) == ("pairs" in name)
    if "pairs" not in name:
        assert nats == pytest.approx(lines(finished / name, "validation")[-1]["loss"], abs=1e-4)


@every_recipe
def test_nothing_is_claimed_that_only_a_decoder_has(finished, name):
    run = finished / name
    card = (run / "model" / "README.md").read_text(encoding="utf-8")
    assert 'pipeline_tag: "fill-mask"' in card
    assert "accuracy at masked tokens" in card
    for text in (card, (run / "report.html").read_text(encoding="utf-8"), *map(json.dumps, lines(run, "validation"))):
        for claim in ("per byte", "per_byte", "causal", "generate("):
            assert claim not in text, claim


@every_recipe
def test_the_folder_holds_the_head_that_the_objective_needs(finished, name):
    model = load_model(finished / name / "model").model
    assert model.config.head == ("pretraining" if "pairs" in name else "masked")


def test_samples_are_the_prompts_with_their_masks_filled(finished):
    samples = lines(finished / "bert, masked", "sample")
    assert [(line["step"], line["prompt"]) for line in samples] == [
        (step, prompt) for step in (6, 12) for prompt in PROMPTS["sample_prompts"]
    ]
    for line in samples:
        assert "[MASK]" not in line["text"]
    assert samples[0]["text"].split()[::2] == ["the", "sings"]


def test_an_encoder_learns_what_was_hidden(prepared, tmp_path):
    values = {"steps": 60, "lr": 1e-2, "evaluate_every": 60, "checkpoint_every": 60, "objective": "masked"}
    pretrain(recipe_of("bert", **values, model={"dropout": 0.0, "attention_dropout": 0.0}), prepared, tmp_path / "run")
    losses = [line["loss"] for line in lines(tmp_path / "run", "step")]
    assert sum(losses[-10:]) / 10 < losses[0] - 1


def test_another_rate_before_resuming_is_refused_by_name(prepared, finished, tmp_path):
    run = shutil.copytree(finished / "bert, masked", tmp_path / "run")
    files.discard(run / "model")
    with pytest.raises(FolderError, match=r"masking\.rate: 0\.15 → 0\.2"):
        pretrain(recipe("bert, masked", masking={"rate": 0.2}), prepared, run)


def test_the_plan_counts_the_vocabulary_where_it_is_scored_and_attention_both_ways(prepared):
    recipe_ = recipe_of("bert", objective="masked", masking={"rate": 0.25}, optimizer="adamw")
    width, layers, ffn_width, text_tokens = 48, 2, 96, 30
    vocab_size = load_tokenizer(prepared).vocab_size
    seeing, thinking = 3 * width**2, width**2 + 2 * width * ffn_width
    before_vocabulary, attention = width**2, 2 * layers * width * text_tokens
    everywhere = layers * seeing + (layers - 1) * thinking + attention
    expected = 6 * (everywhere + 0.25 * (thinking + before_vocabulary + vocab_size * width))
    assert plan(recipe_, prepared).flops_per_token == pytest.approx(expected)


@pytest.mark.parametrize(
    ("family", "change", "message"),
    [
        ("bert", {}, "model.family: bert is an encoder, and the objective is for a decoder"),
        ("gpt", {"objective": "masked"}, "model.family: gpt is a decoder, and the objective is for an encoder"),
        ("modernbert", {"objective": "masked+next"}, "objective: modernbert has no head for this objective"),
        ("bert", {"objective": "masked", "model": {"head": "token"}}, "model.head: what is learned decides it"),
        ("bert", {"objective": "mask"}, "objective: unknown value 'mask'; did you mean 'masked'?"),
        ("bert", {"objective": "masked", "sample_every": 3}, "train.sample_prompts: '' has no [MASK]"),
        (
            "bert",
            {"objective": "masked", "sample_every": 3, "sample_prompts": ("moon [MASK]" * 10,)},
            "no room is left in a context of 32",
        ),
    ],
)
def test_a_recipe_that_cannot_work_is_refused_by_its_key(prepared, tmp_path, family, change, message):
    with pytest.raises(RecipeError) as caught:
        pretrain(recipe_of(family, **change), prepared, tmp_path / "run")
    assert message in str(caught.value)


def test_a_corpus_without_a_mask_token_is_refused(tmp_path):
    prepared = prepared_folder(tmp_path)
    with pytest.raises(RecipeError, match="no mask token"):
        pretrain(recipe_of("bert", objective="masked"), prepared, tmp_path / "run")
