"""Every metric passes the same examinations. A new metric: one line in CASES."""

from pathlib import Path

import numpy as np
import pytest

from lexloom import metrics
from lexloom.metrics import Likelihood, Metric, Preferring

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
WRITTEN = (
    pick(["", "the cat sat on a mat", "a dog, and a dog again", "我在北京，我在北京 2024"]),
    pick(["the cat sat on the mat", ["a dog and a cat again", "no dog at all"], "我在上海，他在北京 2024"]),
)
ENGLISH = (pick(["", "The cat sat on a mat.", "a dog"]), pick(["the cat sat", ["a dog and a cat", "no dog at all"]]))

LIKELY = (pick([Likelihood(2.5, 2, 4), Likelihood(9.0, 10, 12), Likelihood(0.5, 1, 7)]), ["an answer"] * N)
PREFERRED = (pick([Preferring(-1.0, -3.5, 0.25), Preferring(-5.0, -4.0, -0.5), Preferring(-2.0, -2.0, 0.0)]), ["a"] * N)

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
    (metrics.bleu("de", lower_case=True), WRITTEN),
    (metrics.bleu("zh"), WRITTEN),
    (metrics.chrf(), WRITTEN),
    *[(metrics.rouge(kind, unit), WRITTEN) for kind in ("1", "2", "L") for unit in ("characters", "jieba words")],
    *[(metrics.rouge(kind), ENGLISH) for kind in ("1", "2", "L")],
    (metrics.exact_text(), WRITTEN),
    (metrics.distinct(1), WRITTEN),
    (metrics.repetition(2), WRITTEN),
    (metrics.bits_per_byte(), LIKELY),
    (metrics.nats_per_token(), LIKELY),
    (metrics.preference_accuracy(), PREFERRED),
    (metrics.reward_margin(), PREFERRED),
    (metrics.chosen_log_probability(), PREFERRED),
    (metrics.rejected_log_probability(), PREFERRED),
]
UNBOUNDED = ("reward margin", "chosen log-probability", "rejected log-probability")
BOUNDED = [case for case in CASES if case[0].name not in UNBOUNDED]
WRITING = ("BLEU", "chrF", "ROUGE", "repetition")
EXACT = [case for case in CASES if not case[0].name.startswith("distinct")]  # drawing texts twice would find too few
EVERY = pytest.mark.parametrize(("metric", "data"), CASES, ids=[metric.name for metric, _ in CASES])


def test_every_maker_is_examined():
    makers = {name for name in metrics.__all__ if name[0].islower()} - {"entities_of"}
    source = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in sorted(makers) if f"metrics.{name}" not in source] == []


@pytest.mark.parametrize(("metric", "data"), EXACT, ids=[metric.name for metric, _ in EXACT])
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


@pytest.mark.parametrize(("metric", "data"), BOUNDED, ids=[metric.name for metric, _ in BOUNDED])
def test_perfect_predictions_are_best_and_the_order_of_examples_is_nothing(metric, data):
    predictions, references = data
    value = metric.value(metric.rows(predictions, references))
    turned = metric.value(metric.rows(predictions[::-1], references[::-1]))
    assert turned == pytest.approx(value, abs=1e-12)
    perfect = perfect_predictions(metric.name, references)
    best = 0.0 if metric.lower_is_better else 1.0
    assert metric.value(metric.rows(perfect, references)) == pytest.approx(best)
    assert (value > best) if metric.lower_is_better else (value < best)


def perfect_predictions(name, references):
    if name == "top-2 accuracy":
        return [[reference] for reference in references]
    if name in ("bits per byte of answers", "nats per token"):
        return [Likelihood(0.0, 1, 1)] * N
    if name == "preference accuracy":
        return [Preferring(0.0, -1.0, 1.0)] * N
    if name == "distinct-1":
        return [f"word{number}" for number in range(N)]
    if name.startswith(("exact", "answer", *WRITING)):
        return [golds if isinstance(golds, str) else next(iter(golds), "") for golds in references]
    return references


@EVERY
def test_nothing_and_a_single_example_have_a_figure(metric, data):
    assert metric.value(metric.rows([], [])) == 0.0
    single = metric.value(metric.rows(data[0][:1], data[1][:1]))
    assert np.isfinite(single)
