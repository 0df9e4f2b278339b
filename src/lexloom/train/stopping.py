"""Early stopping: which measurement was the best, and how many have come since without a better one."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Best:
    """The lowest validation loss so far, the step it was measured at, and how many measurements have come since.

    Loss and step are None as long as there was no finite loss.
    """

    loss: float | None = None
    step: int | None = None
    worse_in_a_row: int = 0

    def after(self, loss: float, step: int) -> "Best":
        """With one more measurement; a non-finite loss is never the best."""
        if math.isfinite(loss) and (self.loss is None or loss < self.loss):
            return Best(loss, step, 0)
        return Best(self.loss, self.step, self.worse_in_a_row + 1)

    def is_over(self, patience: int | None) -> bool:
        """Whether `patience` measurements in a row have brought nothing better."""
        return patience is not None and self.worse_in_a_row >= patience
