import json

import numpy as np
import pytest
from typer.testing import CliRunner

import lexloom
from lexloom.base.errors import FolderError, RecipeError, UserError
from lexloom.base.files import sha256_of
from lexloom.base.recipe import check
from lexloom.cli import app
from lexloom.stages.evaluating import describe, evaluate
from lexloom.stages.exchange import import_file
from lexloom.stages.finetune import finetune
from lexloom.stages.finetune_recipe import FinetuneRecipe
from lexloom.stages.pretrain import pretrain
from lexloom.stages.recipe import Recipe
from lexloom.stages.words import neighbours
from tests.small import prepared_folder


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return prepared_folder(tmp_path_factory.mktemp("corpus"), tokenizer="words")


def recipe(family, *, objective="neighbours", **model):
    section = {"family": family, "width": 16, **model}
    train = {"epochs": 2, "threads": 1}
    return check(Recipe, {"objective": objective, "model": section, "train": train}, where="test")


@pytest.fixture(scope="module")
def runs(prepared, tmp_path_factory):
    pytest.importorskip("gensim")
    root = tmp_path_factory.mktemp("runs")
    for family in ("word2vec", "glove"):
        pretrain(recipe(family, least_count=1), prepared, root / family)
    return root


@pytest.mark.parametrize("family", ["word2vec", "glove"])
def test_a_run_ends_in_a_model_whose_words_can_be_looked_up(runs, family):
    model = lexloom.load(runs / family / "model")
    assert model.family == family
    found = model.neighbours("moon", top=3)
    assert len(found) == 3
    assert found[0].cosine >= found[1].cosine >= found[2].cosine
    assert len(model.analogy("moon", "river", "明月光")) > 0
    plain_ND = model.embed(["the moon", "moon the", "unheard"])
    assert np.allclose(plain_ND[0], plain_ND[1], atol=1e-6)
    assert not plain_ND[2].any()
    table = model.module.tokens.weight.detach().numpy()
    rows = table[model.tokenizer.encode("the moon")]
    mean_D = rows.mean(axis=0)
    assert np.allclose(model.embed("the moon", normalise=True), mean_D / np.linalg.norm(mean_D), atol=1e-6)
    card = (runs / family / "model" / "README.md").read_text()
    assert "A table of word vectors" in card
    assert "transformers" not in card


def test_the_same_recipe_gives_the_same_bytes(runs, prepared, tmp_path):
    for family in ("word2vec", "glove"):
        pretrain(recipe(family, least_count=1), prepared, tmp_path / family)
        first, again = (root / family / "model" / "model.safetensors" for root in (runs, tmp_path))
        assert sha256_of(first) == sha256_of(again)


def test_families_and_objectives_that_do_not_go_together_are_refused(prepared, tmp_path):
    with pytest.raises(RecipeError, match="bert is learned by steps"):
        pretrain(recipe("bert", layers=1, heads=2, ffn_width=16, context=512), prepared, tmp_path / "a")
    with pytest.raises(RecipeError, match="objective"):
        pretrain(recipe("glove", objective="causal"), prepared, tmp_path / "b")


def test_vectors_are_judged_by_pairs_and_analogies(runs, tmp_path):
    (tmp_path / "pairs.txt").write_text(
        "moon\triver\t8\nfalls\t明月光\t9\nthe\tand\t1\nmoon\tsun\t5\n", encoding="utf-8"
    )
    (tmp_path / "analogies.txt").write_text(": verse\nmoon river falls 明月光\nsun moon a b\n", encoding="utf-8")
    folders = [str(runs / name / "model") for name in ("word2vec", "glove")]
    data = [str(tmp_path / name) for name in ("pairs.txt", "analogies.txt")]
    results = evaluate(folders, data, out=tmp_path)
    assert json.loads((tmp_path / "results.json").read_text()) == json.loads(json.dumps(results))
    pairs, analogies = results["words"]
    assert [(model["known"], model["pairs"]) for model in pairs["models"]] == [(3, 4)] * 2
    assert analogies["models"][0]["sections"]["total"]["questions"] == 2
    assert analogies["models"][0]["sections"]["verse"]["known"] == 1
    text = describe(results)
    assert "3 of 4" in text
    assert "1 of 2" in text


def test_the_command_line_looks_words_up_and_writes_files(runs, tmp_path):
    model = str(runs / "glove" / "model")
    run = CliRunner().invoke
    assert "明月光" in run(app, ["neighbours", model, "moon", "--top", "20"]).output
    assert "moon : river = the : ?" in run(app, ["neighbours", model, "moon", "river", "the", "--analogy"]).output
    for name in ("v.txt", "v.bin"):
        assert run(app, ["export", model, str(tmp_path / name)]).exit_code == 0
        assert run(app, ["import", str(tmp_path / name), str(tmp_path / f"{name}-model")]).exit_code == 0
        ours, back = (lexloom.load(folder) for folder in (model, tmp_path / f"{name}-model"))
        assert ours.neighbours("moon") == pytest.approx(back.neighbours("moon"))
    assert lexloom.load(tmp_path / "v.txt-model").family == "glove"


def test_what_cannot_be_looked_up_is_said(runs, tmp_path):
    with pytest.raises(UserError, match="three words, not 2"):
        neighbours(runs / "glove" / "model", ["moon", "river"], analogy=True)
    with pytest.raises(UserError, match="no vector for 'sun'"):
        lexloom.load(runs / "glove" / "model").neighbours("sun")
    with pytest.raises(UserError, match="is no file that can be imported"):
        import_file(tmp_path / "x.doc", tmp_path / "out")


def test_a_classifier_learns_upon_the_mean_of_a_texts_vectors(runs, tmp_path):
    rows = [("the moon sings", "moon"), ("the river falls", "river")] * 12
    (tmp_path / "train.tsv").write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows))
    values = {
        "task": {"name": "classify"},
        "model": {"folder": str(runs / "glove" / "model")},
        "data": {"train": [str(tmp_path / "train.tsv")], "validation": [str(tmp_path / "train.tsv")]},
        "train": {"epochs": 30, "lr": 0.05, "threads": 1},
    }
    finetune(check(FinetuneRecipe, values, where="test"), tmp_path / "run")
    model = lexloom.load(tmp_path / "run" / "model")
    assert (model.family, model.config.head) == ("glove", "sequence")
    assert model.classify(["moon sings the", "falls river"])[0]["label"] == "moon"
    assert model.classify("the river")["label"] == "river"
    with pytest.raises(FolderError):
        _ = lexloom.load(runs / "glove" / "model").task
