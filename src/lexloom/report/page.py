"""`report.html`: one self-contained page about one run, in English and Chinese, for screen, telephone and paper.

Whatever comes from data, models or recipes enters through Jinja's autoescape; only the pictures are markup.
"""

from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from lexloom.base import files
from lexloom.report import plots
from lexloom.report.headline import lede, loss_unit, stats, title
from lexloom.report.html import style, template
from lexloom.report.numbers import count, figures
from lexloom.report.read import Row, Run, number, read_run
from lexloom.report.sections import environment_rows, evaluation_table, plan_rows, tokenizer_table
from lexloom.report.task_plots import metric_curve, metric_points
from lexloom.report.task_sections import task_sections

REPORT = "report.html"
MOMENTS_SHOWN = 8
SKIPPED_SHOWN = 10
EXAMPLES_SHOWN = 2
SAMPLE_CHARACTERS = 1200
READ = ("read", "documents")
VALIDATION = "validation"


def write_report(folder: Path) -> Path:
    """Write `report.html` into a run folder and return its path. Raises what `read_run` raises."""
    path = folder / REPORT
    files.write_file(path, render_report(read_run(folder)))
    return path


def render_report(run: Run) -> str:
    """The page as text; a section without anything to show is left out."""
    return str(
        template("page.html.jinja").render(
            css=style("page.css"),
            title=title(run),
            lede=lede(run),
            stats=stats(run),
            fitted=bool(run.metrics.fits),
            curve=_curve(run),
            multiples=_multiples(run),
            troubles=_troubles(run),
            task=task_sections(run) if run.task is not None else None,
            fills=run.fills_masks,
            timeline=_timeline(run),
            evaluation=evaluation_table(run),
            plan=plan_rows(run),
            ledger=ledger_stages(run.ledger),
            tokenizer=tokenizer_table(run),
            settings=_settings(run.recipe),
            environment=environment_rows(run),
        )
    )


def ledger_stages(rows: list[Row]) -> list[Row]:
    """The ledger by stage, each outcome with its share of the documents read."""
    read = sum(row["documents"] for row in rows if (row["stage"], row["outcome"]) == READ)
    whole = read if read > 0 else max((row["documents"] for row in rows), default=0)
    return [
        {"name": stage, "rows": [_ledger_row(row, whole) for row in group]}
        for stage, group in groupby(rows, key=lambda row: row["stage"])
    ]


def _ledger_row(row: Row, whole: int) -> Row:
    share = row["documents"] / whole if whole else 0.0
    return {
        "outcome": row["outcome"],
        "documents": count(row["documents"]),
        "share": f"{share:.1%}",
        "percent": f"{100 * min(share, 1):.2f}",
        "characters": count(row["characters"]) if row["characters"] else "",
        "examples": ", ".join(example.rsplit("/", 1)[-1] for example in row["examples"][:EXAMPLES_SHOWN]),
    }


def _curve(run: Run) -> Row | None:
    if not run.metrics.steps["step"].size:
        return None
    return {
        "wide": Markup(plots.learning_curve(run, "wide", plots.WIDE_IN)),
        "narrow": Markup(plots.learning_curve(run, "narrow", plots.NARROW_IN)),
        "bits": run.bits_per_nat is not None,
        "unit": loss_unit(run),
        "smoothed": plots.is_smoothed(run.metrics.steps["loss"]),
        "validated": bool(run.metrics.validations),
        "troubled": len(plots.troubled_steps(run)),
        "description": _curve_description(run),
    }


def _curve_description(run: Run) -> str:
    losses = run.metrics.steps["loss"]
    losses = losses[plots.finite(losses)]
    if not losses.size:
        return "Learning curve without a finite loss. 学习曲线，无有限损失。"
    best = run.best_validation
    english, chinese = loss_unit(run)
    text = f"Training loss from {losses[0]:.2f} to {losses[-1]:.2f} ({english})"
    text += f"; best validation {best['loss']:.2f}" if best else ""
    return f"{text}. 训练损失由 {losses[0]:.2f} 至 {losses[-1]:.2f}（{chinese}）。"


def _multiples(run: Run) -> list[Row]:
    steps = run.metrics.steps
    panels = (
        ("learning rate", "学习率", "lr", steps["lr"], False),
        ("gradient norm", "梯度范数", "norm", steps["grad_norm"], True),
        ("tokens per second", "每秒词元", "speed", plots.throughput(steps), True),
    )
    return _metric_multiple(run) + [
        {
            "label": (english, chinese),
            "description": f"{english} by step, {chinese}",
            "picture": Markup(plots.small_multiple(steps["step"], values, name, noisy=noisy)),
        }
        for english, chinese, name, values, noisy in panels
        if plots.finite(values).sum() > 1
    ]


def _metric_multiple(run: Run) -> list[Row]:
    """The task's main metric on the validation split."""
    names = [row["main"] for split, row in run.splits.items() if split == VALIDATION]
    if not names or not metric_points(run, names[0]):
        return []
    return [
        {
            "label": (f"{names[0]}, validation", f"{names[0]}（验证集）"),
            "description": f"{names[0]} by step, validation 验证集",
            "picture": Markup(metric_curve(run, names[0], "metric")),
        }
    ]


def _troubles(run: Run) -> Row | None:
    rows = [(count(row.get("step")), str(row.get("reason", ""))) for row in run.metrics.skipped]
    if not rows:
        return None
    more = len(rows) - SKIPPED_SHOWN
    return {"shown": rows[:SKIPPED_SHOWN], "more": count(more) if more > 0 else ""}


def _timeline(run: Run) -> list[Row]:
    moments = [(step, list(group)) for step, group in groupby(run.metrics.samples, key=lambda row: row.get("step"))]
    return [
        {
            "step": count(step),
            "loss": _loss_at(run, number(step)),
            "samples": [
                {"prompt": str(row.get("prompt", "")), "text": _shortened(_continuation(row))} for row in samples
            ],
        }
        for step, samples in (moments[at] for at in _spread(len(moments), MOMENTS_SHOWN))
    ]


def _spread(total: int, most: int) -> list[int]:
    """At most `most` positions of `total`, the first and the last among them, denser early where more is learned."""
    if total <= most:
        return list(range(total))
    return sorted({round(total ** (at / (most - 1))) - 1 for at in range(most)})


def _loss_at(run: Run, step: float) -> str:
    steps, losses = run.metrics.steps["step"], run.metrics.steps["loss"]
    near = losses[(steps > step - max(1, steps.size // plots.SMOOTH_OVER)) & (steps <= step) & plots.finite(losses)]
    return f"{near.mean():.2f}" if near.size else ""


def _continuation(row: Row) -> str:
    return str(row.get("text", "")).removeprefix(str(row.get("prompt", "")))


def _shortened(text: str) -> str:
    return text if len(text) <= SAMPLE_CHARACTERS else f"{text[:SAMPLE_CHARACTERS]}…"


def _settings(recipe: Row) -> list[tuple[str, list[tuple[str, str]]]]:
    """The recipe's values by dotted section, in its order."""
    plain = [(key, _shown(value)) for key, value in recipe.items() if not isinstance(value, dict)]
    sections = [("recipe", plain)] if plain else []
    for name, value in recipe.items():
        if isinstance(value, dict):
            sections += [(name if inner == "recipe" else f"{name}.{inner}", rows) for inner, rows in _settings(value)]
    return sections


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return figures(value) if isinstance(value, float) else str(value)
