"""Wild numbers in sampling settings are refused by name; what is accepted is documented."""

import pytest

from lexloom.base.errors import RecipeError
from lexloom.base.recipe import check
from lexloom.generate.settings import SamplingSettings

NAN, INFINITY = float("nan"), float("inf")
NOT_NUMBERS = [NAN, INFINITY, -INFINITY, True, False, "1", "", [], {}, b"1", 1j]
NOT_COUNTS = [*NOT_NUMBERS, -1, -(2**63), 1.0, 0.5, 2**63, 10**30]
REFUSED = {
    "max_tokens": [*NOT_COUNTS, 0],
    "min_tokens": [*NOT_COUNTS, None],
    "temperature": [*NOT_NUMBERS, None, -1, -1e-30, 100.1, 1e300, 10**400],
    "top_k": [*NOT_COUNTS, None],
    "top_p": [*NOT_NUMBERS, None, -1, 0, 0.0, 1.0000001, 1.1, 1e300],
    "min_p": [*NOT_NUMBERS, None, -1e-30, -1, 1.0000001, 1e300],
    "repetition_penalty": [*NOT_NUMBERS, None, -1, 0, 1e-30, 0.09, 10.1, 1e300],
    "seed": NOT_COUNTS,
    "stop": [1, "text", [""], ["a", ""], [1], [None], ["a" * 1001], ["a"] * 17, None],
}
ACCEPTED = {
    "max_tokens": [None, 1, 1_000_000],
    "min_tokens": [0, 1_000_000],
    "temperature": [0, 0.0, 1e-300, 1e-30, 1, 100.0],
    "top_k": [0, 1, 10**9],
    "top_p": [1e-300, 1e-30, 0.5, 1],
    "min_p": [0, 1e-300, 0.5, 1],
    "repetition_penalty": [0.1, 1, 10],
    "seed": [None, 0, 2**63 - 1],
    "stop": [[], ["a"], ["a" * 1000] * 16, ("\n", "。")],
}


@pytest.mark.parametrize("field", SamplingSettings.model_fields)
def test_wild_numbers_are_refused_by_name(field):
    for value in REFUSED[field]:
        with pytest.raises(RecipeError, match=field):
            check(SamplingSettings, {field: value}, where="test")


@pytest.mark.parametrize("field", SamplingSettings.model_fields)
def test_bounds_are_accepted_as_they_are(field):
    for value in ACCEPTED[field]:
        found = getattr(check(SamplingSettings, {field: value}, where="test"), field)
        assert found == (tuple(value) if field == "stop" else value)


def test_every_field_and_its_bounds_are_documented():
    assert all(field.description for field in SamplingSettings.model_fields.values())


def test_min_tokens_above_max_tokens_is_refused():
    with pytest.raises(RecipeError, match="min_tokens 5 is above max_tokens 4"):
        check(SamplingSettings, {"min_tokens": 5, "max_tokens": 4}, where="test")
