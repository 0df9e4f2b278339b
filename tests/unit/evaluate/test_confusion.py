"""Confusions are counted."""

import json

import numpy as np
from sklearn.metrics import confusion_matrix

from lexloom.evaluate.confusion import Confused, confusion


def test_the_matrix_equals_scikit_learns():
    references, predictions = np.random.default_rng(0).choice(list("cab"), (2, 100)).tolist()
    found = confusion(predictions, references, ["c", "a", "b"])
    assert np.array_equal(found.counts, confusion_matrix(references, predictions, labels=["c", "a", "b"]))


def test_labels_that_nobody_named_follow_those_that_somebody_did():
    found = confusion(["y", "b"], ["a", "x"], ["b", "a"])
    assert found.labels == ("b", "a", "x", "y")
    assert found.counts == ((0, 0, 0, 0), (0, 0, 0, 1), (1, 0, 0, 0), (0, 0, 0, 0))


def test_the_worst_pairs_come_first():
    references, predictions = list("aaaabbc"), list("abbbbcc")
    assert confusion(predictions, references).worst() == [Confused("a", "b", 3, 0.75), Confused("b", "c", 1, 0.5)]
    assert len(confusion(predictions, references).worst(1)) == 1


def test_results_are_plain_values():
    stored = json.loads(json.dumps(confusion(["a"], ["b"]).to_json()))
    assert stored["counts"] == [[0, 0], [1, 0]]
    assert stored["worst"] == [{"reference": "b", "prediction": "a", "examples": 1, "share": 1.0}]
