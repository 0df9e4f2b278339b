"""The page and the picture of a comparison: models over time, size or labels, which really differ, what they write.

Like report.html the page is one file that loads nothing, for screen, telephone and paper, in English and Chinese.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes

from lexloom.base.console import duration, size
from lexloom.report.compare_plots import NARROW_IN, WIDE_IN, Line, Sized, over_labels, over_size, over_time
from lexloom.report.html import style, template
from lexloom.report.numbers import interval
from lexloom.report.plots import drawing, svg, svg_file
from lexloom.report.read import Row

SAMPLE_CHARACTERS = 600

Draw = Callable[[Axes, list[Line], Sized], None]


def render_comparison(results: Row) -> str:
    """The page about a comparison, of its results.json."""
    task = results["kind"] == "task"
    return str(
        template("compare.html.jinja").render(
            css=style("page.css", "compare.css"),
            title=("Models side by side", "模型对照"),
            lede=_lede(results),
            stats=[],
            task=task,
            metric=results["metric"] if task else "bits per byte",
            main=_pictures("main", _main_lines(results), _main_drawing(results)),
            sizes=None if task else _pictures("sizes", _size_lines(results), over_size),
            rows=[_row(results, model) for model in results["models"]],
            alike=[pair for pair in results["pairs"] if not pair.get("real")],
            pairs=[_pair(results, pair) for pair in results["pairs"]],
            writings=_writings(results),
        )
    )


def picture(results: Row) -> str:
    """The main picture as an SVG file of its own, on paper's colour."""
    with drawing(WIDE_IN) as (figure, axes):
        _main_drawing(results)(axes, _main_lines(results), WIDE_IN)
        return svg_file(figure)


def _pictures(name: str, lines: list[Line], draw: Draw) -> Row:
    found = {}
    for shape, size_in in (("wide", WIDE_IN), ("narrow", NARROW_IN)):
        with drawing(size_in) as (figure, axes):
            draw(axes, lines, size_in)
            found[shape] = Markup(svg(figure, f"{name}-{shape}"))
    return found


def _main_drawing(results: Row) -> Draw:
    if results["kind"] != "task":
        return over_time
    return partial(over_labels, lower_is_better=results["lower_is_better"], percent=results["percent"])


def _main_lines(results: Row) -> list[Line]:
    if results["kind"] == "task":
        return [
            _line(model["name"], [(point["labels"], point["figure"]["value"]) for point in model["points"]],
                  model["points"][-1]["figure"])
            for model in results["models"]
        ]  # fmt: skip
    return [
        _line(model["name"], [*model["curve"][:-1], (_end_s(model), model["bits_per_byte"]["value"])],
              model["bits_per_byte"])
        for model in results["models"]
    ]  # fmt: skip


def _size_lines(results: Row) -> list[Line]:
    return [
        _line(model["name"], [(model["parameters"], model["bits_per_byte"]["value"])], model["bits_per_byte"])
        for model in results["models"]
    ]


def _line(name: str, points: list[Any], estimate: Row) -> Line:
    return Line(name, tuple((float(x), float(y)) for x, y in points), estimate["low"], estimate["high"])


def _end_s(model: Row) -> float:
    """Of a model that took no time to speak of, so much that a logarithm has a place for it."""
    return max(float(model["seconds"]), LEAST_S)


LEAST_S = 0.1


def _lede(results: Row) -> tuple[str, str]:
    models, data = len(results["models"]), results["data"]
    if results["kind"] == "task":
        task, train, test = results["task"], f"{data['train']:,}", f"{data[results['split']]:,}"
        return (
            f"{models} models learn the task {task} from the same labels, up to {train}; judged on {test} others.",
            f"{models} 个模型用同样的标注样本学习任务 {task}，至多 {train} 条；以另外 {test} 条评判。",
        )
    english, chinese = f"{models} models learn the same text", f"{models} 个模型学习同一语料"
    for name, value in results.get("budget", {}).items():
        english, chinese = f"{english}, {value:,.10g} {name} each", f"{chinese}，各 {value:,.10g} {BUDGETS[name]}"
    held_out = size(data["bytes"])
    return f"{english}; measured on {held_out} held out.", f"{chinese}；在留出的 {held_out} 文本上测量。"


BUDGETS = {"minutes": "分钟", "tokens": "词元"}


def _row(results: Row, model: Row) -> Row:
    end = model["points"][-1] if results["kind"] == "task" else model
    figure = end["figure"] if results["kind"] == "task" else model["bits_per_byte"]
    times, digits = (100, 1) if results.get("percent") else (1, 3)
    low, high = (None if figure[key] is None else times * figure[key] for key in ("low", "high"))
    return {
        "name": model["name"],
        "family": model["family"],
        "value": f"{times * figure['value']:.{digits}f}",
        "interval": interval(low, high, digits),
        "parameters": size(model["parameters"], ""),
        "seconds": duration(end["seconds"]),
        "tokens": size(model["tokens"], "") if "tokens" in model else "",
        "best": figure["value"] == _best(results),
    }


def _best(results: Row) -> float:
    if results["kind"] == "task":
        ends = [model["points"][-1]["figure"]["value"] for model in results["models"]]
        return float(min(ends) if results["lower_is_better"] else max(ends))
    return float(min(model["bits_per_byte"]["value"] for model in results["models"]))


def _pair(results: Row, pair: Row) -> Row:
    if "value" not in pair:
        return {**pair, "difference": "", "interval": "", "p": ""}
    times, digits = (100, 1) if results.get("percent") else (1, 3)
    return {
        **pair,
        "difference": f"{times * pair['value']:+.{digits}f}",
        "interval": f"{times * pair['low']:+.{digits}f} … {times * pair['high']:+.{digits}f}",
        "p": f"{pair['corrected_p']:.2g}",
    }


def _writings(results: Row) -> list[Row]:
    """For each beginning what every model makes of it."""
    if results["kind"] == "task":
        return []
    beginnings = [sample["prompt"] for sample in results["models"][0]["samples"]]
    return [
        {
            "prompt": prompt,
            "texts": [
                {"name": model["name"], "text": model["samples"][at]["text"][:SAMPLE_CHARACTERS]}
                for model in results["models"]
            ],
        }
        for at, prompt in enumerate(beginnings)
    ]
