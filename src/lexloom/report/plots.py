"""The pictures of the report, as inline SVG that takes its colours and its fonts from the page's style sheet.

Words stay outside of the pictures (in captions, in both languages); inside there are only numbers and lines.
"""

import io
import math
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from lexloom.report.numbers import figures
from lexloom.report.read import Column, Run, number

MOST_POINTS = 2000
SMOOTH_OVER = 50  # the running mean covers 1/50 of the run: calm enough to read, quick enough to follow
SPIKE = 5  # times the median
HEADROOM = 1.08

# Colours that occur nowhere else; the style sheet's variables replace them, so that one picture suits light and dark.
BACK, INK, MUTED, RULE, TRAIN, VALIDATION, WARNING = (f"#01010{digit}" for digit in range(7))
VARIABLES = {INK: "ink", MUTED: "muted", RULE: "rule", TRAIN: "train", VALIDATION: "validation", WARNING: "warning"}
DAY = {BACK: "#fffdf7", INK: "#1c1b19", MUTED: "#6b675f", RULE: "#d8d3c7", TRAIN: "#2f5d8a", VALIDATION: "#b23a24",
       WARNING: "#8f6200"}  # fmt: skip
NIGHT = {BACK: "#171613", INK: "#e9e5da", MUTED: "#9d978a", RULE: "#3b3831", TRAIN: "#86b4dd", VALIDATION: "#ec8a70",
         WARNING: "#e0b040"}  # fmt: skip
"""What the variables are where there is no style sheet."""

STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "lexloom",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": RULE,
    "axes.linewidth": 0.7,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "text.color": INK,
    "lines.solid_capstyle": "round",
    "lines.solid_joinstyle": "round",
}

WIDE_IN = (7.6, 3.6)
NARROW_IN = (4.2, 3.1)
SMALL_IN = (3.0, 1.65)


def learning_curve(run: Run, name: str, size_in: tuple[float, float]) -> str:
    """Loss by step: every step faint, the running mean, validation points; nats on the left, bits per byte right."""
    with drawing(size_in) as (figure, axes):
        steps, losses = run.metrics.steps["step"], run.metrics.steps["loss"]
        _draw_training(axes, steps, losses)
        _draw_validation(axes, run)
        _mark_troubles(axes, run)
        if run.bits_per_nat is not None:
            _add_bits_axis(axes, run.bits_per_nat)
        return svg(figure, name)


def small_multiple(x: Column, y: Column, name: str, *, noisy: bool) -> str:
    """One small picture of `y` over the steps `x`, from zero; a noisy one gets its running mean, and spikes cut off."""
    with drawing(SMALL_IN) as (figure, axes):
        if noisy:
            _draw_training(axes, x, y)
        else:
            axes.plot(*thin(x[finite(y)], y[finite(y)]), color=TRAIN, linewidth=1.4)
        known = y[finite(y)]
        top = float(np.minimum(known.max(), SPIKE * np.median(known)) if noisy else known.max())
        axes.set_ylim(0, HEADROOM * top if top > 0 else 1)
        axes.yaxis.set_major_locator(MaxNLocator(3))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: figures(value) or "0"))
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        return svg(figure, name)


def throughput(steps: dict[str, Column]) -> Column:
    """Tokens per second of each step, as recorded or from the step's tokens and seconds."""
    if finite(steps["tokens_per_s"]).any():
        return steps["tokens_per_s"]
    seconds = steps["seconds"]
    return np.divide(
        np.diff(steps["tokens"], prepend=0.0), seconds, out=np.full_like(seconds, np.nan), where=seconds > 0
    )


def finite(values: Column) -> npt.NDArray[np.bool_]:
    """Where a column has a number."""
    return np.isfinite(values)


def troubled_steps(run: Run) -> list[float]:
    """The steps that were skipped or whose loss is not a finite number, in order."""
    steps, losses = run.metrics.steps["step"], run.metrics.steps["loss"]
    skipped = [number(row.get("step")) for row in run.metrics.skipped]
    return sorted({*steps[~np.isfinite(losses)].tolist(), *filter(math.isfinite, skipped)})


def thin(x: Column, y: Column, most: int = MOST_POINTS) -> tuple[Column, Column]:
    """At most `most` points that draw the same picture: the lowest and the highest of each stretch."""
    if x.size <= most:
        return x, y
    keep: list[int] = []
    for stretch in np.array_split(np.arange(x.size), most // 2):
        keep += sorted({int(stretch[np.argmin(y[stretch])]), int(stretch[np.argmax(y[stretch])])})
    return x[keep], y[keep]


def smooth(y: Column, span: int) -> Column:
    """The mean over `span` values around each, over those there are at the ends."""
    total = np.concatenate([[0.0], np.cumsum(y)])
    at = np.arange(y.size)
    starts, ends = np.maximum(at - span // 2, 0), np.minimum(at + span // 2 + 1, y.size)
    return np.asarray((total[ends] - total[starts]) / (ends - starts))


def is_smoothed(y: Column) -> bool:
    """Whether there are enough values for a running mean that says more than they do."""
    return int(finite(y).sum()) >= 2 * SMOOTH_OVER


def _draw_training(axes: Axes, steps: Column, losses: Column) -> None:
    """Every step faint, the running mean on top; a few steps stand alone."""
    known = finite(losses)
    steps, losses = steps[known], losses[known]
    if not is_smoothed(losses):
        axes.plot(steps, losses, color=TRAIN, linewidth=1.4, marker="o" if steps.size == 1 else None, markersize=4)
        return
    axes.plot(*thin(steps, losses), color=TRAIN, linewidth=0.6, alpha=0.3)
    axes.plot(*thin(steps, smooth(losses, losses.size // SMOOTH_OVER)), color=TRAIN, linewidth=1.5)


def _draw_validation(axes: Axes, run: Run) -> None:
    points = [(number(row.get("step")), number(row.get("loss"))) for row in run.metrics.validations]
    points = [point for point in points if all(map(math.isfinite, point))]
    if not points:
        return
    x, y = np.array(points).T
    axes.plot(x, y, color=VALIDATION, linewidth=0.9, marker="o", markersize=3.6, markeredgewidth=0)
    best = int(np.argmin(y))
    axes.plot(x[best], y[best], "o", markersize=8, markerfacecolor="none", markeredgecolor=VALIDATION)
    axes.annotate(
        f"{y[best]:.3f}", (x[best], y[best]), (0, 9), textcoords="offset points", color=VALIDATION, ha="right"
    )


def _mark_troubles(axes: Axes, run: Run) -> None:
    """A short stroke at the bottom for each step that was skipped or whose loss was not a number."""
    troubled = troubled_steps(run)[:MOST_POINTS]
    if troubled:
        axes.vlines(troubled, 0, 0.05, color=WARNING, linewidth=1.4, transform=axes.get_xaxis_transform())


def _add_bits_axis(axes: Axes, bits_per_nat: float) -> None:
    def to_bits(nats: Any) -> Any:
        return nats * bits_per_nat

    def to_nats(bits: Any) -> Any:
        return bits / bits_per_nat

    axes.secondary_yaxis("right", functions=(to_bits, to_nats)).spines["right"].set_visible(True)


@contextmanager
def drawing(size_in: tuple[float, float]) -> Iterator[tuple[Figure, Axes]]:
    """An empty drawing in the report's style, steps to the right."""
    with rc_context(STYLE):
        figure = Figure(figsize=size_in, layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
        axes.margins(x=0.01)
        yield figure, axes


def svg(figure: Figure, name: str) -> str:
    """The drawing as an `<svg>` element whose ids begin with `name`, without prolog, metadata or fixed colours."""
    return _adapt(_saved(figure, transparent=True), name)


def svg_file(figure: Figure) -> str:
    """The drawing as a file of its own, in the colours of paper, and of night where the reader's screen is dark."""
    text = _saved(figure, transparent=True, facecolor=BACK, metadata={"Date": None})
    text = re.sub(r"#01010\d", lambda match: DAY[match[0]], text)
    # Rules, not variables: programs other than browsers don't know variables and would paint all black
    dark = "".join(
        f'[style*="{part}: {DAY[colour]}"]{{{part}:{night} !important}}'
        for colour, night in NIGHT.items()
        for part in ("fill", "stroke")
    )
    return text.replace("</style>", f"@media (prefers-color-scheme: dark){{{dark}}}</style>", 1)


def _saved(figure: Figure, **how: Any) -> str:
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # Whoever shows the picture has fonts for every script; matplotlib only measures the text with its own
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(buffer, format="svg", **how)
    return buffer.getvalue()


def _adapt(svg: str, name: str) -> str:
    rules: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
        (r"^.*?(?=<svg)", ""),
        (r"<metadata>.*?</metadata>\s*", ""),
        (r"<style.*?</style>\s*", ""),
        (r'\s+xmlns(:xlink)?="[^"]*"', ""),
        (r'<svg ([^>]*?)\s*width="[^"]*"', r"<svg \1"),
        (r'<svg ([^>]*?)\s*height="[^"]*"', r"<svg \1"),
        (r"<svg ", '<svg aria-hidden="true" focusable="false" '),
        (r' id="', f' id="{name}-'),
        (r'href="#', f'href="#{name}-'),
        (r"url\(#", f"url(#{name}-"),
        (r"font-family: [^;\"]*", "font-family: var(--numbers)"),
        (r"#01010\d", lambda match: f"var(--{VARIABLES[match[0]]})"),
        (r"\n\s*", "\n"),
    ]
    for pattern, replacement in rules:
        svg = re.sub(pattern, replacement, svg, flags=re.DOTALL)
    return svg
