"""Every metric passes the same examinations. A new metric: one line in CASES."""

from pathlib import Path

import numpy as np
import pytest

from lexloom import metrics
from lexloom.metrics import Metric

RNG = np.random.default_rng(0)
N = 60


def pick(values):
    return [values[i] for i in RNG.integers(0, len(values), N)]


LABELS = (pick(["a", "b", "c"]), pick(["a", "b", "c", "d"]))
SETS = (pick([(), ("a",), ("b", "a"), ("c",)]), pick([(), ("a",), ("a", "c"), ("d",)]))
NUMBERS = (pick([0.0, 1.5, 2.0, 7.0]), pick([-1.0, 1.0, 2.5, 3.0]))
TAGS = ["O O O", "B-X I-X O", "O B-Y I-Y", "I-X I-X B-X", "B-X I-Y O"]
TAGGED = (pick([tags.split() for tags in TAGS]), pick([tags.split() for tags in TAGS]))
ANSWERS = (pick(["the cat", "", "a dog, 3.5", "东京塔"]), pick([(), ("cat", "black cat"), ("dog 3.5",), ("东京",)]))
RELATIONS = (pick(["R(e1,e2)", "R(e2,e1)", "Other", None]), pick(["R(e1,e2)", "S(e2,e1)", "Other"]))
RANKED = (pick([["a", "b"], ["c", "a"], ["d", "c"]]), pick(["a", "b", "c"]))

AVERAGES = ("micro", "macro", "weighted")
CASES: list[tuple[Metric, tuple[list, list]]] = [
    (metrics.accuracy(), LABELS),
    *[(make(average), LABELS) for average in AVERAGES for make in (metrics.precision, metrics.recall, metrics.f1)],
    (metrics.f1("binary", positive="a"), LABELS),
    (metrics.matthews(), LABELS),
    (metrics.top_accuracy(2), RANKED),
    (metrics.subset_accuracy(), SETS),
    *[
        (make(average), SETS)
        for average in AVERAGES
        for make in (metrics.multilabel_precision, metrics.multilabel_recall, metrics.multilabel_f1)
    ],
    (metrics.pearson(), NUMBERS),
    (metrics.spearman(), NUMBERS),
    (metrics.mean_squared_error(), NUMBERS),
    (metrics.mean_absolute_error(), NUMBERS),
    *[
        (make(mode, average=average), TAGGED)
        for mode in ("default", "strict")
        for average in AVERAGES
        for make in (metrics.entity_precision, metrics.entity_recall, metrics.entity_f1)
    ],
    (metrics.entity_f1(types=["X"]), TAGGED),
    (metrics.token_accuracy(), TAGGED),
    (metrics.exact_match("en"), ANSWERS),
    (metrics.exact_match("zh"), ANSWERS),
    (metrics.answer_f1("en"), ANSWERS),
    (metrics.answer_f1("zh"), ANSWERS),
    (metrics.semeval_macro_f1(), RELATIONS),
]
EVERY = pytest.mark.parametrize(("metric", "data"), CASES, ids=[metric.name for metric, _ in CASES])


def test_every_maker_is_examined():
    makers = {name for name in metrics.__all__ if name[0].islower()} - {"entities_of"}
    source = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in sorted(makers) if f"metrics.{name}" not in source] == []


@EVERY
def test_rows_of_a_resample_give_the_figure_of_the_examples_drawn(metric, data):
    predictions, references = data
    rows = metric.rows(predictions, references)
    assert rows.shape[0] == N
    assert rows.dtype == np.float64
    for _ in range(5):
        drawn = RNG.integers(0, N, N)
        again = metric.rows([predictions[i] for i in drawn], [references[i] for i in drawn])
        assert metric.value(rows[drawn]) == pytest.approx(metric.value(again), abs=1e-12)


@EVERY
def test_what_is_called_additive_depends_on_sums_alone(metric, data):
    rows = metric.rows(*data)
    summed = metric.value(rows.sum(axis=0, keepdims=True))
    assert (summed == pytest.approx(metric.value(rows), abs=1e-12)) == metric.additive


@EVERY
def test_perfect_predictions_are_best_and_the_order_of_examples_is_nothing(metric, data):
    predictions, references = data
    value = metric.value(metric.rows(predictions, references))
    turned = metric.value(metric.rows(predictions[::-1], references[::-1]))
    assert turned == pytest.approx(value, abs=1e-12)
    perfect = {"top-2 accuracy": [[r] for r in references]}.get(metric.name, references)
    if metric.name.startswith(("exact", "answer")):
        perfect = [golds[0] if golds else "" for golds in references]
    best = 0.0 if metric.lower_is_better else 1.0
    assert metric.value(metric.rows(perfect, references)) == pytest.approx(best)
    assert (value > best) if metric.lower_is_better else (value < best)


@EVERY
def test_nothing_and_a_single_example_have_a_figure(metric, data):
    assert metric.value(metric.rows([], [])) == 0.0
    single = metric.value(metric.rows(data[0][:1], data[1][:1]))
    assert np.isfinite(single)
