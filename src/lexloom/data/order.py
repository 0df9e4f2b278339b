"""Which example comes when: a permutation that is computed, not stored.

A Feistel network permutes the numbers below a power of four; positions that land outside of `count` walk on until they
fall inside (cycle walking, Black and Rogaway 2002, "Ciphers with arbitrary finite domains"). So the order is a pure
function of (seed, epoch, position, count), needs no memory, and any worker can ask for any position.
"""

import numpy as np
from numpy.typing import NDArray

from lexloom.base.rng import seed_for

ROUNDS = 8
MAX_COUNT = 1 << 62

# The finaliser of SplitMix64 (Steele, Lea and Flood 2014): two multiplications, three shifts.
MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
LAST_SHIFT = 31


def shuffled(position: int, count: int, *, seed: int, epoch: int) -> int:
    """The example at `position` (0 ≤ position < count) of an epoch.

    For fixed (seed, epoch, count) this is a permutation of 0 … count − 1; other seeds and epochs give unrelated ones.
    """
    return int(shuffled_many(np.array([position]), count, seed=seed, epoch=epoch)[0])


def shuffled_many(positions: NDArray[np.int64], count: int, *, seed: int, epoch: int) -> NDArray[np.int64]:
    """`shuffled` for an array of positions of any shape."""
    assert 0 < count <= MAX_COUNT, f"can't shuffle {count} examples"
    assert positions.size == 0 or 0 <= positions.min() <= positions.max() < count, "a position is outside of the epoch"
    half_bits = max(1, ((count - 1).bit_length() + 1) // 2)
    keys = [np.uint64(seed_for("order", seed, epoch, turn)) for turn in range(ROUNDS)]
    walking = positions.astype(np.uint64).reshape(-1)
    moving = np.ones(walking.shape, dtype=bool)
    while moving.any():
        walking[moving] = _feistel(walking[moving], half_bits, keys)
        moving = walking >= count
    return walking.astype(np.int64).reshape(positions.shape)


def _feistel(values: NDArray[np.uint64], half_bits: int, keys: list[np.uint64]) -> NDArray[np.uint64]:
    """One pass over numbers of 2 · half_bits bits: each round swaps the halves and mixes one into the other."""
    bits, mask = np.uint64(half_bits), np.uint64((1 << half_bits) - 1)
    left, right = values >> bits, values & mask
    for key in keys:
        left, right = right, left ^ (_mix(right ^ key) & mask)
    return (left << bits) | right


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    for shift, factor in MIX:
        values = (values ^ (values >> np.uint64(shift))) * np.uint64(factor)
    return values ^ (values >> np.uint64(LAST_SHIFT))
