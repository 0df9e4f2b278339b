"""`pretrain` of encoder-decoders: the same promises as for decoders and encoders, and none that only they can keep."""

import json
import math
import shutil

import numpy as np
import pytest
import torch

from lexloom.base import files
from lexloom.base.errors import FolderError, RecipeError
from lexloom.models.folder import load_model
from lexloom.stages.building import gather
from lexloom.stages.evaluating import describe, evaluate
from lexloom.stages.plan import plan
from lexloom.stages.pretrain import pretrain
from lexloom.text.tokenizers import load_tokenizer
from lexloom.train.diary import CLOCK_FIELDS
from tests.small import prepared_folder, recipe_of

BLANKS = {"sample_every": 6, "sample_prompts": ("the <extra_id_0> sings", "<extra_id_0>明月<extra_id_1>")}
RECIPES = {
    "t5, denoise": ("t5", {"objective": "denoise", **BLANKS}),
    "t5, denoise, boundaries, two threads": (
        "t5",
        {
            "objective": "denoise", "masking": {"rate": 0.4, "span": 2.0}, "boundaries": True, "optimizer": "muon",
            "threads": 2,
        },
    ),
    "t5, prefix": ("t5", {"objective": "prefix", "sample_every": 6, "sample_prompts": ("the moon", "")}),
    "transformer, denoise": ("transformer", {"objective": "denoise"}),
    "transformer, prefix, boundaries": ("transformer", {"objective": "prefix", "boundaries": True}),
}  # fmt: skip
every_recipe = pytest.mark.parametrize("name", RECIPES)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return prepared_folder(tmp_path_factory.mktemp("corpus"), sentinels=12)


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


@every_recipe
def test_results_are_those_of_target_tokens_with_intervals(finished, name):
    (found,) = files.read_json(finished / name / "results.json")["models"]
    accuracy, nats = found["target_accuracy"], found["nats_per_target_token"]["value"]
    assert 0 <= accuracy["low"] <= accuracy["value"] <= accuracy["high"] <= 1
    assert found["perplexity_per_target_token"]["value"] == pytest.approx(math.exp(nats))
    assert nats == pytest.approx(lines(finished / name, "validation")[-1]["loss"], abs=1e-4)


@every_recipe
def test_a_folder_is_evaluated_as_it_was_trained(prepared, finished, name):
    run = finished / name
    found = evaluate([str(run / "model")] * 2, [str(prepared)])
    (trained,) = files.read_json(run / "results.json")["models"]
    for key in ("tokens", "sequences"):
        assert found["models"][1][key] == trained[key]
    value = trained["nats_per_target_token"]["value"]
    assert found["models"][0]["nats_per_target_token"]["value"] == pytest.approx(value, abs=1e-4)
    assert "nats per target token" in describe(found)
    assert f"{trained['tokens']:,} hidden tokens" in describe(found)
    (same,) = found["comparisons"]
    assert (same["value"], same["real"]) == (0.0, False)


@every_recipe
def test_nothing_is_claimed_that_only_others_have(finished, name):
    run = finished / name
    card = (run / "model" / "README.md").read_text(encoding="utf-8")
    assert 'pipeline_tag: "text2text-generation"' in card
    assert "AutoModelForSeq2SeqLM" in card
    assert "accuracy at target tokens" in card
    for text in (card, (run / "report.html").read_text(encoding="utf-8"), *map(json.dumps, lines(run, "validation"))):
        for claim in ("per byte", "per_byte", "causal", "generate(", "masked"):
            assert claim not in text, claim


@every_recipe
def test_targets_begin_with_padding_in_the_folder_as_in_training(finished, name):
    folder = finished / name / "model"
    tokenizer, config = load_tokenizer(folder), load_model(folder).model.config
    assert (config.start_id, config.pad_id) == (tokenizer.pad_id, tokenizer.pad_id)
    assert files.read_json(folder / "config.json")["decoder_start_token_id"] == tokenizer.pad_id


@pytest.mark.parametrize("name", ["t5, denoise", "transformer, prefix, boundaries"])
def test_transformers_finds_the_same_loss_in_the_folder(prepared, finished, name):
    transformers = pytest.importorskip("transformers")
    parts = gather(recipe(name), prepared)
    ours = load_model(finished / name / "model").model
    theirs = transformers.AutoModelForSeq2SeqLM.from_pretrained(finished / name / "model").eval()
    batch = parts.objective.make_batch(parts.units, [0, 1], lambda row: np.random.default_rng(row))
    sources = batch.source_BL[0].split(list(batch.source_runs))
    targets = batch.targets[0].split(list(batch.runs))
    with torch.no_grad():
        expected = sum(
            float(theirs(input_ids=source[None], labels=target[None]).loss) * len(target)
            for source, target in zip(sources, targets, strict=True)
        )
        assert float(parts.objective.loss(ours, batch).sum) == pytest.approx(expected, rel=1e-5)


def test_samples_are_the_prompts_with_their_sentinels_filled(finished):
    samples = lines(finished / "t5, denoise", "sample")
    assert [(line["step"], line["prompt"]) for line in samples] == [
        (step, prompt) for step in (6, 12) for prompt in BLANKS["sample_prompts"]
    ]
    for line in samples:
        assert "extra_id" not in line["text"]
    assert samples[0]["text"].startswith("the ")
    assert samples[0]["text"].endswith(" sings")
    assert "明月" in samples[1]["text"]


def test_an_encoder_decoder_learns_what_was_cut_out(prepared, tmp_path):
    values = {"steps": 60, "lr": 1e-2, "evaluate_every": 60, "checkpoint_every": 60, "objective": "denoise"}
    pretrain(recipe_of("t5", **values, model={"dropout": 0.0}), prepared, tmp_path / "run")
    losses = [line["loss"] for line in lines(tmp_path / "run", "step")]
    assert sum(losses[-10:]) / 10 < losses[0] - 1


def test_another_length_of_spans_before_resuming_is_refused_by_name(prepared, finished, tmp_path):
    run = shutil.copytree(finished / "t5, denoise", tmp_path / "run")
    files.discard(run / "model")
    with pytest.raises(FolderError, match=r"masking\.span: 3\.0 → 2\.0"):
        pretrain(recipe("t5, denoise", masking={"span": 2.0}), prepared, run)


def test_the_plan_counts_what_the_encoder_reads_and_what_the_decoder_writes(prepared):
    width, inner, ffn_width, layers, tokens = 48, 32, 96, 2, 32
    source, target = 0.9 * tokens, 0.2 * tokens
    layer = 4 * width * inner + 3 * width * ffn_width
    vocabulary = width * load_tokenizer(prepared).vocab_size
    weights = source * (layers * layer + 2 * width * inner) + target * (layer + 2 * width * inner + vocabulary)
    attention = 2 * inner * (layers * source**2 + target * (target / 2 + source))
    found = plan(recipe_of("t5", objective="denoise", masking={"rate": 0.15, "span": 3}), prepared).flops_per_token
    assert found == pytest.approx(6 * (weights + attention) / tokens)


@pytest.mark.parametrize(
    ("family", "change", "message"),
    [
        ("t5", {}, "model.family: t5 is an encoder-decoder, and the objective is for a decoder"),
        ("t5", {}, 'Choose gpt, llama, ngram, rnn; or the objective "denoise" or "prefix".'),
        (
            "gpt",
            {"objective": "denoise"},
            "model.family: gpt is a decoder, and the objective is for an encoder-decoder",
        ),
        (
            "bert",
            {"objective": "prefix"},
            'Choose transformer, t5, rnn-attention; or the objective "masked" or "bidirectional".',
        ),
        ("t5", {"objective": "denoise", "model": {"start_id": 3}}, "model.start_id: what is learned decides it"),
        ("t5", {"objective": "denoise", "masking": {"whole_words": True}}, "masking.whole_words"),
        ("t5", {"objective": "denoise", "context": 2, "batch_tokens": 8}, "a context of 2 has no room"),
        ("t5", {"objective": "denoise", "masking": {"rate": 0.5, "span": 1}}, "has 12 sentinels"),
        ("t5", {"objective": "denois"}, "did you mean 'denoise'?"),
        ("t5", {"objective": "denoise", "sample_every": 3}, "train.sample_prompts: '' has no <extra_id_0>"),
    ],
)
def test_a_recipe_that_cannot_work_is_refused_by_its_key(prepared, tmp_path, family, change, message):
    with pytest.raises(RecipeError) as caught:
        pretrain(recipe_of(family, **change), prepared, tmp_path / "run")
    assert message in str(caught.value)


def test_a_corpus_without_sentinels_is_refused_with_what_to_do(tmp_path):
    prepared = prepared_folder(tmp_path)
    with pytest.raises(RecipeError, match="no sentinels") as caught:
        pretrain(recipe_of("t5", objective="denoise"), prepared, tmp_path / "run")
    assert "prepare.tokenizer.sentinels = 100" in str(caught.value)
