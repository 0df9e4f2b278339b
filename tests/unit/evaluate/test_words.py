import numpy as np
import pytest
from scipy.stats import spearmanr

from lexloom.base.errors import UserError
from lexloom.evaluate.words import WordTable, compare_pairs, judge_analogies, judge_pairs
from lexloom.labelled.word_lists import Analogies, WordPairs
from lexloom.text.tokenizers import TokenizerSettings, train_tokenizer

NAMES = [f"w{chr(97 + one)}{chr(97 + other)}" for one in range(6) for other in range(10)]


def table(seed=0, *, known=60):
    tokenizer = train_tokenizer(iter([" ".join(NAMES)]), TokenizerSettings(kind="words", vocab_size=100))
    vectors = np.zeros((tokenizer.vocab_size + 3, 8), np.float32)  # a table may have rows beyond the tokenizer
    rng = np.random.default_rng(seed)
    for name in NAMES[:known]:
        [number] = tokenizer.encode(name)
        vectors[number] = rng.standard_normal(8)
    vectors[-1] = 1
    return WordTable(tokenizer, vectors), {name: vectors[tokenizer.encode(name)[0]] for name in NAMES}


def gensim_vectors(vectors):
    models = pytest.importorskip("gensim.models")
    known = {name: vector for name, vector in vectors.items() if vector.any()}
    theirs = models.KeyedVectors(8)
    theirs.add_vectors(list(known), np.stack(list(known.values())))
    return theirs


def test_neighbours_and_analogies_are_gensims():
    ours, vectors = table(known=55)
    theirs = gensim_vectors(vectors)
    for word in NAMES[:20]:
        found = ours.neighbours(word, top=7)
        assert [near.word for near in found] == [name for name, _ in theirs.most_similar(word, topn=7)]
    a, b, c = NAMES[3:6]
    expected = theirs.most_similar(positive=[b, c], negative=[a], topn=5)
    found = ours.analogy(a, b, c, top=5)
    assert [near.word for near in found] == [name for name, _ in expected]
    assert [near.cosine for near in found] == pytest.approx([cosine for _, cosine in expected], abs=1e-5)
    assert len(ours.neighbours(NAMES[0], top=1000)) == 54


def test_a_word_without_a_vector_is_named():
    ours, _ = table(known=10)
    for word in (NAMES[20], "nothing", "<|pad|>", ""):
        with pytest.raises(UserError, match=f"no vector for {word!r}".replace("|", r"\|")):
            ours.neighbours(word)


def test_spearman_over_the_known_pairs_is_scipys():
    ours, vectors = table(known=40)
    rng = np.random.default_rng(3)
    pairs = [tuple(rng.choice(NAMES, 2, replace=False)) for _ in range(80)]
    likeness = rng.integers(0, 10, 80).astype(float).tolist()
    found = judge_pairs(ours, WordPairs(tuple(pairs), tuple(likeness)))
    known = [(one, other, said) for (one, other), said in zip(pairs, likeness, strict=True)
             if vectors[one].any() and vectors[other].any()]  # fmt: skip
    cosines = [
        vectors[one] @ vectors[other] / np.linalg.norm(vectors[one]) / np.linalg.norm(vectors[other])
        for one, other, _ in known
    ]
    assert (found.known, found.pairs) == (len(known), 80)
    assert found.spearman.value == pytest.approx(spearmanr(cosines, [said for *_, said in known]).statistic)
    assert found.spearman.low < found.spearman.value < found.spearman.high


def test_two_tables_are_compared_on_the_pairs_that_both_know():
    data = WordPairs(tuple(zip(NAMES[:20], NAMES[5:25], strict=True)), tuple(map(float, range(20))))
    one, other = table(0, known=15)[0], table(1)[0]
    found = compare_pairs(one, other, data)
    shared = WordPairs(data.pairs[:10], data.likeness[:10])
    expected = judge_pairs(other, shared).spearman.value - judge_pairs(one, shared).spearman.value
    assert found.value == pytest.approx(expected)


def test_analogies_are_judged_as_gensim_does_and_what_is_unknown_is_counted(tmp_path):
    ours, vectors = table(known=50)
    theirs = gensim_vectors(vectors)
    rng = np.random.default_rng(2)
    sections = {}
    for name in ("first", "second"):
        questions = []
        for _ in range(30):
            a, b, c = rng.choice(NAMES[:50], 3, replace=False)
            right = theirs.most_similar(positive=[b, c], negative=[a], topn=1)[0][0]
            questions.append((a, b, c, right if rng.random() < 0.4 else rng.choice(NAMES)))
        sections[name] = tuple(questions)
    lines = [f": {name}\n" + "".join(f"{' '.join(row)}\n" for row in rows) for name, rows in sections.items()]
    (tmp_path / "a.txt").write_text("".join(lines))
    score, details = theirs.evaluate_word_analogies(str(tmp_path / "a.txt"), case_insensitive=False)
    found = judge_analogies(ours, Analogies(sections))
    assert found["total"].accuracy.value == pytest.approx(score)
    assert found["total"].questions == 60
    for section in details[:2]:
        known = len(section["correct"]) + len(section["incorrect"])
        assert found[section["section"]].known == known
        assert found[section["section"]].accuracy.value == pytest.approx(len(section["correct"]) / known)
