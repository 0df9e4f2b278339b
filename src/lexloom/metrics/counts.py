"""Precision, recall and F1 from counts of things found: labels, entities or relations.

An example holds a set of things; a thing that is both predicted and wanted is a hit. Things belong to classes, and an
average says how the classes become one figure. Definitions: van Rijsbergen 1979; averages as in scikit-learn.
Axes: N examples, C classes; rows hold hits, predicted and wanted of each class, (N, 3·C).
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lexloom.metrics.contract import Metric, Rows

Average = Literal["micro", "macro", "weighted"]
"""micro: over all things; macro: the mean over classes; weighted: the mean by how often a class is wanted."""
Score = Callable[[Rows, Rows, Rows], Rows]
"""(hits, predicted, wanted), each (C) → (C)."""
Things = Callable[[Any], Iterable[Hashable]]


def counted(
    name: str,
    score: Score,
    average: Average,
    *,
    things: Things,
    class_of: Callable[[Any], str] = str,
    classes: Sequence[str] | None = None,
) -> Metric:
    """A metric that counts things: `things(prediction)` are compared with `things(reference)`.

    `classes` limits what is counted; without it every class that occurs is. A class that neither predictions nor
    references hold has no say in an average, as in scikit-learn: neither in the figure nor in a resample of it.
    """

    def rows(predictions: Sequence[Any], references: Sequence[Any]) -> Rows:
        predicted = [set(things(prediction)) for prediction in predictions]
        wanted = [set(things(reference)) for reference in references]
        return count_rows(predicted, wanted, class_of=class_of, classes=classes)

    return Metric(name, rows, lambda rows: averaged(score, average, *totals(rows)))


def count_rows(
    predicted: Sequence[set[Any]],
    wanted: Sequence[set[Any]],
    *,
    class_of: Callable[[Any], str] = str,
    classes: Sequence[str] | None = None,
) -> Rows:
    """Hits, predicted and wanted of every class, (N, 3·C); classes are sorted if not given."""
    if classes is None:
        classes = sorted({class_of(thing) for side in (predicted, wanted) for things in side for thing in things})
    column = {name: number for number, name in enumerate(classes)}
    counts_N3C = np.zeros((len(wanted), 3, len(column)))
    for counts_3C, found, sought in zip(counts_N3C, predicted, wanted, strict=True):
        for counts_C, things in zip(counts_3C, (found & sought, found, sought), strict=True):
            for thing in things:
                place = column.get(class_of(thing))
                if place is not None:
                    counts_C[place] += 1
    return counts_N3C.reshape(len(wanted), 3 * len(column))


def totals(rows: Rows) -> tuple[Rows, Rows, Rows]:
    """Hits, predicted and wanted, each (C)."""
    hits_C, predicted_C, wanted_C = rows.sum(axis=0).reshape(3, rows.shape[1] // 3)
    return hits_C, predicted_C, wanted_C


def averaged(score: Score, average: Average, hits_C: Rows, predicted_C: Rows, wanted_C: Rows) -> float:
    """One figure from the counts; 0 where there is nothing to average."""
    if average == "micro":
        return float(score(*(counts.sum(keepdims=True) for counts in (hits_C, predicted_C, wanted_C)))[0])
    scores_C = score(hits_C, predicted_C, wanted_C)
    weights_C = wanted_C if average == "weighted" else ((predicted_C > 0) | (wanted_C > 0)).astype(np.float64)
    return float(scores_C @ weights_C / weights_C.sum()) if weights_C.sum() > 0 else 0.0


def precision_of(hits: Rows, predicted: Rows, wanted: Rows) -> Rows:
    """Of what was predicted, the share that was wanted."""
    return _quotient(hits, predicted)


def recall_of(hits: Rows, predicted: Rows, wanted: Rows) -> Rows:
    """Of what was wanted, the share that was predicted."""
    return _quotient(hits, wanted)


def f1_of(hits: Rows, predicted: Rows, wanted: Rows) -> Rows:
    """The harmonic mean of precision and recall."""
    return _quotient(2 * hits, predicted + wanted)


def _quotient(above: Rows, below: Rows) -> NDArray[np.float64]:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
