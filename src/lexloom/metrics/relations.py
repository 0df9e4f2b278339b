"""The official metric of SemEval-2010 Task 8: relations between two nouns, with their direction.

Source: Hendrickx et al. 2010, and the task's scorer, version 1.2.
Labels are `Cause-Effect(e1,e2)`, `Cause-Effect(e2,e1)` and so on, and `Other`.
"""

from collections.abc import Sequence
from typing import Any

from lexloom.metrics.contract import Metric, Rows
from lexloom.metrics.counts import averaged, count_rows, f1_of, totals

OTHER = "Other"


def semeval_macro_f1() -> Metric:
    """(9+1)-way macro F1 taking directionality into account, `Other` left out, as the task's scorer prints it last.

    A relation is right if its direction is, but predictions of both directions count against its precision. What is not
    predicted (None) counts as `Other`. Relations that the references don't hold are left out, as the scorer does.
    """

    def rows(predictions: Sequence[Any], references: Sequence[Any]) -> Rows:
        wanted = [_related(label) for label in references]
        predicted = [_related(label) for label in predictions]
        relations = sorted({_relation(label) for labels in wanted for label in labels})
        return count_rows(predicted, wanted, class_of=_relation, classes=relations)

    return Metric("SemEval macro F1", rows, lambda rows: averaged(f1_of, "macro", *totals(rows)))


def _related(label: str | None) -> set[str]:
    return set() if label is None or label == OTHER else {label}


def _relation(label: str) -> str:
    return label.partition("(")[0]
