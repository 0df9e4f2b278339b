"""The caches of recurrent decoders: what each layer remembers after every token of every row.

The last state alone would do to go on; all of them let a row end anywhere (`truncate`, `take`), so that prompts of
different lengths pass together and beginnings are used again, as with keys and values, and in as much memory.
Axes: B rows, L new tokens, H width of a state, S source tokens.
"""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from lexloom.nn.cache import Cache
from lexloom.nn.source_cache import SourceCache

States = tuple[Tensor, ...]


class StateCache(Cache):
    """A Cache whose cells are states: h stands where keys do, and an LSTM's c where values do."""

    def __init__(self, *, first: Sequence[States], tokens: int) -> None:
        """`first` is what each layer remembers before the first token of each row, (B, H) each."""
        batch, width = first[0][0].shape
        device = first[0][0].device
        Cache.__init__(self, layers=len(first), batch=batch, tokens=tokens, kv_heads=1, head_width=width, device=device)
        self._first = list(first)

    def before(self, layer: int) -> States:
        """The states with which each row goes on, (B, H) each."""
        rows_B = torch.arange(len(self.lengths), device=self._keys.device)
        seen_B = torch.tensor(self.lengths, device=self._keys.device)
        cells = zip((self._keys, self._values), self._first[layer], strict=False)
        return tuple(
            torch.where((seen_B > 0)[:, None], cell[layer, rows_B, 0, seen_B - 1], first_BH) for cell, first_BH in cells
        )

    def store(self, layer: int, states: States) -> None:
        """Store the states after the new tokens of one layer, (B, L, H) each."""
        self.append(layer, states[0].unsqueeze(2), states[-1].unsqueeze(2))

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows, in this order; a row may be named twice (beams) or not at all (finished)."""
        super().keep(rows)
        self._first = [tuple(state_BH[list(rows)] for state_BH in states) for states in self._first]

    def join(self, other: Self) -> None:
        """Put the rows of another cache of the same model behind its own."""
        super().join(other)
        both = zip(self._first, other._first, strict=True)
        self._first = [tuple(torch.cat(pair) for pair in zip(*layer, strict=True)) for layer in both]

    def take(self, row: int, length: int, tokens: int) -> Self:
        """A copy of what a row has seen up to `length` tokens, with room for `tokens`."""
        taken = super().take(row, length, tokens)
        taken._first = [tuple(state_BH[row : row + 1] for state_BH in states) for states in self._first]
        return taken


class SourceStateCache(StateCache, SourceCache):
    """A StateCache whose rows each look at one of several source texts."""

    def __init__(
        self,
        *,
        first: Sequence[States],
        tokens: int,
        keys_values: Sequence[tuple[Tensor, Tensor]],
        runs: Sequence[int],
    ) -> None:
        """`keys_values` are (S, H, K) of what looks at the source, `runs` the lengths of the texts in them."""
        StateCache.__init__(self, first=first, tokens=tokens)
        self._look_at(keys_values, runs, first[0][0].device)
