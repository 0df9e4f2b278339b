"""The sections of a fine-tuning run's page: figures, labels, confusion, calibration, slices, errors.

Each is None or empty where the run has nothing to show.
Axes: N examples, C labels.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from markupsafe import Markup

from lexloom.evaluate.calibration import calibration
from lexloom.evaluate.confusion import Confusion, confusion
from lexloom.evaluate.slices import Slicing, by_length, by_script, mistakes, sliced
from lexloom.metrics.counts import count_rows, f1_of, precision_of, recall_of, totals
from lexloom.report import task_plots
from lexloom.report.answers import Answers, answers_of
from lexloom.report.html import Twin
from lexloom.report.numbers import count, figures
from lexloom.report.read import Row, Run

MOST_LABELS = 40
MOST_CONFUSED = 20
"""Labels of a confusion matrix that can still be read; beyond, only the pairs confused most are told."""
MOST_PAIRS = 10
MOST_ERRORS = 20
TEXT_CHARACTERS = 240
LEAST_SLICE = 5
SPREAD = ("mean", "deviation", "least", "greatest")

SPLITS: dict[str, Twin] = {
    "validation": ("validation", "验证集"),
    "test": ("test", "测试集"),
    "folds": ("cross-validation", "交叉验证"),
}


def task_sections(run: Run) -> Row:
    """All sections by name, as the template takes them."""
    answers = answers_of(run)
    return {
        "figures": figures_table(run),
        "spread": spread_table(run),
        "split": SPLITS.get(_last_split(run), ("", "")),
        "labels": labels_table(answers) if answers else None,
        "confusion": confusion_table(answers) if answers else None,
        "calibration": calibration_figure(answers) if answers else None,
        "scatter": scatter_figure(answers) if answers else None,
        "slices": slices_table(answers) if answers else None,
        "errors": errors_table(answers) if answers else None,
    }


# ---- figures ----


def figures_table(run: Run) -> list[Row]:
    """Every metric of every split, with its interval; the main one of the task first."""
    return [
        {
            "split": SPLITS.get(split, (split, split)),
            "examples": count(found["examples"]),
            "rows": [
                {"name": name, "main": name == found["main"], **stated(figure)}
                for name, figure in found["figures"].items()
            ],
        }
        for split, found in run.splits.items()
        if found["figures"]
    ]


def main_figure(run: Run) -> Row | None:
    """The main metric of the test split, or else of the last one that was measured."""
    table = figures_table(run)
    return {"split": table[-1]["split"], **table[-1]["rows"][0]} if table else None


def spread_table(run: Run) -> Row | None:
    """The main metric of every seed (or fold), with mean and deviation."""
    for split, row in reversed(run.results.get("spread", {}).items()):
        runs = _repeated(run, split)
        if not runs or not row:
            continue
        main = runs[0][1]["main"]
        shown = row[main]
        return {
            "split": SPLITS.get(split, (split, split)),
            "metric": main,
            "runs": [
                {"name": name, "chosen": name == run.results.get("chosen"), **stated(found["figures"][main])}
                for name, found in runs
            ],
            **{key: _number(shown[key], percent=shown["percent"]) for key in SPREAD},
        }
    return None


def _repeated(run: Run, split: str) -> list[tuple[str, Row]]:
    if split == "folds":
        return [(row["run"], row) for row in run.splits.get("folds", {}).get("runs", [])]
    return [(row["run"], row["splits"][split]) for row in run.results.get("runs", []) if split in row["splits"]]


def stated(figure: Row) -> Row:
    """A figure as the field states it: percent where it does."""
    value, low, high = (
        "" if figure.get(key) is None else _number(figure[key], percent=figure["percent"])
        for key in ("value", "low", "high")
    )
    return {"value": value, "interval": f"{low}–{high}" if low and high else ""}


def _number(value: float, *, percent: bool) -> str:
    return f"{100 * value:.2f}" if percent else f"{value:.4f}"


def _last_split(run: Run) -> str:
    """The split of predictions.jsonl."""
    return next(reversed(run.splits), "")


# ---- labels ----


def labels_table(answers: Answers) -> Row | None:
    """Precision, recall and F1 of every label or type of entity, the most frequent first."""
    if answers.kind.things is None:
        return None
    things, class_of = answers.kind.things, answers.kind.class_of
    found, wanted = ([set(things(one)) for one in side] for side in (answers.predictions, answers.references))
    names = sorted({class_of(thing) for side in (found, wanted) for some in side for thing in some})
    hits_C, found_C, wanted_C = totals(count_rows(found, wanted, class_of=class_of, classes=names))
    scores = [score(hits_C, found_C, wanted_C) for score in (precision_of, recall_of, f1_of)]
    order = np.argsort(-wanted_C, kind="stable")
    return {
        "entities": answers.kind.field == "tags",
        "rows": [
            {
                "name": names[place],
                "wanted": count(float(wanted_C[place])),
                "found": count(float(found_C[place])),
                "scores": [f"{100 * score[place]:.1f}" for score in scores],
                "percent": f"{100 * scores[-1][place]:.1f}",
            }
            for place in order[:MOST_LABELS]
        ],
        "more": count(len(names) - MOST_LABELS) if len(names) > MOST_LABELS else "",
    }


def confusion_table(answers: Answers) -> Row | None:
    """Which labels are taken for which, and the pairs confused most often."""
    if answers.kind.field != "label":
        return None
    found = confusion(answers.predictions, answers.references)
    return {
        "labels": found.labels if len(found.labels) <= MOST_CONFUSED else (),
        "rows": list(_confusion_rows(found)) if len(found.labels) <= MOST_CONFUSED else [],
        "worst": [
            (pair.reference, pair.prediction, count(pair.examples), f"{pair.share:.1%}")
            for pair in found.worst(MOST_PAIRS)
        ],
    }


def _confusion_rows(found: Confusion) -> Iterator[Row]:
    for label, counts in zip(found.labels, found.counts, strict=True):
        total = sum(counts)
        yield {
            "label": label,
            "cells": [
                {
                    "count": count(number) if number else "",
                    "right": other == label,
                    "percent": f"{100 * number / total:.1f}" if total else "0",
                    "share": f"{number / total:.1%}" if total else "",
                }
                for other, number in zip(found.labels, counts, strict=True)
            ],
        }


# ---- probabilities and numbers ----


def calibration_figure(answers: Answers) -> Row | None:
    """How often the model is right where it is so sure, drawn and told."""
    if answers.kind.field != "label" or any("probabilities" not in line["prediction"] for line in answers.lines):
        return None
    labels = list(answers.lines[0]["prediction"]["probabilities"])
    known = [number for number, reference in enumerate(answers.references) if reference in labels]
    if not known or len(labels) < 2:
        return None
    shares_NC = np.array([list(answers.lines[number]["prediction"]["probabilities"].values()) for number in known])
    targets_N = np.array([labels.index(answers.references[number]) for number in known])
    found = calibration(shares_NC, targets_N)
    return {
        "picture": Markup(task_plots.reliability_diagram(found, "calibration")),
        "error": f"{100 * found.expected_error:.2f}",
        "chance": f"{100 * found.chance_error:.2f}",
        "calibrated": found.calibrated,
        "temperature": f"{found.temperature:.2f}",
        "mended": f"{100 * found.mended_error:.2f}",
        "brier": f"{found.brier.value:.4f}",
        "rows": [
            (f"{bar.low:.2f}–{bar.high:.2f}", count(bar.examples), f"{bar.confidence:.3f}", f"{bar.accuracy:.3f}")
            for bar in found.bins
            if bar.confidence is not None and bar.accuracy is not None
        ],
    }


def scatter_figure(answers: Answers) -> Row | None:
    """Numbers as they are and as they were foretold."""
    if answers.kind.field != "score" or len(answers.lines) < 2:
        return None
    wanted, found = np.array(answers.references, np.float64), np.array(answers.predictions, np.float64)
    return {"picture": Markup(task_plots.scatter(wanted, found, "scatter")), "examples": count(len(wanted))}


# ---- where it fails ----


def slices_table(answers: Answers) -> Row | None:
    """The metric on texts by length and script; slices of a few examples say nothing and are left out."""
    if answers.texts is None:
        return None
    slicings: list[tuple[Twin, Slicing]] = [
        (("by length", "按长度"), by_length([len(text) for text in answers.texts], "characters")),
        (("by script", "按文字"), by_script(answers.texts)),
    ]
    groups = []
    for title, slicing in slicings:
        large = {name: part for name, part in slicing.items() if len(part) >= LEAST_SLICE}
        if len(large) > 1:
            parts = sliced(answers.metric, answers.predictions, answers.references, large)
            rows = [(part.name, count(part.examples), stated(_figure(answers, part.figure))) for part in parts]
            groups.append({"title": title, "rows": rows})
    return {"metric": answers.metric.name, "groups": groups} if groups else None


def _figure(answers: Answers, estimate: Any) -> Row:
    return {
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "percent": answers.metric.percent,
    }


def errors_table(answers: Answers) -> Row | None:
    """The errors the model was surest of; of numbers those whose rank is furthest off."""
    if answers.kind.field == "score":
        numbers = _furthest_ranks(answers)
        total = ""
    else:
        wrong = mistakes(answers.predictions, answers.references, answers.right, answers.confidences)
        numbers, total = [mistake.example for mistake in wrong[:MOST_ERRORS]], count(len(wrong))
    if not numbers:
        return None
    return {
        "total": total,
        "of": count(len(answers.lines)),
        "ranked": answers.kind.field == "score",
        "sure": answers.confidences is not None,
        "rows": [_error(answers, number) for number in numbers],
    }


def _furthest_ranks(answers: Answers) -> list[int]:
    ranks = [np.argsort(np.argsort(np.array(side, np.float64))) for side in (answers.references, answers.predictions)]
    return [int(number) for number in np.argsort(-np.abs(ranks[0] - ranks[1]), kind="stable")[:MOST_ERRORS]]


def _error(answers: Answers, number: int) -> Row:
    text = answers.texts[number] if answers.texts is not None else ""
    return {
        "where": str(answers.lines[number]["where"]).rsplit("/", 1)[-1],
        "text": text if len(text) <= TEXT_CHARACTERS else f"{text[:TEXT_CHARACTERS]}…",
        "reference": _shown(answers, answers.references[number]),
        "prediction": _shown(answers, answers.predictions[number]),
        "confidence": f"{answers.confidences[number]:.1%}" if answers.confidences is not None else "",
    }


def _shown(answers: Answers, value: Any) -> str:
    """An answer in a few words: of tags the entities, of several answers the first."""
    if answers.kind.field == "tags" and answers.kind.things is not None:
        found: list[Any] = list(answers.kind.things(value))
        return ", ".join(f"{kind} {start + 1}–{end}" for start, end, kind in found) or "—"
    if isinstance(value, list):
        return (", ".join(value) if answers.kind.field == "labels" else next(iter(value), "")) or "—"
    return (figures(value) if isinstance(value, float) else str(value)) or "—"
