"""What may come next in a text that must keep a form, as generation sees it.

Axes: V vocabulary.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

Allowed = npt.NDArray[np.bool_]


class Guide(Protocol):
    """The state of one text; `generate.constraints` makes them."""

    def allowed(self, eos_ids: Sequence[int]) -> Allowed:
        """Which ids may come next, bool (V); `eos_ids` where the text may end. At least one is."""
        ...

    def push(self, id: int) -> bool:
        """Add an id that was allowed; true if the text is complete and nothing can follow."""
        ...
