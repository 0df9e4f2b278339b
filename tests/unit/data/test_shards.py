import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexloom.base import files
from lexloom.base.errors import DamagedError, DataError, FolderError
from lexloom.data.shards import EncodedDocument, encode_documents, open_split, write_split
from lexloom.text.tokenizers import TokenizerSettings, train_tokenizer


def prepare(path, documents, *, vocab_size=100, shard_tokens=7, sha256="aa"):
    encoded = [EncodedDocument(ids, len(ids) * 3, len(ids) - 1) for ids in documents]
    with files.new_folder(path, replace=True) as folder:
        write_split(folder, "train", encoded, vocab_size=vocab_size, tokenizer_sha256=sha256, shard_tokens=shard_tokens)
    return path


@given(
    documents=st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=20), max_size=8),
    shard_tokens=st.integers(1, 30),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_back_across_shards(tmp_path_factory, documents, shard_tokens, data):
    folder = prepare(tmp_path_factory.mktemp("prepared") / "p", documents, shard_tokens=shard_tokens)
    shards = open_split(folder, "train")
    flat = [token for ids in documents for token in ids]
    assert shards.total_tokens == len(flat)
    start = data.draw(st.integers(0, len(flat)))
    stop = data.draw(st.integers(start, len(flat)))
    assert shards.tokens(start, stop).tolist() == flat[start:stop]
    assert shards.documents[:, 0].tolist() == np.cumsum([len(ids) for ids in documents]).tolist()
    assert shards.documents[:, 1].tolist() == [3 * len(ids) for ids in documents]


@pytest.mark.parametrize(("vocab_size", "width"), [(65_535, 2), (65_536, 2), (65_537, 4), (70_000, 4)])
def test_the_largest_id_survives_at_every_vocabulary_size(tmp_path, vocab_size, width):
    folder = prepare(tmp_path / "p", [[0, vocab_size - 1]], vocab_size=vocab_size)
    assert open_split(folder, "train").tokens(0, 2).tolist() == [0, vocab_size - 1]
    assert (folder / "train" / "shard-00000.bin").stat().st_size == 2 * width


@pytest.mark.parametrize("bad", [100, 65_536, 65_536 + 5, -1])
def test_an_id_outside_of_the_vocabulary_is_refused_while_writing(tmp_path, bad):
    with pytest.raises(DataError, match=f"train document 1: has the id {bad}"):
        prepare(tmp_path / "p", [[1, 2], [3, bad]])
    assert not (tmp_path / "p").exists()


def test_an_id_outside_of_the_vocabulary_is_refused_while_opening(tmp_path):
    folder = prepare(tmp_path / "p", [[1, 2, 3]])
    shard, index = folder / "train" / "shard-00000.bin", files.read_json(folder / "train" / "index.json")
    shard.write_bytes(np.array([1, 100, 3], dtype="<u2").tobytes())
    index["shards"][0]["sha256"] = hashlib.sha256(shard.read_bytes()).hexdigest()
    files.write_json(folder / "train" / "index.json", index)
    with pytest.raises(DamagedError, match="holds the id 100, outside of the vocabulary of 100"):
        open_split(folder, "train")


@pytest.mark.parametrize("name", ["shard-00000.bin", "documents.bin"])
def test_cut_flipped_and_foreign_shards_get_three_different_messages(tmp_path, name):
    folder = prepare(tmp_path / "p", [[1, 2, 3], [4, 5]])
    path = folder / "train" / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(DamagedError, match=f"{name}: was cut or grew"):
        open_split(folder, "train")
    path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    with pytest.raises(DamagedError, match=f"{name}: was changed"):
        open_split(folder, "train")
    path.write_bytes(whole)
    with pytest.raises(FolderError, match="another tokenizer"):
        open_split(folder, "train", tokenizer_sha256="bb")
    assert open_split(folder, "train", tokenizer_sha256="aa").total_tokens == 5


def test_an_absent_part_and_a_foreign_index_are_named(tmp_path):
    folder = prepare(tmp_path / "p", [[1, 2]])
    with pytest.raises(FolderError, match="no part named 'validation'"):
        open_split(folder, "validation")
    files.write_json(folder / "train" / "index.json", {"format": 99})
    with pytest.raises(DamagedError, match="not an index"):
        open_split(folder, "train")


def test_a_missing_shard_is_damage(tmp_path):
    folder = prepare(tmp_path / "p", [[1, 2]])
    (folder / "train" / "shard-00000.bin").unlink()
    with pytest.raises(DamagedError, match="has 0 bytes instead of 4"):
        open_split(folder, "train")


def test_an_index_can_t_lead_out_of_its_folder(tmp_path):
    folder = prepare(tmp_path / "p", [[1, 2]])
    index = files.read_json(folder / "train" / "index.json")
    index["shards"][0]["name"] = "../../elsewhere.bin"
    files.write_json(folder / "train" / "index.json", index)
    with pytest.raises(FolderError, match="names a file outside"):
        open_split(folder, "train")


def test_the_fingerprint_tells_tokens_and_tokenizers_apart(tmp_path):
    same = [open_split(prepare(tmp_path / name, [[1, 2]]), "train").fingerprint for name in "ab"]
    other = open_split(prepare(tmp_path / "c", [[1, 3]]), "train").fingerprint
    foreign = open_split(prepare(tmp_path / "d", [[1, 2]], sha256="bb"), "train").fingerprint
    assert same[0] == same[1]
    assert len({same[0], other, foreign}) == 3


def test_every_document_ends_in_one_separator(tmp_path):
    texts = ["to be", "", "床前明月光"]
    tokenizer = train_tokenizer(iter(texts), TokenizerSettings(kind="characters"))
    encoded = list(encode_documents(texts, tokenizer))
    assert [document.ids.count(tokenizer.eos_id) for document in encoded] == [1, 1, 1]
    assert [document.ids[-1] for document in encoded] == [tokenizer.eos_id] * 3
    assert [(document.utf8_bytes, document.words) for document in encoded] == [(5, 2), (0, 0), (15, 5)]


WRITE = """
import sys
from pathlib import Path
from lexloom.base import files
from lexloom.data.shards import encode_documents, write_split
from lexloom.text.tokenizers import TokenizerSettings, train_tokenizer
texts = [f"number {n} 第{n}行 " * (n % 7) for n in range(3000)]
tokenizer = train_tokenizer(iter(texts), TokenizerSettings(kind=sys.argv[2], vocab_size=700))
with files.new_folder(Path(sys.argv[1])) as folder:
    encoded = encode_documents(iter(texts), tokenizer)
    write_split(folder, "train", encoded, vocab_size=tokenizer.vocab_size, tokenizer_sha256=tokenizer.sha256)
"""


@pytest.mark.parametrize("kind", ["bpe", "wordpiece", "unigram"])
def test_any_number_of_threads_writes_the_same_bytes(tmp_path, kind):
    hashes = []
    for threads in ("1", "4"):
        out = tmp_path / threads
        environment = {**os.environ, "RAYON_NUM_THREADS": threads, "PYTHONHASHSEED": threads}
        subprocess.run([sys.executable, "-c", WRITE, str(out), kind], env=environment, check=True)
        hashes.append(files.sha256_of(out / "manifest.json"))
    assert hashes[0] == hashes[1]
