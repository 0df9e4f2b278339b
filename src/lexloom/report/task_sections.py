"""The sections of a fine-tuning run's page: figures, labels, confusion, calibration, slices, errors.

Each is None or empty where the run has nothing to show.
Axes: N examples, C labels.
"""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from markupsafe import Markup

from lexloom.metrics import entities_of
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
MOST_WRITTEN = 12
TEXT_CHARACTERS = 240
LEAST_SLICE = 5
SPREAD = ("mean", "deviation", "least", "greatest")

SPLITS: dict[str, Twin] = {
    "validation": ("validation", "验证集"),
    "test": ("test", "测试集"),
    "folds": ("cross-validation", "交叉验证"),
}
SLICINGS: dict[str, Twin] = {
    "length": ("by length", "按长度"),
    "label": ("by label", "按标签"),
    "script": ("by script", "按文字"),
    "unknown tokens": ("by unknown tokens", "按未知词元"),
}


def task_sections(run: Run) -> Row:
    """All sections by name, as the template takes them."""
    answers = answers_of(run)
    split = next(reversed(run.splits), "")
    found = run.splits.get(split, {})
    return {
        "figures": figures_table(run),
        "spread": spread_table(run),
        "split": SPLITS.get(split, (split, split)),
        "written": written_table(answers) if answers else None,
        "labels": labels_table(answers) if answers else None,
        "confusion": confusion_table(found),
        "calibration": calibration_figure(found),
        "scatter": scatter_figure(answers) if answers else None,
        "slices": slices_table(found),
        "errors": errors_table(found),
        "ranks": ranks_table(answers) if answers else None,
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
    """A figure as the field states it: percent where it does, and how it was computed where that matters."""
    value, low, high = (
        "" if figure.get(key) is None else _number(figure[key], percent=figure["percent"])
        for key in ("value", "low", "high")
    )
    return {"value": value, "interval": f"{low}–{high}" if low and high else "", "detail": figure.get("detail", "")}


def _number(value: float, *, percent: bool) -> str:
    return f"{100 * value:.2f}" if percent else f"{value:.4f}"


# ---- texts ----


def written_table(answers: Answers) -> Row | None:
    """What was written to a few examples: evenly spaced, so that nobody has chosen them."""
    if answers.kind.field != "text":
        return None
    total = len(answers.lines)
    chosen = sorted({number * total // MOST_WRITTEN for number in range(MOST_WRITTEN)})
    return {
        "shown": count(len(chosen)),
        "of": count(total),
        "rows": [
            {
                "where": _place(answers.lines[number]["where"]),
                "text": " ‖ ".join(answers.lines[number].get("texts", ())[:1])[:TEXT_CHARACTERS],
                "reference": " / ".join(answers.references[number])[:TEXT_CHARACTERS] or "—",
                "written": answers.predictions[number][:TEXT_CHARACTERS] or "—",
            }
            for number in chosen
        ],
    }


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


def confusion_table(split: Row) -> Row | None:
    """Which labels are taken for which, and the pairs confused most often."""
    found = split.get("confusion")
    if not found:
        return None
    legible = len(found["labels"]) <= MOST_CONFUSED
    return {
        "labels": found["labels"] if legible else [],
        "rows": list(_confusion_rows(found)) if legible else [],
        "worst": [
            (pair["reference"], pair["prediction"], count(pair["examples"]), f"{pair['share']:.1%}")
            for pair in found["worst"][:MOST_PAIRS]
        ],
    }


def _confusion_rows(found: Row) -> Iterator[Row]:
    for label, counts in zip(found["labels"], found["counts"], strict=True):
        total = sum(counts)
        yield {
            "label": label,
            "cells": [
                {
                    "count": count(number) if number else "",
                    "right": other == label,
                    "share": f"{number / total:.3f}" if total else "0",
                    "told": f"{number / total:.1%}" if total else "",
                }
                for other, number in zip(found["labels"], counts, strict=True)
            ],
        }


# ---- probabilities and numbers ----


def calibration_figure(split: Row) -> Row | None:
    """How often the model is right where it is so sure, drawn and told."""
    found = split.get("calibration")
    if not found:
        return None
    bins = [row for row in found["bins"] if row["examples"]]
    return {
        "picture": Markup(task_plots.reliability_diagram(bins, "calibration")),
        "error": f"{100 * found['expected_error']:.2f}",
        "chance": f"{100 * found['chance_error']:.2f}",
        "calibrated": found["calibrated"],
        "temperature": f"{found['temperature']:.2f}",
        "mended": f"{100 * found['mended_error']:.2f}",
        "brier": f"{found['brier']['value']:.4f}",
        "rows": [
            (
                f"{row['low']:.2f}–{row['high']:.2f}",
                count(row["examples"]),
                f"{row['confidence']:.3f}",
                f"{row['accuracy']:.3f}",
            )
            for row in bins
        ],
    }


def scatter_figure(answers: Answers) -> Row | None:
    """Numbers as they are and as they were foretold."""
    if answers.kind.field != "score" or len(answers.lines) < 2:
        return None
    wanted, found = np.array(answers.references, np.float64), np.array(answers.predictions, np.float64)
    return {"picture": Markup(task_plots.scatter(wanted, found, "scatter")), "examples": count(len(wanted))}


# ---- where it fails ----


def slices_table(split: Row) -> Row | None:
    """The main metric on parts of the data; parts of a few examples say nothing and are left out."""
    percent = split.get("figures", {}).get(split.get("main"), {}).get("percent", False)
    groups = [
        {
            "title": SLICINGS.get(title, (title, title)),
            "rows": [
                (part["name"], count(part["examples"]), stated({**part["figure"], "percent": percent}))
                for part in parts
                if part["examples"] >= LEAST_SLICE
            ],
        }
        for title, parts in (split.get("slices") or {}).items()
    ]
    groups = [group for group in groups if group["rows"]]
    return {"metric": split["main"], "groups": groups} if groups else None


def errors_table(split: Row) -> Row | None:
    """The errors the model was surest of."""
    rows = split.get("mistakes") or []
    return (
        {
            "total": count(split["wrong"]),
            "of": count(split["examples"]),
            "sure": any(row["confidence"] is not None for row in rows),
            "rows": [
                {
                    "where": _place(row["where"]),
                    "text": row["text"],
                    "reference": shown(row["reference"]),
                    "prediction": shown(row["prediction"]),
                    "confidence": "" if row["confidence"] is None else f"{row['confidence']:.1%}",
                }
                for row in rows[:MOST_ERRORS]
            ],
        }
        if rows
        else None
    )


def ranks_table(answers: Answers) -> list[Row]:
    """Of numbers, the examples whose rank among all is furthest off."""
    if answers.kind.field != "score" or len(answers.lines) < 2:
        return []
    wanted, found = (np.argsort(np.argsort(side)) for side in (answers.references, answers.predictions))
    return [
        {
            "where": _place(answers.lines[number]["where"]),
            "text": " ‖ ".join(answers.lines[number].get("texts", ()))[:TEXT_CHARACTERS],
            "reference": shown(answers.references[number]),
            "prediction": shown(answers.predictions[number]),
        }
        for number in np.argsort(-np.abs(wanted - found), kind="stable")[:MOST_ERRORS].tolist()
    ]


def shown(answer: Any) -> str:
    """An answer in a few words: of tags the entities, of several right answers the first."""
    if isinstance(answer, list) and answer and all(_TAG.fullmatch(tag) for tag in answer):
        return ", ".join(f"{kind} {start + 1}–{end}" for start, end, kind in entities_of(answer)) or "—"
    if isinstance(answer, list):
        return " / ".join(answer) or "—"
    return (figures(answer) if isinstance(answer, float) else str(answer)) or "—"


def _place(where: Any) -> str:
    """The file's name and line."""
    return str(where).rsplit("/", 1)[-1]


_TAG = re.compile(r"O|[BI]-.+", re.DOTALL)
