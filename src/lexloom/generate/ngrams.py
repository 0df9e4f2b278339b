"""Sequences of tokens that must not come twice.

Axes: L length, M matches.
"""

from collections.abc import Sequence

import numpy as np


def completions(ids: Sequence[int], n: int) -> list[int]:
    """The tokens with which the last n - 1 of `ids` would become a sequence of n tokens that `ids` already holds.

    As transformers' NoRepeatNGramLogitsProcessor bars them (Paulus et al. 2017, section 2.5). Ascending; none if n is
    0.
    """
    if n == 0 or len(ids) < n:
        return []
    ids_L = np.asarray(ids, np.int64)
    starts_M = np.arange(len(ids) - n + 1)
    for place in range(n - 1):
        starts_M = starts_M[ids_L[starts_M + place] == ids_L[len(ids) - n + 1 + place]]
    found: list[int] = np.unique(ids_L[starts_M + n - 1]).tolist()
    return found
