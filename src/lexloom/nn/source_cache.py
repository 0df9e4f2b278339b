"""The cache of a decoder that looks at source texts: their keys and values are computed once and never copied per row.

Axes: B rows, L new tokens, R source texts, Q new tokens of the rows that look at the same one, M the longest source
text, S source tokens of all texts, H heads, K head width.
"""

from collections.abc import Callable, Sequence
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from lexloom.nn.cache import Cache

Attention = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]
"""Queries (R, H, Q, K), keys and values (R, H, M, K), and which keys are tokens (R, 1, 1, M; None: all)."""


class SourceCache(Cache):
    """A Cache whose rows each look at one of several source texts; row i begins with text i.

    Rows that are kept twice (beams) become queries of the same keys. Source texts that no row looks at any more are
    let go once they are the half.
    """

    def __init__(
        self, *, keys_values: Sequence[tuple[Tensor, Tensor]], runs: Sequence[int], batch: int, tokens: int
    ) -> None:
        """`keys_values` are (S, H, K) of each layer, `runs` the lengths of the source texts in them."""
        assert batch == len(runs), f"{batch} rows for {len(runs)} source texts"
        first_SHK = keys_values[0][0]
        super().__init__(
            layers=len(keys_values),
            batch=batch,
            tokens=tokens,
            kv_heads=first_SHK.shape[1],
            head_width=first_SHK.shape[2],
            device=first_SHK.device,
        )
        self._look_at(keys_values, runs, first_SHK.device)

    def _look_at(self, keys_values: Sequence[tuple[Tensor, Tensor]], runs: Sequence[int], device: torch.device) -> None:
        self._source = [(_padded(k_SHK, runs), _padded(v_SHK, runs)) for k_SHK, v_SHK in keys_values]
        self._runs = torch.tensor(runs, device=device)
        self._arrange(list(range(len(runs))))

    def look(self, layer: int, q_BLHK: Tensor, scale: float | None, attention: Attention | None = None) -> Tensor:
        """Attention of the rows' queries to their source texts → (B, L, H, K); scaled dot products if not given."""
        keys_RHMK, values_RHMK = self._source[layer]
        _, length, heads, width = q_BLHK.shape
        if self._picks is not None:
            q_BLHK = q_BLHK.index_select(0, self._picks)
        q_RHQK = q_BLHK.reshape(len(keys_RHMK), -1, heads, width).transpose(1, 2)
        if attention is None:
            y_RHQK = functional.scaled_dot_product_attention(
                q_RHQK, keys_RHMK, values_RHMK, attn_mask=self._mask, scale=scale
            )
        else:
            y_RHQK = attention(q_RHQK, keys_RHMK, values_RHMK, self._mask)
        y_BLHK = y_RHQK.transpose(1, 2).reshape(-1, length, heads, width)
        return y_BLHK if self._back is None else y_BLHK.index_select(0, self._back)

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows, in this order; a row may be named twice (beams) or not at all (finished)."""
        super().keep(rows)
        text_of = [self._text_of[row] for row in rows]
        if text_of != self._text_of:
            self._arrange(text_of)

    def join(self, other: Self) -> None:
        """Put the rows of another cache of the same model behind its own, with the texts that they look at."""
        texts = len(self._runs)
        super().join(other)
        self._source = [
            (_stacked(keys, other_keys), _stacked(values, other_values))
            for (keys, values), (other_keys, other_values) in zip(self._source, other._source, strict=True)
        ]
        self._runs = torch.cat([self._runs, other._runs])
        self._arrange([*self._text_of, *(texts + text for text in other._text_of)])

    def take(self, row: int, length: int, tokens: int) -> Self:
        """A copy of what a row has seen up to `length` tokens, with room for `tokens`; it looks at the same text."""
        taken = super().take(row, length, tokens)
        taken._arrange([self._text_of[row]])
        return taken

    @property
    def source_bytes(self) -> int:
        """The memory that the keys and values of the source texts take."""
        return sum(keys.nbytes + values.nbytes for keys, values in self._source)

    def _arrange(self, text_of: list[int]) -> None:
        """Lay out the rows: `_picks` picks as many rows of each text, `_back` picks the rows from what comes of it."""
        used = sorted(set(text_of))
        if 2 * len(used) <= len(self._runs):
            text_of = self._drop_texts(used, text_of)
        rows_of: list[list[int]] = [[] for _ in self._runs]
        for row, text in enumerate(text_of):
            rows_of[text].append(row)
        most = max(len(rows) for rows in rows_of)
        places = [row for rows in rows_of for row in (rows + [0] * (most - len(rows)))]
        back = [0] * len(text_of)
        for text, rows in enumerate(rows_of):
            for number, row in enumerate(rows):
                back[row] = text * most + number
        plain = places == list(range(len(text_of)))
        device = self._runs.device
        self._text_of = text_of
        self._picks = None if plain else torch.tensor(places, device=device)
        self._back = None if plain else torch.tensor(back, device=device)
        self._mask = self._seen()

    def _drop_texts(self, used: list[int], text_of: list[int]) -> list[int]:
        chosen = torch.tensor(used, device=self._runs.device)
        self._runs = self._runs[chosen]
        longest = int(self._runs.max())
        self._source = [(keys[chosen, :, :longest], values[chosen, :, :longest]) for keys, values in self._source]
        number_of = {text: number for number, text in enumerate(used)}
        return [number_of[text] for text in text_of]

    def _seen(self) -> Tensor | None:
        """Which cells of each text are tokens, bool (R, 1, 1, M); None if all are."""
        longest = int(self._runs.max())
        if bool((self._runs == longest).all()):
            return None
        return (torch.arange(longest, device=self._runs.device) < self._runs[:, None])[:, None, None]


def _stacked(x_RHMK: Tensor, more_RHMK: Tensor) -> Tensor:
    """Both, one behind the other, with room for the longest text of either."""
    longest = max(x_RHMK.shape[2], more_RHMK.shape[2])
    return torch.cat([functional.pad(x, (0, 0, 0, longest - x.shape[2])) for x in (x_RHMK, more_RHMK)])


def _padded(x_SHK: Tensor, runs: Sequence[int]) -> Tensor:
    """The texts side by side, (R, H, M, K)."""
    return pad_sequence(list(torch.split(x_SHK, list(runs))), batch_first=True).transpose(1, 2).contiguous()
