import sys
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from lexloom.base.errors import DataError, UserError
from lexloom.base.rng import generator
from lexloom.models import bow
from lexloom.models.folder import load_model, save_model
from lexloom.tasks.batches import EncodedExamples
from lexloom.tasks.contract import Encoded, Piece

WORDS, TEXTS, LABELS = 30, 60, 3


def examples(targets=None):
    """Texts of unequal lengths in which each label has words of its own, as ids."""
    rng = generator("bags")
    labels = [number % LABELS for number in range(TEXTS)] if targets is None else targets
    rows = []
    for number in range(TEXTS):
        likes = np.where(np.arange(WORDS) % LABELS == number % LABELS, 3.0, 1.0)
        rows.append(rng.choice(WORDS, size=int(rng.integers(1, 25)), p=likes / likes.sum()).tolist())
    return rows, EncodedExamples(
        [Encoded((Piece(ids, [0] * len(ids), [0]),), label) for ids, label in zip(rows, labels, strict=True)]
    )


def fitted(units: Any, tmp_path: Any = None, **changes: Any) -> Any:
    config = bow.Config(vocab_size=WORDS, **{"labels": LABELS, **changes})
    return bow.fit(config, units, lambda done, note="": None, scratch=tmp_path)


def scores(model: Any, rows: Any) -> Any:
    with torch.inference_mode():
        return np.stack([model(torch.tensor([ids]))[0, 0].numpy() for ids in rows])


def as_texts(rows: Any) -> list[str]:
    return [" ".join(map(str, ids)) for ids in rows]


@pytest.mark.parametrize(
    ("weighting", "shortest", "longest", "vectorizer"),
    [
        ("counts", 1, 2, CountVectorizer),
        ("binary", 2, 3, lambda **more: CountVectorizer(binary=True, **more)),
        ("tfidf", 1, 3, lambda **more: TfidfVectorizer(sublinear_tf=True, **more)),
    ],
)
def test_scores_are_those_of_scikit_learns_vectorizers(weighting, shortest, longest, vectorizer):
    rows, units = examples()
    found = scores(fitted(units, weighting=weighting, shortest=shortest, longest=longest, least_texts=2), rows)
    reader = vectorizer(ngram_range=(shortest, longest), token_pattern=r"\d+", min_df=2)
    matrix = reader.fit_transform(as_texts(rows))
    for column in range(LABELS):
        wanted = [example.target == column for example in units.encoded]
        machine = LogisticRegression(solver="liblinear", tol=1e-6).fit(matrix, wanted)
        assert np.abs(machine.decision_function(matrix) - found[:, column]).max() < 0.01


def test_naive_bayes_features_are_the_log_count_ratios_of_the_paper():
    rows, units = examples()
    model = fitted(units, longest=2)
    matrix = CountVectorizer(ngram_range=(1, 2), token_pattern=r"\d+", binary=True).fit_transform(as_texts(rows))
    wanted = np.array([example.target == 1 for example in units.encoded])
    p, q = (1 + np.asarray(matrix[some].sum(axis=0))[0] for some in (wanted, ~wanted))
    ratios = np.log((p / p.sum()) / (q / q.sum()))
    machine = LogisticRegression(solver="liblinear", tol=1e-6).fit(matrix.multiply(ratios).tocsr(), wanted)
    expected = machine.decision_function(matrix.multiply(ratios).tocsr())
    assert np.abs(expected - scores(model, rows)[:, 1]).max() < 0.01
    assert model.config.features == matrix.shape[1]


def test_of_two_labels_the_softmax_is_the_sigmoid_of_one_regression():
    rows, units = examples([number % 2 for number in range(TEXTS)])
    two = scores(fitted(units, weighting="binary", labels=2), rows)
    matrix = CountVectorizer(ngram_range=(1, 2), token_pattern=r"\d+", binary=True).fit_transform(as_texts(rows))
    machine = LogisticRegression(solver="liblinear", tol=1e-6).fit(matrix, [number % 2 for number in range(TEXTS)])
    assert np.abs(two[:, 1] - two[:, 0] - machine.decision_function(matrix)).max() < 0.01


def test_errors_cost_what_the_class_weights_say():
    rows, units = examples()
    weights = torch.tensor([1.0, 4.0, 0.5])
    config = bow.Config(vocab_size=WORDS, labels=LABELS, weighting="binary")
    model = bow.fit(config, units, lambda done, note="": None, scratch=None, class_weights=weights)
    matrix = CountVectorizer(ngram_range=(1, 2), token_pattern=r"\d+", binary=True).fit_transform(as_texts(rows))
    targets = np.array([example.target for example in units.encoded])
    for column in range(LABELS):
        machine = LogisticRegression(solver="liblinear", tol=1e-6)
        machine.fit(matrix, targets == column, sample_weight=weights.numpy()[targets])
        assert np.abs(machine.decision_function(matrix) - scores(model, rows)[:, column]).max() < 0.01


def test_of_several_labels_a_weight_counts_in_the_whole_column():
    targets = [[float(number % 2), float(number % 3 == 0), 0.0] for number in range(TEXTS)]
    _, units = examples(targets)
    config = bow.Config(vocab_size=WORDS, labels=LABELS)
    dear, plain = (
        bow.fit(config, units, lambda done, note="": None, scratch=None, class_weights=weights).score.weight
        for weights in (torch.tensor([1.0, 9.0, 1.0]), None)
    )
    assert torch.equal(dear[:, 0], plain[:, 0])
    assert dear[:, 1].norm() > 1.2 * plain[:, 1].norm()


def test_several_labels_are_learned_one_by_one():
    targets = [[float(number % 2), float(number % 3 == 0), 0.0] for number in range(TEXTS)]
    rows, units = examples(targets)
    found = scores(fitted(units), rows)
    assert ((found[:, :2] > 0) == np.array(targets)[:, :2]).mean() > 0.9
    assert (found[:, 2] < -3).all(), "a label that nobody has"


def test_a_single_label_is_always_given():
    rows, units = examples([0] * TEXTS)
    assert (scores(fitted(units, labels=1), rows) > 3).all()


def test_texts_without_label_teach_nothing_and_the_same_examples_the_same_bits():
    units = examples()[1]
    more = EncodedExamples([*units.encoded, Encoded((Piece([1, 2, 3], [0] * 3, [0]),), None)])
    first, second = fitted(units).state_dict(), fitted(more).state_dict()
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_a_saved_bag_is_loaded_bit_for_bit_whatever_the_size_of_its_keys(tmp_path):
    rows, units = examples()
    config = bow.Config(vocab_size=1 << 20, labels=LABELS, longest=3, weighting="tfidf")
    model = bow.fit(config, units, lambda done, note="": None, scratch=tmp_path)
    assert int(model.keys_K.max()) > 1 << 40
    save_model(tmp_path / "model", model, None, provenance={}, generation=None, card="")
    again = load_model(tmp_path / "model").model
    assert again.config == model.config
    assert np.array_equal(scores(model, rows), scores(again, rows))


def test_words_and_texts_that_training_never_saw_say_only_the_bias():
    _, units = examples()
    model = fitted(EncodedExamples([one for one in units.encoded if 7 not in one.pieces[0].ids]))
    assert np.array_equal(scores(model, [[7, 7, 7]])[0], model.score.bias.detach().numpy())


def test_what_cannot_be_learned_is_refused_in_a_sentence(monkeypatch):
    _, units = examples()
    with pytest.raises(DataError, match="no n-gram is in 61 texts"):
        fitted(units, least_texts=61)
    with pytest.raises(DataError, match="labels, no numbers"):
        fitted(examples([0.5] * TEXTS)[1])
    with pytest.raises(UserError, match="longest"):
        bow.Config(vocab_size=1 << 20, longest=4)
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    with pytest.raises(UserError, match="scikit-learn"):
        fitted(units)
