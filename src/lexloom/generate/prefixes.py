"""Beginnings of texts that were read before: their keys and values are used again instead of computed again."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lexloom.generate.decoder import Rows

FEWEST_TOKENS = 16
"""A shorter beginning is read as fast as it is copied."""


@dataclass
class PrefixCache:
    """What was read and written last, the least recently used forgotten first, at most `max_bytes` of it.

    An entry belongs to an owner and is never found for another one: who could see that a prompt is answered faster
    could guess what somebody else has asked.
    """

    max_bytes: int
    nbytes: int = field(default=0, init=False)
    _entries: OrderedDict[tuple[str, tuple[int, ...]], Rows] = field(default_factory=OrderedDict, init=False)

    def find(self, owner: str, ids: Sequence[int], tokens: int) -> tuple[Rows, int] | None:
        """A copy of the longest beginning of `ids` that is known, with room for `tokens`, and its length.

        At least the last of `ids` is left, so that there is something to run through the model.
        """
        known = [(_common(key[1], ids), key) for key in self._entries if key[0] == owner]
        length, key = max(known, default=(0, ("", ())))
        length = min(length, len(ids) - 1)
        if length < FEWEST_TOKENS:
            return None
        self._entries.move_to_end(key)
        return self._entries[key].take(0, length, tokens), length

    def wants(self, owner: str, ids: Sequence[int]) -> bool:
        """Whether `ids` are worth keeping: long enough, and not the beginning of what is kept."""
        known = (_common(key[1], ids) for key in self._entries if key[0] == owner)
        return len(ids) >= FEWEST_TOKENS and len(ids) not in known

    def add(self, owner: str, ids: Sequence[int], cache: Rows) -> None:
        """Keep `cache`, one row that has seen `ids`; what it continues is forgotten."""
        for key in [key for key in self._entries if key[0] == owner and _common(key[1], ids) == len(key[1])]:
            self._forget(key)
        self._entries[owner, tuple(ids)] = cache
        self.nbytes += cache.nbytes
        while self.nbytes > self.max_bytes:
            self._forget(next(iter(self._entries)))

    def _forget(self, key: tuple[str, tuple[int, ...]]) -> None:
        self.nbytes -= self._entries.pop(key).nbytes


def _common(known: Sequence[int], ids: Sequence[int]) -> int:
    """How many tokens both begin with."""
    shorter = min(len(known), len(ids))
    differs = np.asarray(known[:shorter]) != np.asarray(ids[:shorter])
    return int(differs.argmax()) if differs.any() else shorter
