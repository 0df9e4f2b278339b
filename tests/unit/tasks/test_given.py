"""Bare texts become the examples that each task reads, or an error that says what is missing."""

import pytest

from lexloom.base.errors import UserError
from lexloom.labelled.examples import Choices, Labelled, Pair, Question, Related, Tagged
from lexloom.tasks import TASKS
from lexloom.tasks.given import EXAMPLES, example_of

ASKED_OTHERWISE = {"chat", "preference"}


def test_every_task_that_reads_texts_can_be_given_some():
    assert set(EXAMPLES) == set(TASKS) - ASKED_OTHERWISE


@pytest.mark.parametrize(
    ("task", "parts", "expected"),
    [
        ("classify", ("好吃",), Labelled),
        ("classify", ("a", "b"), Labelled),
        ("regress", ("a",), Labelled),
        ("similarity", ("a", "b"), Labelled),
        ("tag", ("王小明 lives in 上海",), Tagged),
        ("relation", ("<e1>Rain</e1> causes <e2>floods</e2>.",), Related),
        ("span", ("Who?", "Ada did."), Question),
        ("choice", ("It rained, so", "it was wet", "it was dry"), Choices),
        ("text2text", ("Ein Haus",), Pair),
    ],
)
def test_texts_become_examples_without_a_target(task, parts, expected):
    example = example_of(task, parts, "text 1")
    assert type(example) is expected
    assert example.where == "text 1"


def test_a_tagged_text_is_cut_into_words_with_their_places():
    text = "王小明 lives"
    words = example_of("tag", (text,), "text 1").spans
    assert "".join(text[begin:end] for begin, end in words) == text.replace(" ", "")


def test_marks_are_taken_out_and_their_places_kept():
    related = example_of("relation", ("<e1>Rain</e1> causes <e2>floods</e2>.",), "text 1")
    assert related.text == "Rain causes floods."
    assert [related.text[slice(*span)] for span in (related.first, related.second)] == ["Rain", "floods"]


@pytest.mark.parametrize(
    ("task", "parts"),
    [
        ("classify", ("a", "b", "c")),
        ("similarity", ("a",)),
        ("tag", ("a", "b")),
        ("relation", ("nothing is marked",)),
        ("span", ("Who?",)),
        ("choice", ("a", "b")),
        ("text2text", ("a", "b")),
    ],
)
def test_the_wrong_number_of_texts_is_refused_with_its_place(task, parts):
    with pytest.raises(UserError) as error:
        example_of(task, parts, "text 7")
    assert "text 7" in str(error.value.where)
