"""Texts that begin alike, read together: their common beginning passes through the model once.

A fork is a trunk and the branches that continue it, each as if the others weren't there. Many forks lie behind one
another in one row, without padding: the trunk of the first, its branches, the trunk of the second, and so on.
Axes: T tokens of the row, G key/value heads, K head width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Fork:
    """The lengths, in tokens, of a trunk and of its branches; any of them may be 0."""

    trunk: int
    branches: tuple[int, ...]

    @property
    def tokens(self) -> int:
        """How many tokens pass through the model."""
        return self.trunk + sum(self.branches)


class Forks:
    """Stands where a decoder expects a cache, and says what the tokens of one row of forks see; it remembers nothing.

    Every token sees the tokens before it in its trunk and in its own branch, and itself.
    """

    empty = False
    """A cache that holds nothing yet would mean plain rows."""

    def __init__(self, forks: Sequence[Fork], device: torch.device) -> None:
        self.forks = tuple(forks)
        stretches = [stretch for fork in forks for stretch in _stretches(fork)]
        lengths = torch.tensor([length for length, _, _ in stretches])
        positions = [torch.arange(start, start + length) for length, start, _ in stretches]
        fork_of_T = torch.repeat_interleave(torch.tensor([fork.tokens for fork in forks]))
        branch_of_T = torch.repeat_interleave(torch.tensor([branch for _, _, branch in stretches]), lengths)
        self._positions_T = torch.cat(positions).to(device)
        self._mask_TT = _seen(fork_of_T, branch_of_T).to(device)
        self.of_branch_T = (branch_of_T != TRUNK).to(device)
        """Which tokens are a branch's."""

    @property
    def trunks(self) -> list[int]:
        """The lengths of the trunks that have any tokens, in the order of the row."""
        return [fork.trunk for fork in self.forks if fork.trunk]

    @property
    def branches(self) -> list[tuple[int, int]]:
        """(length, tokens of all trunks up to where its own ends; 0 if that is empty) of each branch that has any."""
        read = accumulate(fork.trunk for fork in self.forks)
        pairs = zip(self.forks, read, strict=True)
        return [(length, end if fork.trunk else 0) for fork, end in pairs for length in fork.branches if length]

    @property
    def previous_T(self) -> Tensor:  # noqa: N802
        """The place of the token before each one in its own text, −1 for a first one; int64 (T)."""
        previous: list[int] = []
        for fork in self.forks:
            trunk = len(previous)
            for length, start, branch in _stretches(fork):
                before = -1 if branch == TRUNK or start == 0 else trunk + start - 1
                previous += [before, *range(len(previous), len(previous) + length - 1)][:length]
        return torch.tensor(previous)

    def reserve(self, batch: int, new_tokens: int) -> None:
        """Check that the row is the one that was described."""
        expected = (1, len(self._positions_T))
        assert (batch, new_tokens) == expected, f"{batch} × {new_tokens} ids for forks of {expected[1]} tokens"

    def positions(self, new_tokens: int) -> Tensor:
        """Where each token stands in its own text, int64 (1, T)."""
        return self._positions_T[None]

    def mask(self, new_tokens: int) -> Tensor:
        """Which tokens (columns) each token (row) sees: bool (1, 1, T, T)."""
        return self._mask_TT[None, None]

    def append(self, layer: int, k_BLGK: Tensor, v_BLGK: Tensor) -> tuple[Tensor, Tensor]:
        """The row's own keys and values, (1, G, T, K)."""
        return k_BLGK.transpose(1, 2), v_BLGK.transpose(1, 2)

    def advance(self, new_tokens: int) -> None:
        """Nothing follows a row of forks."""


TRUNK = -1


def _stretches(fork: Fork) -> list[tuple[int, int, int]]:
    """(length, position of its first token, number of its branch) of the trunk and of each branch."""
    branches = [(length, fork.trunk, number) for number, length in enumerate(fork.branches)]
    return [(fork.trunk, 0, TRUNK), *branches]


def _seen(fork_of_T: Tensor, branch_of_T: Tensor) -> Tensor:
    same_fork_TT = fork_of_T[:, None] == fork_of_T
    same_text_TT = (branch_of_T[:, None] == branch_of_T) | (branch_of_T == TRUNK)
    return (same_fork_TT & same_text_TT).tril_()
