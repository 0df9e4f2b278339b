"""The pictures of a comparison: how good each model became when, how good at what size, how good on how many labels.

Every line bears its name, so that neither colours nor a legend are needed; the later a model stands in the recipe, the
darker its line, and the best has the colour of the accent.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from rich.cells import cell_len

from lexloom.report.plots import INK, MUTED, TRAIN, VALIDATION

Point = tuple[float, float]
Sized = tuple[float, float]

WIDE_IN = (7.6, 4.2)
NARROW_IN = (4.2, 4.6)
POINTS_PER_INCH = 72
CELL_PT = 5.2
"""The width of a letter at the pictures' size of type; Chinese ones count twice."""
LINE_PT = 12.0
LEFT_PT, BOTTOM_PT, TOP_PT, GAP_PT = 34.0, 22.0, 8.0, 10.0
DOT_PT = 5.0
FAINTEST = 0.45
HEADROOM = 0.9
"""Of the first, bad measurements so much is shown above the worst model's end, as a share of the range of all ends."""
LEAST_RANGE = 0.02
TIMES_S = {0.1: "0.1 s", 0.3: "0.3 s", 1: "1 s", 3: "3 s", 10: "10 s", 30: "30 s", 60: "1 min", 180: "3 min"} | {
    600: "10 min", 1800: "30 min", **{3600 * hours: f"{hours} h" for hours in (1, 3, 10, 30, 100)}
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """A model's points from left to right, at least one; the last is what it came to, with its interval."""

    name: str
    points: tuple[Point, ...]
    low: float | None
    high: float | None

    @property
    def end(self) -> Point:
        """What it came to."""
        return self.points[-1]


def over_time(axes: Axes, lines: Sequence[Line], size_in: Sized) -> None:
    """Bits per byte (up; less is better) over seconds of training (right, logarithmic)."""
    ends = [line.end[1] for line in lines]
    reach = max(max(ends) - min(ends), LEAST_RANGE * max(ends))
    axes.set_ylim(min(ends) - 0.1 * reach, max(ends) + HEADROOM * reach)
    _draw_lines(axes, lines, size_in, best=min(lines, key=lambda line: line.end[1]), shown=lambda bits: f"{bits:.3f}")
    _ticks(axes, TIMES_S)


def over_labels(axes: Axes, lines: Sequence[Line], size_in: Sized, *, lower_is_better: bool, percent: bool) -> None:
    """A score (up) over the number of labelled examples (right, logarithmic)."""
    times, digits = (100, 1) if percent else (1, 3)
    lines = [replace(line, points=tuple((x, times * y) for x, y in line.points)) for line in lines]
    best = (min if lower_is_better else max)(lines, key=lambda line: line.end[1])
    _draw_lines(axes, lines, size_in, best=best, shown=lambda value: f"{value:.{digits}f}")
    _ticks(axes, {x: f"{x:,.0f}" for line in lines for x, _ in line.points})


def over_size(axes: Axes, lines: Sequence[Line], size_in: Sized) -> None:
    """What each came to (up) over its parameters (right, logarithmic), with its interval, its name beside it."""
    best = min(lines, key=lambda line: line.end[1])
    for line, alpha in zip(lines, _alphas(lines), strict=True):
        colour = VALIDATION if line is best else TRAIN
        if line.low is not None and line.high is not None:
            axes.vlines(line.end[0], line.low, line.high, color=colour, linewidth=1, alpha=alpha)
        axes.plot(*line.end, "o", color=colour, markersize=5, alpha=alpha, markeredgewidth=0)
    axes.set_xscale("log")
    axes.margins(x=0.12, y=0.1)
    _stand(axes, size_in, right_pt=GAP_PT)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    for line, (x_pt, y_pt, side) in zip(lines, _beside(axes, lines, size_in), strict=True):
        axes.annotate(line.name, line.end, (x_pt, y_pt), textcoords="offset points", ha=side, va="center", color=INK)


def spread(wanted: Sequence[float], least: float) -> list[float]:
    """Places as near as can be to those wanted, in the same order and at least `least` apart."""
    groups: list[tuple[list[int], float]] = []  # places that stand together, and their middle
    for place in sorted(range(len(wanted)), key=lambda place: wanted[place]):
        group, middle = [place], wanted[place]
        while groups and middle - groups[-1][1] < least * (len(group) + len(groups[-1][0])) / 2:
            group = [*groups.pop()[0], *group]
            middle = sum(wanted[one] for one in group) / len(group)
        groups.append((group, middle))
    found = [0.0] * len(wanted)
    for group, middle in groups:
        for rank, place in enumerate(group):
            found[place] = middle + least * (rank - (len(group) - 1) / 2)
    return found


def _draw_lines(
    axes: Axes, lines: Sequence[Line], size_in: Sized, *, best: Line, shown: Callable[[float], str]
) -> None:
    """Each line to its end, faintly on to the margin, and there its name and value."""
    far = max(line.end[0] for line in lines)
    for line, alpha in zip(lines, _alphas(lines), strict=True):
        colour = VALIDATION if line is best else TRAIN
        x, y = line.end
        axes.plot(*zip(*line.points, strict=True), color=colour, linewidth=2 if line is best else 1.4, alpha=alpha)
        axes.plot([x, far], [y, y], color=colour, linewidth=0.8, alpha=alpha, linestyle=(0, (1, 2.5)))
        axes.plot(x, y, "o", color=colour, markersize=4.5, alpha=alpha, markeredgewidth=0)
    axes.set_xscale("log")
    axes.margins(x=0.02)
    axes.yaxis.set_major_locator(MaxNLocator(6))
    texts = [f"{line.name}  {shown(line.end[1])}" for line in lines]
    _stand(axes, size_in, right_pt=CELL_PT * max(map(cell_len, texts)) + 2 * GAP_PT)
    ends_pt = [_point_pt(axes, (far, line.end[1]))[1] for line in lines]
    edge = axes.get_xlim()[1]
    for line, text, end_pt, place_pt in zip(lines, texts, ends_pt, spread(ends_pt, LINE_PT), strict=True):
        axes.annotate(
            text, (edge, line.end[1]), (GAP_PT + 2, place_pt - end_pt), textcoords="offset points", va="center",
            color=VALIDATION if line is best else INK, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.5, "shrinkA": 1, "shrinkB": 1,
                        "relpos": (0, 0.5)},
        )  # fmt: skip


def _stand(axes: Axes, size_in: Sized, *, right_pt: float) -> None:
    """Put the axes where the room for names is known beforehand."""
    figure = axes.figure
    assert isinstance(figure, Figure), "the pictures have one drawing each"
    figure.set_layout_engine("none")
    width_pt, height_pt = (side * POINTS_PER_INCH for side in size_in)
    across, up = width_pt - LEFT_PT - right_pt, height_pt - BOTTOM_PT - TOP_PT
    axes.set_position((LEFT_PT / width_pt, BOTTOM_PT / height_pt, across / width_pt, up / height_pt))


def _point_pt(axes: Axes, point: Point) -> Point:
    """Where a point of the data is, in points of type from the lower left corner."""
    figure = axes.figure
    assert figure is not None, "axes belong to a figure"
    x, y = axes.transData.transform(point) / figure.dpi * POINTS_PER_INCH
    return float(x), float(y)


def _beside(axes: Axes, lines: Sequence[Line], size_in: Sized) -> list[tuple[float, float, str]]:
    """For each end the offset of its name, and the side it begins at: the first where it covers no other."""
    ends = [_point_pt(axes, line.end) for line in lines]
    taken = [_mark(axes, line) for line in lines]
    taken.append((POINTS_PER_INCH * size_in[0], 0.0, math.inf, math.inf))
    found = []
    for line, (x, y) in zip(lines, ends, strict=True):
        width = CELL_PT * cell_len(line.name)
        offers = [(7.0, dy, "left") for dy in (0.0, 9.0, -9.0)] + [(-7.0, dy, "right") for dy in (0.0, 9.0, -9.0)]
        boxes = [_box(x + dx, y + dy, width, side) for dx, dy, side in offers]
        free = [place for place, box in enumerate(boxes) if not any(_overlap(box, other) for other in taken)]
        chosen = free[0] if free else 0
        taken.append(boxes[chosen])
        found.append(offers[chosen])
    return found


Box = tuple[float, float, float, float]


def _mark(axes: Axes, line: Line) -> Box:
    """The dot, and its interval."""
    (x, y), whiskers = _point_pt(axes, line.end), [value for value in (line.low, line.high) if value is not None]
    heights = [y - DOT_PT, y + DOT_PT, *(_point_pt(axes, (line.end[0], value))[1] for value in whiskers)]
    return x - DOT_PT, min(heights), x + DOT_PT, max(heights)


def _box(x: float, y: float, width: float, side: str) -> Box:
    left = x if side == "left" else x - width
    return left, y - LINE_PT / 2, left + width, y + LINE_PT / 2


def _overlap(one: Box, two: Box) -> bool:
    return one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]


def _ticks(axes: Axes, names: Mapping[float, str]) -> None:
    """The named places that the picture reaches, from the right as many as have room."""
    low, high = axes.get_xlim()
    within: dict[float, str] = {}
    free_to = math.inf
    for place, name in sorted(names.items(), reverse=True):
        if low <= place <= high:
            middle, half = _point_pt(axes, (place, 1.0))[0], CELL_PT * cell_len(name) / 2
            if middle + half + GAP_PT / 2 <= free_to:
                within[place], free_to = name, middle - half
    axes.xaxis.set_major_locator(FixedLocator(list(within)))
    axes.xaxis.set_major_formatter(FixedFormatter(list(within.values())))
    axes.xaxis.set_minor_locator(NullLocator())


def _alphas(lines: Sequence[Line]) -> list[float]:
    return [FAINTEST + (1 - FAINTEST) * (place + 1) / len(lines) for place in range(len(lines))]


def _short(value: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g}"
