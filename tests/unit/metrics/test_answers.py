"""Exact match and F1 equal the SQuAD scorers', and CMRC 2018's for Chinese."""

import gzip
import json
import re
import string
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexloom.metrics import answer_f1, exact_match
from lexloom.metrics.answers import chinese_pieces, normal_chinese, normal_english


def value(metric, predictions, references):
    return metric.value(metric.rows(predictions, references))


def read(path):
    return json.loads(gzip.decompress(path.read_bytes()))


@pytest.mark.parametrize(
    ("system", "exact", "f1"), [("bert-ensemble", 86.21, 92.20), ("logistic-regression", 40.14, 50.98)]
)
def test_published_predictions_get_their_published_figures(shared_data, system, exact, f1):
    data = read(shared_data("mrc-squad/dev-v1.1.reconstructed.json.gz"))
    found = read(shared_data(f"mrc-squad/predictions-v1.1.{system}.json.gz"))
    questions = [qa for article in data["data"] for paragraph in article["paragraphs"] for qa in paragraph["qas"]]
    predictions = [found.get(question["id"], "") for question in questions]
    references = [[answer["text"] for answer in question["answers"]] for question in questions]
    assert len(questions) == 10_570
    assert round(100 * value(exact_match(), predictions, references), 2) == exact
    assert round(100 * value(answer_f1(), predictions, references), 2) == f1


WORDS = st.lists(st.sampled_from(["the", "a", "An", "cat", "Cat's", "u.s.", "–", "!", "3,5", "", "don't"])).map(
    " ".join
)


def as_squad_normalises(answer):
    """SQuAD's four steps one after another, as its paper and scorer name them."""
    unmarked = "".join(character for character in answer.lower() if character not in string.punctuation)
    return " ".join(word for word in re.sub(r"\b(a|an|the)\b", " ", unmarked).split())


def as_squad_2_counts(prediction, gold):
    """Precision and recall of words, and the rule for answers of no words."""
    found, sought = as_squad_normalises(prediction).split(), as_squad_normalises(gold).split()
    if not found or not sought:
        return float(found == sought)
    common = sum((Counter(found) & Counter(sought)).values())
    if common == 0:
        return 0.0
    precision, recall = common / len(found), common / len(sought)
    return 2 * precision * recall / (precision + recall)


@settings(max_examples=200, deadline=None)
@given(WORDS, st.lists(WORDS, max_size=3))
def test_each_answer_is_judged_as_by_squads_second_scorer(prediction, golds):
    sayable = [gold for gold in golds if as_squad_normalises(gold)] or [""]
    exact = max(as_squad_normalises(gold) == as_squad_normalises(prediction) for gold in sayable)
    f1 = max(as_squad_2_counts(prediction, gold) for gold in sayable)
    assert value(exact_match(), [prediction], [golds]) == exact
    assert value(answer_f1(), [prediction], [golds]) == pytest.approx(f1)


def test_saying_nothing_is_right_where_there_is_no_answer_and_wrong_elsewhere():
    for language in ("en", "zh"):
        for metric in (exact_match(language), answer_f1(language)):
            assert value(metric, ["", "x", "", "x"], [[], [], ["x"], ["x"]]) == 0.5
            assert metric.rows(["", "x", "", "x"], [[], [], ["x"], ["x"]])[:, 0].tolist() == [1, 0, 0, 1]


def test_the_best_gold_answer_counts():
    assert value(answer_f1(), ["black cat"], [["dog", "a black cat", "cat"]]) == 1.0


def test_english_is_compared_without_case_articles_and_punctuation():
    assert normal_english("The  U.S., an  Atheist's a") == "us atheists"


def test_chinese_is_cut_into_characters_and_words():
    assert normal_chinese(" 《战国无双3》（Samurai） ") == "战国无双3samurai"
    assert chinese_pieces("光荣和ω-Force开发，于2009年12月3日") == [
        *"光荣和",
        "ωforce",
        *"开发于",
        "2009",
        "年",
        "12",
        "月",
        "3",
        "日",
    ]
    assert chinese_pieces("约10,000人, 3.5%") == ["约", "10,000", "人", ",", "3.5", "%"]
    assert chinese_pieces("Roy H. Reinhart Jr.") == ["roy", "h.", "reinhart", "jr", "."]
    assert chinese_pieces('28至32℃（"HotShot"）3–1') == ["28", "至", "32℃", '"', "hotshot", '"', "3", "–", "1"]


@pytest.mark.parametrize(
    ("prediction", "golds", "exact", "f1"),
    [
        ("光荣和ω-force", ["光荣和ω-force", "光荣"], 1.0, 1.0),
        ("“光荣”", ["光荣"], 1.0, 1.0),  # punctuation is nothing
        ("光荣和", ["光荣"], 0.0, 2 * 2 / 5),
        ("ABCD", ["abcd"], 1.0, 1.0),
        ("New York Times", ["New York City"], 0.0, 2 / 3),  # two words of three
        ("甲乙丙丁", ["甲丙乙丁"], 0.0, 1 / 4),  # the longest common run is one character
        ("甲乙丙丁", ["甲乙戊丙丁"], 0.0, 2 * 2 / 9),  # a run, not a subsequence
        ("天", ["地", "海"], 0.0, 0.0),
    ],
)
def test_chinese_figures_worked_out_by_hand(prediction, golds, exact, f1):
    assert value(exact_match("zh"), [prediction], [golds]) == exact
    assert value(answer_f1("zh"), [prediction], [golds]) == pytest.approx(f1)


def test_gold_answers_of_cmrc_are_perfect(shared_data):
    data = read(shared_data("mrc-cmrc2018-zh/dev.json.gz"))
    questions = [qa for article in data["data"] for paragraph in article["paragraphs"] for qa in paragraph["qas"]]
    references = [[answer["text"] for answer in question["answers"]] for question in questions]
    assert len(references) == 3_219
    for metric in (exact_match("zh"), answer_f1("zh")):
        assert value(metric, [golds[-1] for golds in references], references) == 1.0
