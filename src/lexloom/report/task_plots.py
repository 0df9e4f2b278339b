"""The pictures of a fine-tuning run: its metric by step, how sure it is and how right, numbers against numbers."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from lexloom.report.plots import INK, MUTED, RULE, TRAIN, VALIDATION, drawing, svg
from lexloom.report.read import Column, Row, Run, number

METRIC_IN = (3.0, 1.65)
SQUARE_IN = (3.4, 3.4)
MOST_DOTS = 1500


def metric_points(run: Run, metric: str) -> list[tuple[float, float]]:
    """(step, value) of every validation that has this metric."""
    points = [(number(row.get("step")), number(row.get(metric))) for row in run.metrics.validations]
    return [point for point in points if all(map(math.isfinite, point))]


def metric_curve(run: Run, metric: str, name: str) -> str:
    """A metric of the validation split by step, the best one circled."""
    x, y = np.array(metric_points(run, metric)).T
    with drawing(METRIC_IN) as (figure, axes):
        axes.plot(x, y, color=VALIDATION, linewidth=1.2, marker="o", markersize=3.6, markeredgewidth=0)
        best = int(np.argmax(y))
        axes.plot(x[best], y[best], "o", markersize=8, markerfacecolor="none", markeredgecolor=VALIDATION)
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.margins(x=0.05, y=0.15)
        return svg(figure, name)


def reliability_diagram(bins: Sequence[Row], name: str) -> str:
    """Accuracy over confidence: on the diagonal the model is as often right as it is sure. Dots grow with examples."""
    confidence, accuracy, examples = (
        np.array([row[key] for row in bins], np.float64) for key in ("confidence", "accuracy", "examples")
    )
    with drawing(SQUARE_IN) as (figure, axes):
        axes.plot([0, 1], [0, 1], color=RULE, linewidth=1)
        axes.vlines(confidence, confidence, accuracy, color=VALIDATION, linewidth=1.2, alpha=0.6)
        axes.plot(confidence, accuracy, color=TRAIN, linewidth=0.8)
        axes.scatter(confidence, accuracy, s=12 + 90 * examples / examples.max(), color=TRAIN, linewidth=0, zorder=3)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1, decimals=0))
            axis.set_major_locator(MaxNLocator(5))
        axes.set_xlim(min(0.5, float(confidence.min())) - 0.02, 1.02)
        axes.set_ylim(min(0.5, float(accuracy.min())) - 0.02, 1.02)
        return svg(figure, name)


def scatter(wanted: Column, found: Column, name: str) -> str:
    """Foretold (up) over true numbers (right); of very many an even sample."""
    every = max(1, math.ceil(wanted.size / MOST_DOTS))
    with drawing(SQUARE_IN) as (figure, axes):
        axes.scatter(wanted[::every], found[::every], s=9, color=TRAIN, alpha=0.35, linewidth=0)
        _numbers(axes)
        return svg(figure, name)


def _numbers(axes: Axes) -> None:
    axes.margins(0.04)
    axes.tick_params(labelcolor=MUTED)
    axes.spines["left"].set_color(INK)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
