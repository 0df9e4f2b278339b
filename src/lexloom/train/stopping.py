"""Early stopping: which measurement was the best, and how many have come since without a better one."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Best:
    """The best score so far (higher is better), the step it was measured at, and how many have come since.

    Score and step are None as long as there was no finite score. Of equal scores the earlier one is the best.
    """

    score: float | None = None
    step: int | None = None
    worse_in_a_row: int = 0

    def after(self, score: float, step: int) -> "Best":
        """With one more measurement; a score that is not finite is never the best."""
        if math.isfinite(score) and (self.score is None or score > self.score):
            return Best(score, step, 0)
        return Best(self.score, self.step, self.worse_in_a_row + 1)

    def is_over(self, patience: int | None) -> bool:
        """Whether `patience` measurements in a row have brought nothing better."""
        return patience is not None and self.worse_in_a_row >= patience
