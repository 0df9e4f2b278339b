"""Fixtures that all tests share."""

import os
from pathlib import Path

import pytest

SHARED_DATA = Path(os.environ.get("LEXLOOM_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture
def shared_data():
    """`shared_data("lm-tinyshakespeare/input.txt")` is that file's path; the test is skipped where it is absent."""

    def find(name: str) -> Path:
        path = SHARED_DATA / name
        if not path.exists():
            pytest.skip(f"needs the data set {name}, which is not in {SHARED_DATA} (set LEXLOOM_SHARED_DATA)")
        return path

    return find
