"""A small translator from nothing: trained, interrupted, resumed, asked from files, lines and Python."""

import json
import random
import shutil

import pytest

import lexloom
from lexloom.base import files
from lexloom.base.errors import DataError, FolderError, RecipeError
from lexloom.base.recipe import check
from lexloom.stages.adapting import read_data
from lexloom.stages.beginning import open_base
from lexloom.stages.evaluate_tasks import evaluate_tasks
from lexloom.stages.finetune import finetune
from lexloom.stages.finetune_recipe import FinetuneRecipe
from lexloom.stages.predict import predict
from lexloom.text.tokenizers import TokenizerSettings
from tests.finetuning import write_reviews

WORDS = {"red": "rot", "dog": "Hund", "runs": "läuft", "sees": "sieht", "the": "der", "house": "Haus"}
TRAIN = {
    "epochs": 2,
    "batch_size": 16,
    "micro_batch_tokens": 64,
    "optimizer": "muon",
    "lr": 5e-3,
    "label_smoothing": 0.1,
    "checkpoint_every": 3,
    "threads": 1,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("words")
    rng = random.Random(0)
    for name, count in (("train", 96), ("val", 8), ("test", 8)):
        texts = [rng.choices(list(WORDS), k=rng.randint(2, 6)) for _ in range(count)]
        lines = {"en": texts, "de": [[WORDS[word] for word in text] for text in texts]}
        for language, words in lines.items():
            (folder / f"{name}.{language}").write_text(
                "".join(" ".join(text) + "\n" for text in words), encoding="utf-8"
            )
    return folder


def recipe_of(place, *, model=None, **train):
    data = {
        name: str(place / f"{stem}.{{}}")
        for name, stem in (("train", "train"), ("validation", "val"), ("test", "test"))
    }
    values = {
        "task": {"name": "text2text", "source": "en", "target": "de"},
        "data": data,
        "model": {"family": "transformer", "preset": "toy"} if model is None else model,
        "tokenizer": {"vocab_size": 300},
        "train": {**TRAIN, **train},
    }
    return check(FinetuneRecipe, values, where="test")


@pytest.fixture(scope="module")
def finished(place, tmp_path_factory):
    run = tmp_path_factory.mktemp("finished") / "run"
    finetune(recipe_of(place), run)
    return run


def test_a_run_from_nothing_keeps_its_tokenizer_and_its_figures(finished):
    assert (finished / "tokenizer" / "tokenizer.json").read_bytes() == (
        finished / "model" / "tokenizer.json"
    ).read_bytes()
    results = files.read_json(finished / "results.json")
    assert results["splits"]["test"]["main"] == "BLEU"
    assert results["splits"]["test"]["figures"]["BLEU"]["low"] is not None
    assert "from random weights" in (finished / "model" / "README.md").read_text(encoding="utf-8")
    assert (finished / "report.html").is_file()


def test_an_interrupted_run_ends_in_the_same_bytes(place, finished, tmp_path):
    run = tmp_path / "cut"
    finetune(recipe_of(place), run)
    files.discard(run / "model")
    for step in (12, 9):
        files.discard(run / "checkpoints" / f"step-{step:08}")
    finetune(recipe_of(place), run)
    for name in ("model/model.safetensors", "model/tokenizer.json", "predictions.jsonl", "results.json"):
        assert (run / name).read_bytes() == (finished / name).read_bytes()


def test_a_begun_run_refuses_another_tokenizer_and_one_that_never_began_learns_it_anew(place, finished, tmp_path):
    smaller = recipe_of(place).model_copy(update={"tokenizer": TokenizerSettings(vocab_size=280)})
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    files.discard(run / "model")
    with pytest.raises(FolderError, match="tokenizer_settings"):
        finetune(smaller, run)
    base = open_base(smaller, read_data(smaller).train, run)
    assert base.tokenizer.vocab_size == 300
    files.discard(run / "checkpoints")
    base = open_base(smaller, read_data(smaller).train, run)
    assert base.tokenizer.vocab_size == 280


def test_going_on_with_a_model_takes_its_weights_and_its_words(place, finished, tmp_path):
    outcome = finetune(recipe_of(place, model={"folder": str(finished / "model")}, epochs=0.2), tmp_path / "more")
    assert not (tmp_path / "more" / "tokenizer").exists()
    assert (outcome.model / "tokenizer.json").read_bytes() == (finished / "model" / "tokenizer.json").read_bytes()


def test_lines_come_out_as_lines_blank_ones_too(finished, tmp_path):
    (tmp_path / "letter.txt").write_text("the dog\n\nred house\n", encoding="utf-8")
    predict(finished / "model", [str(tmp_path / "letter.txt")], out=str(tmp_path / "answer.txt"))
    answer = (tmp_path / "answer.txt").read_text(encoding="utf-8").split("\n")
    assert len(answer) == 4
    assert (answer[1], answer[3]) == ("", "")
    assert answer[0] == lexloom.load(finished / "model").write("the dog")


def test_tables_keep_their_columns(finished, tmp_path):
    (tmp_path / "new.csv").write_text("id,en\n7,the dog\n", encoding="utf-8")
    predict(finished / "model", [str(tmp_path / "new.csv")], out=str(tmp_path / "out.jsonl"))
    [row] = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert list(row) == ["id", "en", "predicted_text", "predicted_score"]


def test_python_writes_one_text_or_many(finished):
    model = lexloom.load(finished / "model")
    one, two = model.write("the dog"), model.write(["the dog", "red house"], beams=1)
    assert isinstance(one, str)
    assert len(two) == 2
    found = model.predict("the dog", beams=3, n_best=2)
    assert found["score"] >= found["others"][0]["score"]


def test_two_translators_are_compared_on_the_same_pairs(place, finished):
    results = evaluate_tasks([finished / "model"] * 2, [str(place / "test.{}")])
    assert [model["main"] for model in results["models"]] == ["BLEU", "BLEU"]
    assert results["comparisons"][0]["value"] == 0.0


def test_transformers_reads_the_folder_and_writes_the_same(place, finished):
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(finished / "model")
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(finished / "model").eval()
    sources = (place / "test.en").read_text(encoding="utf-8").splitlines()
    ours = lexloom.load(finished / "model").write(sources, beams=1, max_ratio=None, max_tokens=12)
    for source, text in zip(sources, ours, strict=True):
        ids = model.generate(
            **tokenizer(source, return_tensors="pt", return_token_type_ids=False),
            num_beams=1,
            do_sample=False,
            max_new_tokens=12,
            bad_words_ids=[[tokenizer.pad_token_id]],
        )
        assert tokenizer.decode(ids[0], skip_special_tokens=True).strip() == text


def test_any_task_may_begin_from_nothing(tmp_path):
    table = write_reviews(tmp_path / "train.csv", 40)
    values = {
        "data": {"train": str(table)},
        "model": {"family": "bert", "preset": "toy", "dropout": 0.0},
        "tokenizer": {"kind": "wordpiece", "vocab_size": 120},
        "train": {"epochs": 1, "batch_size": 16, "threads": 1},
    }
    outcome = finetune(check(FinetuneRecipe, values, where="test"), tmp_path / "run")
    assert lexloom.load(outcome.model).classify("a lovely film")["label"] in ("good", "bad")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({}, "neither a folder nor a family"),
        ({"folder": "x", "family": "transformer"}, "both a folder and a family"),
        ({"folder": "x", "widht": 3}, "model.widht"),
        ({"family": "bert", "preset": "toy"}, "text2text needs an encoder-decoder"),
        ({"family": "transformr"}, "model.family"),
        ({"family": "transformer", "preset": "toy", "widht": 3}, "model.widht"),
        ({"family": "transformer", "preset": "toy", "vocab_size": 3}, "less than the tokenizer's"),
    ],
)
def test_a_beginning_that_can_not_be_is_refused(place, tmp_path, model, words):
    with pytest.raises(RecipeError, match=words):
        finetune(recipe_of(place, model=model), tmp_path / "run")


def test_a_test_share_is_held_out_and_shares_no_sentence_with_the_rest(tmp_path):
    table = tmp_path / "pairs.tsv"
    table.write_text("source\ttarget\n" + "".join(f"s {row}\tt {row // 2}\n" for row in range(600)), encoding="utf-8")
    values = {
        "task": {"name": "text2text"},
        "data": {"train": str(table), "validation_share": 0.2, "test_share": 0.2},
        "model": {"family": "transformer", "preset": "toy"},
    }
    data = read_data(check(FinetuneRecipe, values, where="test"))
    parts = [
        {text for pair in part for text in (pair.source, *pair.targets)}
        for part in (data.train, data.validation, data.test)
    ]
    assert sum(map(len, (data.train, data.validation, data.test))) == 600
    assert all(80 < len(part) < 160 for part in (data.validation, data.test))
    assert all(
        one.isdisjoint(other) for one, other in ((parts[0], parts[1]), (parts[0], parts[2]), (parts[1], parts[2]))
    )


@pytest.mark.parametrize("side", ["en", "de"])
def test_a_pair_of_50000_words_is_cut_counted_and_learned(place, tmp_path, side):
    for language, word in (("en", "dog"), ("de", "Hund")):
        (tmp_path / f"one.{language}").write_text(" ".join([word] * (50_000 if language == side else 1)) + "\n")
    recipe = recipe_of(place, epochs=1)
    data = recipe.data.model_copy(
        update={"train": (str(tmp_path / "one.{}"),), "validation": (), "validation_share": 0}
    )
    outcome = finetune(recipe.model_copy(update={"data": data}), tmp_path / "run")
    assert outcome.steps == 1
    [cut] = [row for row in files.read_json(tmp_path / "run" / "ledger.json") if row["stage"] == "encode"]
    assert (cut["documents"], cut["examples"]) == (1, [f"{tmp_path}/one.en:1"])
    assert cut["characters"] > 150_000


def test_one_pair_can_not_be_split_and_that_is_said(place, tmp_path):
    for language, word in (("en", "dog"), ("de", "Hund")):
        (tmp_path / f"one.{language}").write_text(word + "\n")
    recipe = recipe_of(place)
    data = recipe.data.model_copy(update={"train": (str(tmp_path / "one.{}"),), "validation": ()})
    with pytest.raises(DataError, match="validation_share"):
        finetune(recipe.model_copy(update={"data": data}), tmp_path / "run")
