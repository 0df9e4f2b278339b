"""Proof that a function of text takes linear time: ratios of processor time, not seconds."""

import time
from collections.abc import Callable

import pytest

SMALL, LARGE = 1 << 15, 1 << 17
# Four times the text in six times the time at most; quadratic time would be sixteen.
ALLOWED = 6
# Below this the clock and the caches decide.
FLOOR_S = 1e-3
TRIES = 4


def assert_linear(function: Callable[[str], object], make: Callable[[int], str], name: str) -> None:
    """`make(n)` is a text of about n characters that might take long."""
    small, large = make(SMALL), make(LARGE)
    ratio = 0.0
    for _ in range(TRIES):
        ratio = _best(function, large) / max(_best(function, small), FLOOR_S)
        if ratio < ALLOWED:
            return
    pytest.fail(f"{name}: four times the text took {ratio:.1f} times as long")


def _best(function: Callable[[str], object], text: str) -> float:
    times = []
    for _ in range(3):
        start = time.process_time()
        function(text)
        times.append(time.process_time() - start)
    return min(times)
