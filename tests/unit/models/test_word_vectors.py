"""word2vec and GloVe learned from a made-up corpus in which two kinds of words keep two kinds of company."""

import random
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lexloom.base.errors import DataError, UserError
from lexloom.data.batches import Windows
from lexloom.data.cooccurrence import Pairs
from lexloom.models import glove, word2vec
from lexloom.models.folder import ModelFolder, load_model
from lexloom.models.glove import Side
from lexloom.models.word_vectors import export_vectors, import_vectors
from lexloom.stages.words import word_table
from lexloom.text.tokenizers import TokenizerSettings, train_tokenizer

KINDS = (["cat", "dog", "horse", "小猫"], ["eats", "sleeps", "runs"]), (["red", "blue", "green"], ["paint", "colour"])
ANIMALS = {"cat", "dog", "horse", "小猫"}


@pytest.fixture(scope="module")
def corpus():
    rng = random.Random(0)
    texts = [f"{rng.choice(one)} {rng.choice(other)} {rng.choice(one)}" for one, other in KINDS for _ in range(400)]
    rng.shuffle(texts)
    tokenizer = train_tokenizer(iter(texts), TokenizerSettings(kind="words", vocab_size=64))
    documents = [[*tokenizer.encode(text), tokenizer.eos_id] for text in texts]
    ids = np.array([number for document in documents for number in document])
    ends = np.cumsum([len(document) for document in documents])
    shards = SimpleNamespace(total_tokens=len(ids), documents=ends[:, None], tokens=lambda start, stop: ids[start:stop])
    return tokenizer, Windows(shards, 32, boundaries=True)


def learned(file, corpus, *, epochs=20, seed=1, **settings):
    if file is word2vec:
        pytest.importorskip("gensim")
    tokenizer, windows = corpus
    settings = {"width": 12, "least_count": 1, **settings}
    config = file.Config(vocab_size=tokenizer.vocab_size, **settings)
    return file.fit(
        config, windows, lambda *_: None, scratch=Path("none"), tokenizer=tokenizer, seed=seed, epochs=epochs
    )


def table_of(model, tokenizer):
    return word_table(ModelFolder(model.eval(), tokenizer, "any", {}, {}), Path("here"))


@pytest.mark.parametrize(
    ("file", "settings"),
    [
        (word2vec, {"subsample": 0.0, "alpha": 0.05}),
        (word2vec, {"subsample": 0.0, "alpha": 0.1, "algorithm": "cbow"}),
        (word2vec, {"subsample": 0.0, "alpha": 0.05, "hierarchical": True, "negative": 0}),
        (word2vec, {"subsample": 0.0, "alpha": 0.05, "shortest_subword": 3, "subword_rows": 1000}),
    ],
)
def test_words_that_keep_the_same_company_become_neighbours(corpus, file, settings):
    table = table_of(learned(file, corpus, **settings), corpus[0])
    for word in ANIMALS:
        assert {near.word for near in table.neighbours(word, top=3)} == ANIMALS - {word}


def test_glove_brings_words_near_that_stand_together(corpus):
    table = table_of(learned(glove, corpus, alpha=0.1, batch=64, most=10.0), corpus[0])
    together = ANIMALS | {"eats", "sleeps", "runs"}
    for word in together:
        assert {near.word for near in table.neighbours(word, top=6)} == together - {word}


@pytest.mark.parametrize("file", [glove, word2vec])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(corpus, file):
    first, again, other = (learned(file, corpus, epochs=2, seed=seed).tokens.weight for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("file", [glove, word2vec])
def test_special_tokens_and_rare_words_get_rows_of_zeros(corpus, file):
    tokenizer, _ = corpus
    rows = learned(file, corpus, epochs=1).tokens.weight.any(dim=1)
    assert {number for number in range(tokenizer.vocab_size) if not rows[number]} == tokenizer.special_ids
    with pytest.raises(DataError, match="least_count to 1"):
        learned(file, corpus, epochs=1, least_count=10_000)


def test_word2vec_without_gensim_names_the_extra(corpus, monkeypatch):
    monkeypatch.setitem(sys.modules, "gensim.models", None)
    with pytest.raises(UserError, match=r"lexloom\[vectors\]"):
        word2vec._machine(word2vec.Config(vocab_size=9), 0)


def test_long_documents_reach_gensim_whole(monkeypatch):
    monkeypatch.setattr(word2vec, "SENTENCE_TOKENS", 4)
    shards = SimpleNamespace(
        total_tokens=11, documents=np.array([[9], [11]]), tokens=lambda start, stop: np.arange(start, stop)
    )
    sentences = word2vec.Sentences(shards, {0, 8}, [str(number) for number in range(11)])
    expected = [["1", "2", "3"], ["4", "5", "6", "7"], [], ["9", "10"]]
    assert list(sentences) == list(sentences) == expected
    assert len(sentences) == len(expected)


def test_a_step_of_glove_is_adagrad_on_the_papers_loss():
    config = glove.Config(vocab_size=7, width=5, most=3.0)
    words, contexts = (Side(config, 1, name) for name in ("words", "contexts"))
    ids, company = torch.tensor([0, 1, 1, 4, 4]), torch.tensor([2, 0, 2, 3, 3])
    counts = torch.tensor([0.5, 9.0, 2.0, 1.0, 4.0])
    parameters = [side.values_VE.clone().requires_grad_() for side in (words, contexts)]
    w, c = parameters
    products = (w[ids, :-1] * c[company, :-1]).sum(1) + w[ids, -1] + c[company, -1]
    loss = ((counts / 3).clamp(max=1).pow(0.75) * (products - counts.log()).square()).sum()
    (loss / 2).backward()
    optimizer = torch.optim.Adagrad(parameters, lr=config.alpha, initial_accumulator_value=1.0, eps=0.0)
    optimizer.step()
    assert float(glove._step(words, contexts, ids, company, counts, config)) == pytest.approx(
        float(loss.detach()), rel=1e-5
    )
    for side, expected in zip((words, contexts), parameters, strict=True):
        assert torch.allclose(side.values_VE, expected, atol=1e-6)


def test_a_pass_of_glove_sees_every_pair_once(monkeypatch):
    config = glove.Config(vocab_size=40, batch=16)
    keys = np.arange(40 * 40)[np.triu(np.ones((40, 40), bool)).ravel()]
    seen = []
    monkeypatch.setattr(glove, "_step", lambda *given: seen.extend(zip(*given[2:4], strict=True)) or torch.zeros(()))
    list(glove._learn(None, None, Pairs(keys, np.ones(len(keys), np.float32), 40), config, (1, 0)))
    pairs = [(int(one), int(other)) for one, other in seen]
    assert sorted(min(pair) * 40 + max(pair) for pair in pairs) == keys.tolist()
    assert any(one > other for one, other in pairs)
    assert any(one < other for one, other in pairs)


@pytest.mark.parametrize("format", ["word2vec", "word2vec-binary"])
def test_gensim_loads_our_file_and_finds_the_same_neighbours(corpus, tmp_path, format):
    models = pytest.importorskip("gensim.models")
    tokenizer, _ = corpus
    model = learned(glove, corpus, epochs=3)
    file = tmp_path / ("v.bin" if format == "word2vec-binary" else "v.txt")
    export_vectors(ModelFolder(model, tokenizer, "glove", {}, {}), file, format)
    theirs = models.KeyedVectors.load_word2vec_format(str(file), binary=file.suffix == ".bin")
    ours = table_of(model, tokenizer)
    for word in theirs.index_to_key:
        pairs = [(near.word, near.cosine) for near in ours.neighbours(word, top=5)]
        expected = theirs.most_similar(word, topn=5)
        assert [one for one, _ in pairs] == [one for one, _ in expected]
        assert [cosine for _, cosine in pairs] == pytest.approx([cosine for _, cosine in expected], abs=1e-5)


@pytest.mark.parametrize(("header", "family"), [(True, "word2vec"), (False, "glove")])
def test_an_imported_file_keeps_every_vector_and_reads_text(tmp_path, header, family):
    words = ["the", "北京", "大学", "u.s.", "cat", "<|pad|>", "don't"]
    lines = [f"{word} {place} 1 {-place}" for place, word in enumerate(words)]
    (tmp_path / "v.txt").write_text("\n".join([f"{len(words)} 3"] * header + lines), encoding="utf-8")
    import_vectors(tmp_path / "v.txt", tmp_path / "model")
    found = load_model(tmp_path / "model")
    assert (found.family, found.model.config.width) == (family, 3)
    table = word_table(found, tmp_path)
    weight = found.model.tokens.weight
    for place, word in enumerate(words):
        if word != "<|pad|>":
            assert weight[table.id(word)].tolist() == [place, 1, -place]
    ids = found.tokenizer.encode("The cat 北京大学 dog")
    assert [table.word(number) for number in ids] == ["the", "cat", "北京", "大学", "<|unk|>"]


@pytest.mark.parametrize(
    ("file", "settings", "message"),
    [
        (word2vec, {"window": 2.5}, "window: 2.5 is not a whole number"),
        (word2vec, {"negative": 0}, "there is nothing to learn from"),
        (word2vec, {"algorithm": "bow"}, "algorithm: unknown value 'bow'"),
        (glove, {"window": 0}, "window"),
        (glove, {"power": 2.0}, "power: 2.0 is not a number from 0 to 1"),
        (glove, {"head": "span"}, "head: unknown value 'span'"),
    ],
)
def test_impossible_settings_are_named(file, settings, message):
    with pytest.raises(UserError, match=message):
        file.Config(vocab_size=9, **settings)
