"""The relation metric equals the official scorer of SemEval-2010 Task 8, version 1.2."""

import gzip
import re

import pytest

from lexloom.metrics import semeval_macro_f1
from lexloom.metrics.counts import f1_of, totals


def labels(path):
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    return dict(line.split("\t") for line in lines if line.strip())


@pytest.fixture
def example(shared_data):
    """The scorer's own example: predictions, some of them missing, references, and what it printed."""
    key = labels(shared_data("re-semeval2010task8/scorer-example.answer_key2.txt.gz"))
    proposed = labels(shared_data("re-semeval2010task8/scorer-example.proposed_answer2.txt.gz"))
    printed = shared_data("re-semeval2010task8/scorer-example.result_scores2.txt").read_text()
    return [proposed.get(number) for number in key], list(key.values()), printed


def test_the_official_example_gets_the_official_figure(example):
    predictions, references, printed = example
    official = float(re.search(r"official score is .* F1 = +([\d.]+)%", printed)[1])
    metric = semeval_macro_f1()
    assert round(100 * metric.value(metric.rows(predictions, references)), 2) == official == 6.35


def test_every_relation_of_the_official_example_gets_its_figure(example):
    predictions, references, printed = example
    section = printed.split("TAKING DIRECTIONALITY INTO ACCOUNT")[1]
    official = {name: float(f1) for name, f1 in re.findall(r"([A-Z]\w+-[A-Z]\w+) :.*F1 = +([\d.]+)%", section)}
    f1_C = f1_of(*totals(semeval_macro_f1().rows(predictions, references)))
    assert [round(100 * f1, 2) for f1 in f1_C] == [official[name] for name in sorted(official)]
    assert len(official) == 9


def test_a_wrong_direction_costs_precision_and_recall():
    metric = semeval_macro_f1()
    references = ["R(e1,e2)", "R(e1,e2)", "Other"]
    assert metric.value(metric.rows(["R(e2,e1)", "R(e1,e2)", "Other"], references)) == pytest.approx(0.5)
    assert metric.value(metric.rows(["Other", "R(e1,e2)", "Other"], references)) == pytest.approx(2 / 3)


def test_not_predicted_is_other_and_unknown_relations_are_left_out():
    metric = semeval_macro_f1()
    references = ["R(e1,e2)", "R(e2,e1)"]
    left_out = metric.value(metric.rows([None, "R(e2,e1)"], references))
    assert left_out == metric.value(metric.rows(["Other", "R(e2,e1)"], references))
    assert left_out == metric.value(metric.rows(["S(e1,e2)", "R(e2,e1)"], references))
