"""Multi-label metrics equal scikit-learn's on the indicator matrix."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from lexloom.metrics import multilabel_f1, multilabel_precision, multilabel_recall, subset_accuracy

SETS = st.sets(st.sampled_from("abc")).map(tuple)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(SETS, SETS), min_size=1, max_size=20))
def test_figures_equal_scikit_learns(pairs):
    predictions, references = map(list, zip(*pairs, strict=True))
    seen = sorted({"abc".index(label) for labels in predictions + references for label in labels})
    if not seen:
        return
    found, wanted = (
        np.array([["abc"[column] in labels for column in range(3)] for labels in side], int)
        for side in (predictions, references)
    )
    makers = (multilabel_precision, multilabel_recall, multilabel_f1)
    for ours, theirs in zip(makers, (sk.precision_score, sk.recall_score, sk.f1_score), strict=True):
        for average in ("micro", "macro", "weighted"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected = theirs(wanted, found, labels=seen, average=average, zero_division=0)
            metric = ours(average)
            assert metric.value(metric.rows(predictions, references)) == pytest.approx(expected)
    subset = subset_accuracy()
    assert subset.value(subset.rows(predictions, references)) == pytest.approx(sk.accuracy_score(wanted, found))


def test_the_order_of_labels_is_nothing():
    subset = subset_accuracy()
    assert subset.value(subset.rows([("b", "a")], [["a", "b"]])) == 1.0
