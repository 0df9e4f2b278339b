"""The head of a run's page: what it makes, how long it was trained, and the few numbers that matter most."""

import math
from pathlib import Path

import numpy as np

from lexloom.base.console import duration, size
from lexloom.report import plots
from lexloom.report.html import Twin
from lexloom.report.numbers import count
from lexloom.report.read import Row, Run, last, number
from lexloom.report.sections import evaluation_table
from lexloom.report.task_sections import main_figure

TASKS: dict[str, Twin] = {
    "classify": ("classifier", "文本分类"),
    "regress": ("scorer of texts", "文本打分"),
    "tag": ("tagger", "序列标注"),
    "relation": ("classifier of relations", "关系分类"),
    "span": ("finder of answers", "抽取式问答"),
    "similarity": ("model of similarity", "文本相似度"),
    "choice": ("chooser", "多项选择"),
    "text2text": ("writer of texts from texts", "文本到文本的生成"),
}
UNITS: dict[str, Twin] = {
    "causal": ("nats per token", "每词元纳特"),
    "masked": ("nats per masked token", "每掩码词元纳特"),
    "masked+next": ("nats per masked token, judgements of pairs included", "每掩码词元纳特（含句对判断）"),
    "denoise": ("nats per target token", "每目标词元纳特"),
    "prefix": ("nats per target token", "每目标词元纳特"),
    "bidirectional": ("nats per word", "每词纳特"),
}
"""What the loss of a pre-training objective is counted in."""
TASK_UNIT: Twin = ("loss of the task, per target", "任务损失（每个目标）")


def loss_unit(run: Run) -> Twin:
    """What the loss is counted in."""
    return TASK_UNIT if run.task is not None else UNITS.get(str(run.recipe.get("objective")), UNITS["causal"])


def title(run: Run) -> Twin:
    """What the run makes, of which family and size."""
    family = str(run.config.get("model_type") or run.recipe.get("model", {}).get("family", "model"))
    made, made_zh = TASKS.get(run.task or "", (family, f" {family} 模型"))
    if run.parameters is None:
        return f"A {made} in training", f"训练中的{made_zh}"
    parameters = size(run.parameters, "")
    if run.task is None:
        return f"A {made} of {parameters} parameters", f"{parameters} 参数的{made_zh}"
    return f"A {made}: {family}, {parameters} parameters", f"{made_zh}：{family}，{parameters} 参数"


def lede(run: Run) -> Twin:
    """How long it was trained, and what it began with."""
    steps = run.metrics.steps["step"]
    if run.metrics.fits:
        learned = size(run.tokens, "")
        return f"Learned in one go from {learned} tokens.", f"从 {learned} 词元中一次学得。"
    if not steps.size:
        return "No step has been finished yet.", "尚未完成任何训练步。"
    tokens = last(run.metrics.steps["tokens"])
    known = math.isfinite(tokens)
    read, read_zh = (f" on {size(tokens, '')} tokens", f"，读入 {size(tokens, '')} 词元") if known else ("", "")
    began = run.recipe.get("model", {}).get("folder")
    if run.task is not None and run.recipe.get("model", {}).get("family"):
        return (
            f"Trained for {count(steps[-1])} steps{read}, from random weights.",
            f"训练 {count(steps[-1])} 步{read_zh}，从随机权重开始。",
        )
    if run.task is None or not began:
        return f"Trained for {count(steps[-1])} steps{read}.", f"训练 {count(steps[-1])} 步{read_zh}。"
    anew = run.recipe["model"].get("from_nothing")
    how, how_zh = ("in the shape of", "沿用形状") if anew else ("beginning with", "起点")
    name = Path(began).name
    return (
        f"Trained for {count(steps[-1])} steps{read}, {how} {name}.",
        f"训练 {count(steps[-1])} 步{read_zh}，{how_zh}：{name}。",
    )


def stats(run: Run) -> list[Row]:
    """The few numbers that people look for first."""
    found = [*_task_stats(run), _bits_stat(run), _loss_stat(run), _time_stat(run), _speed_stat(run)]
    return [stat for stat in found if stat is not None]


def _task_stats(run: Run) -> list[Row]:
    main = main_figure(run)
    if main is None:
        return []
    english, chinese = main["split"]
    return [_stat(f"{main['name']}, {english}", f"{main['name']}（{chinese}）", main["value"], note=main["interval"])]


def _stat(english: str, chinese: str, value: str, note: str = "") -> Row:
    return {"label": (english, chinese), "value": value, "note": note}


def _bits_stat(run: Run) -> Row | None:
    table = evaluation_table(run)
    for row in table["rows"] if table else []:
        if row["name"] == "bits_per_byte":
            return _stat("bits per byte, validation", "每字节比特（验证集）", row["value"], note=row["interval"])
    best = run.best_validation
    if best is None or not math.isfinite(number(best.get("bits_per_byte"))):
        return None
    return _stat("bits per byte, best validation", "每字节比特（最佳验证）", f"{best['bits_per_byte']:.3f}")


def _loss_stat(run: Run) -> Row | None:
    best = run.best_validation
    if best is None:
        return None
    english, chinese = loss_unit(run)
    at, at_zh = ("", "") if run.metrics.fits else (f" (step {count(best['step'])})", f"，第 {count(best['step'])} 步")
    return _stat(f"{english}, best validation{at}", f"{chinese}（最佳验证{at_zh}）", f"{best['loss']:.3f}")


def _time_stat(run: Run) -> Row | None:
    return _stat("training time", "训练用时", duration(run.seconds)) if run.seconds > 0 else None


def _speed_stat(run: Run) -> Row | None:
    if run.metrics.fits:
        return _stat("tokens per second", "每秒词元", count(run.metrics.fits[-1]["tokens_per_s"]))
    speed = plots.throughput(run.metrics.steps)
    known = speed[plots.finite(speed)]
    return (
        _stat("tokens per second, median", "每秒词元（中位数）", count(float(np.median(known)))) if known.size else None
    )
