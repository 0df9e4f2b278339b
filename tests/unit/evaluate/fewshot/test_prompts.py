"""A prompt is what its template says: fields of the row, examples with their answers, a question without."""

import pytest

from lexloom.base.errors import DataError, RecipeError
from lexloom.base.recipe import check, parse_overrides
from lexloom.evaluate.fewshot.prompts import (
    PromptSettings,
    Query,
    Reading,
    Template,
    joined,
    language_of,
    template_for,
)


def query(*texts, answers=("yes", "no"), target=0, **columns):
    return Query("t:1", texts, columns, answers, target)


def test_an_answer_at_the_end_is_what_is_scored():
    template = Template("Q: {text}\nA: {answer}")
    asked = query("Is it?")
    assert template.readings(asked) == [Reading("Q: Is it?\nA: ", "yes"), Reading("Q: Is it?\nA: ", "no")]
    assert template.shown(asked) == "Q: Is it?\nA: yes"
    assert template.unconditional(asked) == [Reading("A: ", "yes"), Reading("A: ", "no")]


def test_what_follows_an_answer_is_scored_instead_of_it():
    template = Template("{answer} {text}")
    asked = query("was late.", answers=("Anna", "Maria"), target=1)
    assert template.readings(asked) == [Reading("Anna", " was late."), Reading("Maria", " was late.")]
    assert template.shown(asked) == "Maria was late."
    assert {reading.scored for reading in template.unconditional(asked)} == {" was late."}


def test_fields_are_columns_of_the_row_and_several_texts_are_lines():
    template = Template("{{{topic}}} {year}: {text} = {answer}")
    assert template.shown(query("one", "two", topic="math", year=1999)) == "{math} 1999: one\ntwo = yes"


@pytest.mark.parametrize("text", ["{text}", "{answer} {answer}", "", "{text} {{answer}}"])
def test_a_template_has_one_place_for_the_answer(text):
    with pytest.raises(RecipeError, match=r"no single \{answer\}"):
        Template(text)


def test_a_line_break_that_a_shell_took_apart_is_noticed():
    assert parse_overrides([r'prompt.template="{text}\n{answer}"'])["prompt"]["template"] == "{text}\n{answer}"
    with pytest.raises(RecipeError, match="not a line break"):
        check(PromptSettings, parse_overrides([r"prompt.template={text}\n{answer}"])["prompt"], where="prompt")


def test_fields_that_are_no_columns_or_hold_no_text_are_named():
    with pytest.raises(RecipeError, match="did you mean 'topic'"):
        Template("{topik} {answer}").readings(query("a", topic="b"))
    with pytest.raises(DataError, match="'topic' holds no text"):
        Template("{topic} {answer}").readings(query("a", topic=["b"]))


def test_examples_stand_between_instruction_and_question():
    assert joined("", [], "Q", "\n\n") == "Q"
    assert joined("Answer.", ["1", "2"], "Q", "\n\n") == "Answer.\n\n1\n\n2\n\nQ"


def test_the_usual_template_is_in_the_language_of_the_data():
    chinese, english = [query("这部电影 (2019) 真好看 IMAX")], [query("a lovely film 好")]
    assert (language_of(chinese), language_of(english), language_of([query("1 + 1")])) == ("zh", "en", "en")
    assert "标签" in template_for(PromptSettings(), "classify", chinese).text
    assert "Label" in template_for(PromptSettings(), "classify", english).text
    assert template_for(PromptSettings(template="{answer}"), "classify", english).text == "{answer}"
