"""What an objective's windows count up to, sequence by sequence, when each is drawn once and always alike.

Axes: C things counted, R sequences.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from lexloom.base.rng import generator
from lexloom.data.batches import Windows
from lexloom.objectives.contract import Batch, Objective

Tick = Callable[[int], None]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class WindowsEvaluation:
    """What a model makes of an objective's windows, sequence by sequence; each kind adds its figures."""

    tokens: Floats = field(repr=False)
    """Scored ones, (R,)."""
    nats: Floats = field(repr=False)
    """Their losses, (R,)."""

    def to_json(self) -> dict[str, Any]:
        """Plain values, as in results.json: how much there was, and the figures."""
        size = {"sequences": len(self.tokens), "tokens": int(self.tokens.sum()), "resampled": "sequences"}
        return {**{name: value for name, value in asdict(self).items() if name != "nats"}, **size}


def over_windows(
    count: Callable[[Batch], Floats],
    model: nn.Module,
    objective: Objective,
    windows: Windows,
    seed: int,
    batch_windows: int,
    tick: Tick | None,
) -> Floats:
    """`count` of the batches of all windows, (C, R); `tick` is told the number of windows done.

    The model must not be in training mode.
    """
    assert not model.training, "dropout would change every score: call model.eval() first"
    counted = []
    for start in range(0, len(windows), batch_windows):
        indices = list(range(start, min(start + batch_windows, len(windows))))
        batch = objective.make_batch(windows, indices, lambda row: generator("evaluate", seed, indices[row]))  # noqa: B023
        counted.append(count(batch))
        if tick is not None:
            tick(indices[-1] + 1)
    return np.concatenate(counted, axis=1)
