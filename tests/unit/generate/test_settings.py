"""Wild numbers in sampling settings are refused by name; what is accepted is documented."""

import pytest

from lexloom.base.errors import RecipeError
from lexloom.base.recipe import check
from lexloom.generate.settings import BeamSettings, GenerateSettings, SamplingSettings, WritingSettings

NAN, INFINITY = float("nan"), float("inf")
NOT_NUMBERS = [NAN, INFINITY, -INFINITY, True, False, "1", "", [], {}, b"1", 1j]
NOT_COUNTS = [*NOT_NUMBERS, -1, -(2**63), 1.0, 0.5, 2**63, 10**30]
REFUSED = {
    "max_tokens": [*NOT_COUNTS, 0],
    "min_tokens": [*NOT_COUNTS, None],
    "no_repeat_ngram": [*NOT_COUNTS, None, 1001],
    "temperature": [*NOT_NUMBERS, None, -1, -1e-30, 100.1, 1e300, 10**400],
    "top_k": [*NOT_COUNTS, None],
    "top_p": [*NOT_NUMBERS, None, -1, 0, 0.0, 1.0000001, 1.1, 1e300],
    "min_p": [*NOT_NUMBERS, None, -1e-30, -1, 1.0000001, 1e300],
    "repetition_penalty": [*NOT_NUMBERS, None, -1, 0, 1e-30, 0.09, 10.1, 1e300],
    "seed": NOT_COUNTS,
    "beams": [*NOT_COUNTS, None, 0, 257],
    "n_best": [*NOT_COUNTS, None, 0, 257],
    "length_penalty": [*NOT_NUMBERS, None, 10.1, -1e300],
    "max_ratio": [*NOT_NUMBERS, 0, -1, 1000.1],
    "stop": [1, "text", [""], ["a", ""], [1], [None], ["a" * 1001], ["a"] * 17, None],
}
ACCEPTED = {
    "max_tokens": [None, 1, 1_000_000],
    "min_tokens": [0, 1_000_000],
    "no_repeat_ngram": [0, 1, 1000],
    "temperature": [0, 0.0, 1e-300, 1e-30, 1, 100.0],
    "top_k": [0, 1, 10**9],
    "top_p": [1e-300, 1e-30, 0.5, 1],
    "min_p": [0, 1e-300, 0.5, 1],
    "repetition_penalty": [0.1, 1, 10],
    "seed": [None, 0, 2**63 - 1],
    "beams": [1, 256],
    "n_best": [1],
    "length_penalty": [-10.0, 0, 10],
    "max_ratio": [None, 1e-300, 1, 1000.0],
    "stop": [[], ["a"], ["a" * 1000] * 16, ("\n", "。")],
}


KINDS = (SamplingSettings, BeamSettings, GenerateSettings, WritingSettings)
FIELDS = [(kind, field) for kind in KINDS for field in kind.model_fields]


@pytest.mark.parametrize(("kind", "field"), FIELDS)
def test_wild_numbers_are_refused_by_name(kind, field):
    for value in REFUSED[field]:
        with pytest.raises(RecipeError, match=field):
            check(kind, {field: value}, where="test")


@pytest.mark.parametrize(("kind", "field"), FIELDS)
def test_bounds_are_accepted_as_they_are(kind, field):
    for value in [[]] if (kind, field) == (WritingSettings, "stop") else ACCEPTED[field]:
        found = getattr(check(kind, {field: value}, where="test"), field)
        assert found == (tuple(value) if field == "stop" else value)


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_and_its_bounds_are_documented(kind):
    assert all(field.description for field in kind.model_fields.values())


@pytest.mark.parametrize("kind", KINDS)
def test_min_tokens_above_max_tokens_is_refused(kind):
    with pytest.raises(RecipeError, match="min_tokens 5 is above max_tokens 4"):
        check(kind, {"min_tokens": 5, "max_tokens": 4}, where="test")


def test_more_texts_than_beams_are_refused():
    with pytest.raises(RecipeError, match="n_best 5 is above beams 4"):
        check(BeamSettings, {"n_best": 5}, where="test")


@pytest.mark.parametrize("kind", [GenerateSettings, WritingSettings])
def test_what_only_sampling_obeys_is_refused_in_a_search(kind):
    with pytest.raises(RecipeError, match="4 beams has no use for temperature, seed"):
        check(kind, {"beams": 4, "temperature": 0.5, "seed": 1}, where="test")
    assert check(kind, {"beams": 4, "no_repeat_ngram": 3, "min_tokens": 2}, where="test").beams == 4


def test_a_text_from_another_one_takes_the_best_token_unless_told_otherwise():
    assert check(WritingSettings, {}, where="test").greedy
    with pytest.raises(RecipeError, match="stop"):
        check(WritingSettings, {"stop": ["a"]}, where="test")
