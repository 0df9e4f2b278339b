"""The most probable tags that can stand beside one another: `I-X` goes on with an entity, so it can't begin one.

Axes: W words, C columns (tags).
"""

from collections.abc import Sequence

import numpy as np

from lexloom.tasks.contract import Floats

BEGINS, GOES_ON = "B-", "I-"


def best_path(log_shares_WC: Floats, tags: Sequence[str]) -> list[int]:
    """The columns of the most probable tags in which `I-X` follows only `B-X` or `I-X` (Viterbi 1967)."""
    if len(log_shares_WC) == 0:
        return []
    penalty_CC, first_C = _penalties(tags)
    total_C = log_shares_WC[0] + first_C
    came_from = []
    for shares_C in log_shares_WC[1:]:
        reached_CC = total_C[:, None] + penalty_CC
        origins_C = reached_CC.argmax(axis=0)
        came_from.append(origins_C)
        total_C = reached_CC[origins_C, np.arange(len(tags))] + shares_C
    path = [int(total_C.argmax())]
    for origins_C in reversed(came_from):
        path.append(int(origins_C[path[-1]]))
    return path[::-1]


def _penalties(tags: Sequence[str]) -> tuple[Floats, Floats]:
    """(tag before, tag) → 0 where they may be neighbours, −∞ where not; and the same for the first word's tag."""
    going_on = [tag.startswith(GOES_ON) for tag in tags]
    penalty_CC = np.zeros((len(tags), len(tags)), np.float32)
    for column, tag in enumerate(tags):
        if going_on[column]:
            before = (BEGINS + tag.removeprefix(GOES_ON), tag)
            penalty_CC[[each not in before for each in tags], column] = -np.inf
    return penalty_CC, np.where(going_on, -np.inf, 0.0).astype(np.float32)
