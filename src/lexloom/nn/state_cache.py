"""The cache of a recurrent decoder: what each layer remembers after every token of every row.

The last state alone would do to go on; all of them let a row end anywhere (`truncate`, `take`), so that prompts of
different lengths pass together and beginnings are used again, as with keys and values, and in as much memory.
Axes: B rows, L new tokens, H width of a state.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from lexloom.nn.cache import Cache


class StateCache(Cache):
    """A Cache whose cells are states: h stands where keys do, and an LSTM's c where values do."""

    def __init__(self, *, layers: int, batch: int, tokens: int, width: int, states: int, device: torch.device) -> None:
        """`states` is how many a layer has: 2 for an LSTM, 1 for a GRU."""
        super().__init__(layers=layers, batch=batch, tokens=tokens, kv_heads=1, head_width=width, device=device)
        self._states = states

    def before(self, layer: int) -> tuple[Tensor, ...]:
        """The states with which each row goes on, (B, H) each; zeros where it has seen nothing."""
        batch = len(self.lengths)
        rows_B = torch.arange(batch, device=self._keys.device)
        places_B = torch.tensor(self.lengths, device=self._keys.device)
        fresh_B1 = (places_B == 0)[:, None]
        cells = (self._keys, self._values)[: self._states]
        return tuple(cell[layer, rows_B, 0, places_B - 1].masked_fill(fresh_B1, 0.0) for cell in cells)

    def store(self, layer: int, states: Sequence[Tensor]) -> None:
        """Store the states after the new tokens of one layer, (B, L, H) each."""
        first, last = states[0].unsqueeze(2), states[-1].unsqueeze(2)
        self.append(layer, first, last)
