"""Which labels a model takes for which others."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Confused:
    """Examples of one label that were given another."""

    reference: str
    prediction: str
    examples: int
    share: float
    """Of the examples with this reference."""


@dataclass(frozen=True)
class Confusion:
    """How often each label was given to examples of each label."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    """A row for each reference, a column for each prediction, both in the order of `labels`."""

    def worst(self, pairs: int = 10) -> list[Confused]:
        """The pairs of labels confused most often, the most frequent first."""
        found = [
            Confused(reference, prediction, count, count / sum(row))
            for reference, row in zip(self.labels, self.counts, strict=True)
            for prediction, count in zip(self.labels, row, strict=True)
            if count and prediction != reference
        ]
        return sorted(found, key=lambda confused: -confused.examples)[:pairs]

    def to_json(self) -> dict[str, Any]:
        """Plain values, as in results.json."""
        return {**asdict(self), "worst": [asdict(confused) for confused in self.worst()]}


def confusion(predictions: Sequence[str], references: Sequence[str], labels: Sequence[str] = ()) -> Confusion:
    """Count the pairs. Labels that occur but aren't among `labels` follow them, sorted."""
    counts = Counter(zip(references, predictions, strict=True))
    others = {label for pair in counts for label in pair} - set(labels)
    order = (*labels, *sorted(others))
    return Confusion(order, tuple(tuple(counts[reference, prediction] for prediction in order) for reference in order))
