"""Label metrics equal scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from lexloom.metrics import accuracy, f1, matthews, precision, recall, top_accuracy

PAIRS = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), min_size=1, max_size=30)


def value(metric, predictions, references):
    return metric.value(metric.rows(predictions, references))


@settings(max_examples=40, deadline=None)
@given(PAIRS)
def test_figures_equal_scikit_learns(pairs):
    predictions, references = map(list, zip(*pairs, strict=True))
    assert value(accuracy(), predictions, references) == pytest.approx(sk.accuracy_score(references, predictions))
    for ours, theirs in ((precision, sk.precision_score), (recall, sk.recall_score), (f1, sk.f1_score)):
        for average in ("micro", "macro", "weighted"):
            expected = theirs(references, predictions, average=average, zero_division=0)
            assert value(ours(average), predictions, references) == pytest.approx(expected), average
        expected = theirs(references, predictions, labels=["a"], average="micro", zero_division=0)
        assert value(ours("binary", positive="a"), predictions, references) == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(PAIRS)
def test_matthews_equals_scikit_learns(pairs):
    predictions, references = map(list, zip(*pairs, strict=True))
    if len({*predictions, *references}) > 1:
        expected = sk.matthews_corrcoef(references, predictions)
        assert value(matthews(), predictions, references) == pytest.approx(expected, abs=1e-12)


def test_one_class_alone_has_no_correlation():
    assert value(matthews(), ["a", "a"], ["a", "a"]) == 0.0


def test_labels_limit_what_counts():
    rng = np.random.default_rng(1)
    references, predictions = rng.choice(list("abcd"), (2, 200)).tolist()
    for average in ("micro", "macro", "weighted"):
        expected = sk.f1_score(references, predictions, labels=["a", "c"], average=average)
        assert value(f1(average, ["a", "c"]), predictions, references) == pytest.approx(expected)


def test_a_label_that_never_occurs_takes_nothing_from_macro_f1():
    assert value(f1("macro", ["a", "b", "never"]), ["a", "b"], ["a", "b"]) == 1.0


def test_a_binary_average_asks_for_its_positive_label():
    with pytest.raises(AssertionError, match="positive"):
        f1("binary")


def test_top_accuracy_looks_at_the_first_candidates_only():
    ranked, references = [["a", "b", "c"], ["b", "c", "a"], ["c"]], ["a", "a", "c"]
    assert [value(top_accuracy(k), ranked, references) for k in (1, 2, 3)] == pytest.approx([2 / 3, 2 / 3, 1.0])


def test_names_say_which_average():
    assert f1("macro").name == "macro F1"
    assert recall("binary", positive="spam").name == "recall (spam)"
