"""The keys and values of the tokens already seen, so that each new token costs one step.

Axes: B rows of the batch, L new tokens, N cached tokens, G key/value heads, K head width.
"""

from collections.abc import Sequence
from copy import copy
from typing import Self

import numpy as np
import torch
from torch import Tensor

from lexloom.base.errors import UserError


class Cache:
    """Room for `tokens` tokens in each of `batch` rows; appending writes in place and never copies what is there.

    Rows may have different lengths. Prompts of different lengths go through the model together, padded on the right
    with any token; then `truncate(row, length)` forgets the padding, and the next tokens take its place.

    A forward pass calls `reserve` once, `append` once per layer, and `advance` at its end; an exception in between
    leaves the lengths as they were.
    """

    def __init__(
        self, *, layers: int, batch: int, tokens: int, kv_heads: int, head_width: int, device: torch.device
    ) -> None:
        shape = (layers, batch, kv_heads, tokens, head_width)
        # Unwritten cells are masked, but must be finite: 0 · NaN is NaN
        self._keys, self._values = _zeros(shape, device), _zeros(shape, device)
        self._cells: tuple[Tensor, Tensor] | None = None
        self.lengths = [0] * batch

    @property
    def tokens(self) -> int:
        """The capacity of each row."""
        return self._keys.shape[3]

    @property
    def nbytes(self) -> int:
        """The memory that its rows take when they are full."""
        return self._keys.nbytes + self._values.nbytes

    @property
    def even(self) -> bool:
        """Whether all rows have the same length."""
        return min(self.lengths) == max(self.lengths)

    @property
    def empty(self) -> bool:
        """Whether no row has seen anything yet."""
        return max(self.lengths) == 0

    def reserve(self, batch: int, new_tokens: int) -> None:
        """Check that `new_tokens` more fit into each of `batch` rows, or raise UserError."""
        assert batch == len(self.lengths), f"{batch} rows of ids for a cache of {len(self.lengths)} rows"
        needed = max(self.lengths) + new_tokens
        if needed > self.tokens:
            raise UserError(
                f"{needed:,} tokens don't fit into a cache of {self.tokens:,}",
                fix="Shorten the prompt, ask for fewer new tokens, or make the cache larger.",
            )
        rows = torch.arange(batch, device=self._keys.device)
        self._cells = None if self.even else (rows[:, None], self.positions(new_tokens))

    def append(self, layer: int, k_BLGK: Tensor, v_BLGK: Tensor) -> tuple[Tensor, Tensor]:
        """Store the new keys and values of one layer behind each row's old ones.

        Returns views (B, G, N, K) of keys and values, N the longest row with its new tokens.
        """
        batch, new = k_BLGK.shape[:2]
        keys_BGNK, values_BGNK = self._keys[layer, :batch], self._values[layer, :batch]
        if self._cells is None:
            here = slice(self.lengths[0], self.lengths[0] + new)
            keys_BGNK[:, :, here] = k_BLGK.transpose(1, 2)
            values_BGNK[:, :, here] = v_BLGK.transpose(1, 2)
        else:
            rows_B1, places_BL = self._cells
            keys_BGNK[rows_B1, :, places_BL] = k_BLGK
            values_BGNK[rows_B1, :, places_BL] = v_BLGK
        longest = max(self.lengths) + new
        return keys_BGNK[:, :, :longest], values_BGNK[:, :, :longest]

    def advance(self, new_tokens: int) -> None:
        """Count the appended tokens as seen."""
        self.lengths = [length + new_tokens for length in self.lengths]

    def mask(self, new_tokens: int) -> Tensor | None:
        """Which cached tokens each new token sees: bool (1 or B, 1, L, N).

        None where no mask is needed: a single new token in even rows sees all, and an empty cache makes plain rows.
        """
        if self.empty or (self.even and new_tokens == 1):
            return None
        last_seen_BL = self.positions(new_tokens)
        reach_N = torch.arange(max(self.lengths) + new_tokens, device=self._keys.device)
        return (reach_N <= last_seen_BL[:, :, None])[:, None]

    def positions(self, new_tokens: int) -> Tensor:
        """The positions of the new tokens, int64 (B, L), or (1, L) if all rows have the same length."""
        starts = torch.tensor(self.lengths[:1] if self.even else self.lengths, device=self._keys.device)
        return starts[:, None] + torch.arange(new_tokens, device=self._keys.device)

    def truncate(self, row: int, length: int) -> None:
        """Forget what row `row` has seen beyond its first `length` tokens."""
        assert 0 <= length <= self.lengths[row], f"can't truncate {self.lengths[row]} tokens to {length}"
        self.lengths[row] = length

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows, in this order; a row may be named twice (beams) or not at all (finished)."""
        longest = max(self.lengths)
        self._keys, self._values = _select(self._keys, rows, longest), _select(self._values, rows, longest)
        if len(rows) < len(self.lengths):  # the next ones to take these places must find no NaN of a broken row
            self._keys[:, len(rows) : len(self.lengths), :, :longest] = 0
            self._values[:, len(rows) : len(self.lengths), :, :longest] = 0
        self.lengths = [self.lengths[row] for row in rows]

    def join(self, other: Self) -> None:
        """Put the rows of another cache of the same model behind its own; there is room for the longer of both."""
        batch, longest = len(self.lengths), max(other.lengths)
        shape = (batch + len(other.lengths), max(self.tokens, other.tokens))
        self._keys, self._values = self._with_room(self._keys, *shape), self._with_room(self._values, *shape)
        joined = slice(batch, batch + len(other.lengths))
        for mine, others in ((self._keys, other._keys), (self._values, other._values)):
            mine[:, joined, :, :longest] = others[:, : len(other.lengths), :, :longest]
        self.lengths = self.lengths + other.lengths

    def take(self, row: int, length: int, tokens: int) -> Self:
        """A copy of what a row has seen up to `length` tokens, with room for `tokens`."""
        assert 0 < length <= min(self.lengths[row], tokens), f"can't take {length} of {self.lengths[row]} tokens"
        taken = copy(self)
        layers, _, kv_heads, _, head_width = self._keys.shape
        shape = (layers, 1, kv_heads, tokens, head_width)
        taken._keys, taken._values = _zeros(shape, self._keys.device), _zeros(shape, self._keys.device)
        taken._keys[:, 0, :, :length] = self._keys[:, row, :, :length]
        taken._values[:, 0, :, :length] = self._values[:, row, :, :length]
        taken.lengths = [length]
        return taken

    def _with_room(self, old: Tensor, rows: int, tokens: int) -> Tensor:
        """The same cells where there is room for so many rows and tokens; twice the rows if there isn't."""
        layers, room, kv_heads, old_tokens, head_width = old.shape
        if rows <= room and tokens <= old_tokens:
            return old
        room = room if rows <= room else max(rows, 2 * room)
        new = _zeros((layers, room, kv_heads, tokens, head_width), old.device)
        batch, longest = len(self.lengths), max(self.lengths)
        new[:, :batch, :, :longest] = old[:, :batch, :, :longest]
        return new


def _zeros(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Zeros that, on a CPU, take memory only when written to: numpy asks for clean pages, torch fills them."""
    if device.type != "cpu":
        return torch.zeros(shape, device=device)
    return torch.from_numpy(np.zeros(shape, np.float32))


def _select(old: Tensor, rows: Sequence[int], longest: int) -> Tensor:
    """The rows in their new order; where there are no more than before, only those that move are copied."""
    if len(rows) <= old.shape[1]:
        moved = [new for new, row in enumerate(rows) if new != row]
        if moved:
            old[:, moved, :, :longest] = old[:, [rows[new] for new in moved], :, :longest]
        return old
    new = _zeros((old.shape[0], len(rows), *old.shape[2:]), old.device)
    new[:, :, :, :longest] = old[:, list(rows), :, :longest]
    return new
