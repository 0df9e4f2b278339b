"""A limit that no test names isn't kept by anybody."""

import dataclasses
import re
from pathlib import Path

import pytest

from lexloom.serve.limits import Limits

TESTS = [*Path(__file__).parent.glob("*.py"), *Path(__file__).parents[2].glob("faults/*.py")]
SOURCES = list(Path(__file__).parents[3].glob("src/lexloom/serve/*.py"))
FIELDS = [field.name for field in dataclasses.fields(Limits)]


@pytest.mark.parametrize("name", FIELDS)
def test_every_limit_is_enforced_in_the_source_and_named_by_a_test(name):
    used = re.compile(rf"limits\.{name}\b|\"{name}\"")
    assert any(used.search(path.read_text()) for path in SOURCES if path.name != "limits.py")
    named = re.compile(rf"\b{name}\b")
    assert any(named.search(path.read_text()) for path in TESTS if path != Path(__file__))


def test_limits_can_not_be_changed_while_serving():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Limits().queue = 0  # type: ignore[misc]


@pytest.mark.parametrize("name", FIELDS)
def test_every_limit_says_what_it_limits(name):
    source = (SOURCES[0].parent / "limits.py").read_text()
    assert re.search(rf'    {name}: (int|float) = [0-9_.]+\n    """[A-Z].+\."""\n', source)
