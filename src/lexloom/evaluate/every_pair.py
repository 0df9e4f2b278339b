"""Which of several models really differ: a paired test for every two, corrected for how many there are."""

from collections.abc import Callable, Sequence
from typing import Any

from lexloom.evaluate.intervals import Difference, holm

LEVEL = 0.05
"""A difference is real if its corrected p is below."""


def every_pair(names: Sequence[str], test: Callable[[int, int], Difference | None]) -> list[dict[str, Any]]:
    """`test` of every two places, the second minus the first, as {first, second, …Difference, corrected_p, real}.

    A pair that couldn't be tested has its names only.
    """
    pairs = [(first, second) for second in range(len(names)) for first in range(second)]
    found = [test(first, second) for first, second in pairs]
    corrected = iter(holm([difference.p for difference in found if difference is not None]))
    rows: list[dict[str, Any]] = []
    for (first, second), difference in zip(pairs, found, strict=True):
        row: dict[str, Any] = {"first": names[first], "second": names[second]}
        if difference is not None:
            p = next(corrected)
            row |= {**difference.to_json(), "corrected_p": p, "real": p < LEVEL}
        rows.append(row)
    return rows
