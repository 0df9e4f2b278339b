"""`evaluate` measures models on the same text, with intervals, a paired test and a look for leaks."""

import json
import math

import pytest

import lexloom
from lexloom.base import files
from lexloom.base.errors import FolderError, UserError
from lexloom.data.shards import encode_documents, write_split
from lexloom.stages.evaluate import describe, evaluate
from lexloom.text.readers import DataSettings
from lexloom.text.tokenizers import write_tokenizer
from tests.folders import write_model

LINES = [f"Line {number}: to be or not to be, 春眠不觉晓 {number * 7}." for number in range(30)]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("evaluate")
    return {
        "first": write_model(root / "first", seed=0),
        "second": write_model(root / "second", seed=1),
        "characters": write_model(root / "characters", kind="characters"),
    }


def prepare(path, tokenizer, *, train, validation):
    with files.new_folder(path) as folder:
        write_tokenizer(folder, tokenizer)
        for split, texts in (("train", train), ("validation", validation)):
            encoded = encode_documents(texts, tokenizer)
            write_split(folder, split, encoded, vocab_size=tokenizer.vocab_size, tokenizer_sha256=tokenizer.sha256)
    return path


@pytest.fixture(scope="module")
def prepared(models, tmp_path_factory):
    tokenizer = lexloom.load(models["first"]).tokenizer
    path = tmp_path_factory.mktemp("prepared") / "prepared"
    return prepare(path, tokenizer, train=[*LINES[:3], "other"], validation=LINES)


def test_prepared_folder_and_text_file_give_the_same_numbers(models, prepared, tmp_path):
    (tmp_path / "text.txt").write_text("\n".join(LINES) + "\n", encoding="utf-8")
    from_folder = evaluate([models["first"]], [str(prepared)])
    from_text = evaluate([models["first"]], [str(tmp_path / "text.txt")])
    assert from_folder["models"] == from_text["models"]
    assert (from_folder["leaked_documents"], from_text["leaked_documents"]) == (3, None)


def test_bits_per_byte_are_those_of_the_api_with_the_ends_of_documents(models, prepared):
    found = evaluate([models["first"]], [str(prepared)])["models"][0]
    model = lexloom.load(models["first"])
    eos = model.tokenizer.eos_id
    nats = 0.0
    for line in LINES:
        ids = model.tokenizer.encode(line)
        nats -= math.fsum(model.score(line).logprobs)
        nats -= float(model.logits([eos, *ids])[0, -1].log_softmax(-1)[eos])
    assert found["bits_per_byte"]["value"] == pytest.approx(
        nats / math.log(2) / sum(len(line.encode()) for line in LINES), rel=1e-5
    )
    assert found["documents"] == 30


def test_two_models_are_compared_in_pairs(models, prepared, tmp_path):
    results = evaluate([models["first"], models["second"], models["first"]], [str(prepared)], out=tmp_path / "out")
    different, same = results["comparisons"]
    first, second = (model["bits_per_byte"]["value"] for model in results["models"][:2])
    assert different["value"] == pytest.approx(second - first)
    assert (same["value"], same["p"], same["real"]) == (0, 1, False)
    assert "can't be told apart" in same["verdict"]
    assert json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8")) == results
    text = describe(results)
    assert "bits per byte" in text
    assert "3 validation documents also stand in the training part" in text


def test_models_with_other_tokenizers_are_scored_on_the_same_bytes(models, prepared):
    results = evaluate([models["first"], models["characters"]], [str(prepared)])
    first, characters = results["models"]
    assert first["utf8_bytes"] == characters["utf8_bytes"]
    assert first["tokens"] != characters["tokens"]
    assert {"value", "low", "high", "p", "real", "verdict"} <= results["comparisons"][0].keys()


def test_a_lossy_tokenizer_is_not_decoded_for_another_model(models, tmp_path):
    tokenizer = lexloom.load(models["characters"]).tokenizer
    prepared = prepare(tmp_path / "lossy", tokenizer, train=[], validation=["龘 unknown to the tokenizer"])
    with pytest.raises(FolderError, match="doesn't keep all of the text"):
        evaluate([models["first"]], [str(prepared)])


def test_nothing_to_evaluate_is_a_sentence(models, tmp_path):
    tokenizer = lexloom.load(models["first"]).tokenizer
    empty = prepare(tmp_path / "empty", tokenizer, train=["a"], validation=[])
    with pytest.raises(UserError, match="no documents to evaluate"):
        evaluate([models["first"]], [str(empty)])
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(UserError):
        evaluate([models["first"]], [str(tmp_path / "empty.txt")])


def test_one_long_document_has_an_interval_too(models, tmp_path):
    (tmp_path / "book.txt").write_text("\n".join(LINES * 5), encoding="utf-8")
    results = evaluate([models["first"]], [str(tmp_path / "book.txt")], settings=DataSettings(documents="file"))
    found = results["models"][0]
    assert found["documents"] == 1
    assert found["bits_per_byte"]["low"] < found["bits_per_byte"]["value"] < found["bits_per_byte"]["high"]
    assert "blocks" in describe(results)
