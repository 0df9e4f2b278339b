"""The tables of the report and of the model card; None or empty where the stages wrote nothing to show."""

import math
from collections.abc import Callable
from typing import Any

from lexloom.base.console import duration, size
from lexloom.report.numbers import count, figures, interval, ratio
from lexloom.report.read import Row, Run, last, number

Twin = tuple[str, str]

MEASURES: dict[str, Twin] = {
    "bits_per_byte": ("bits per byte", "每字节比特"),
    "nats_per_token": ("nats per token", "每词元纳特"),
    "perplexity_per_token": ("perplexity per token", "困惑度（每词元）"),
    "perplexity_per_word": ("perplexity per word", "困惑度（每词）"),
    "masked_accuracy": ("accuracy at masked tokens", "掩码词元准确率"),
    "nats_per_masked_token": ("nats per masked token", "每掩码词元纳特"),
    "perplexity_per_masked_token": ("perplexity per masked token", "困惑度（每掩码词元）"),
    "target_accuracy": ("accuracy at target tokens", "目标词元准确率"),
    "nats_per_target_token": ("nats per target token", "每目标词元纳特"),
    "perplexity_per_target_token": ("perplexity per target token", "困惑度（每目标词元）"),
    "foretold_accuracy": ("accuracy at words", "预测词准确率"),
    "nats_per_foretold_word": ("nats per word", "每词纳特"),
    "perplexity_per_foretold_word": ("perplexity per word", "困惑度（每词）"),
    "perplexity_from_before": ("perplexity from the words before", "困惑度（由前文）"),
    "perplexity_from_behind": ("perplexity from the words behind", "困惑度（由后文）"),
    "next_accuracy": ("accuracy of next-sentence judgements", "下一句判断准确率"),
}
UNITS = {"documents": "篇留出文档", "sequences": "个留出序列"}
QUALITY: dict[str, Twin] = {
    "characters": ("characters", "字符"),
    "tokens": ("tokens", "词元"),
    "tokens_per_character": ("tokens per character", "每字符词元"),
    "unknown": ("unknown", "未知"),
}
PLANNED: dict[str, tuple[Twin, Callable[[float], str]]] = {
    "steps": (("steps", "步数"), count),
    "tokens": (("tokens", "词元"), count),
    "seconds": (("training time", "训练用时"), duration),
    "tokens_per_s": (("tokens per second", "每秒词元"), count),
    "memory_bytes": (("memory, peak", "内存峰值"), size),
    "disk_bytes": (("disk", "磁盘"), size),
}


def evaluation_table(run: Run) -> Row | None:
    """Each measure of the validation split with its interval."""
    rows = [
        {"name": name, "label": label} | _estimate(run.evaluation[name])
        for name, label in MEASURES.items()
        if run.evaluation.get(name) is not None
    ]
    if not rows:
        return None
    resampled = run.evaluation.get("resampled", "documents")
    held_out = "sequences" if "sequences" in run.evaluation else "documents"
    number_held_out = count(run.evaluation.get(held_out))
    return {
        "rows": rows,
        "leaked": count(run.results["leaked_documents"]) if run.results.get("leaked_documents") else "",
        "interval": "95 % interval",
        "caption": (
            f"The final model on {number_held_out} held-out {held_out}; intervals by bootstrap over {resampled}",
            f"最终模型在 {number_held_out} {UNITS[held_out]}上的结果；区间由自助法得到（重抽样单位：{resampled}）",
        ),
    }


def _estimate(measure: Any) -> Row:
    if not isinstance(measure, dict):
        return {"value": figures(measure), "interval": ""}
    decimals = 3 if abs(measure["value"]) < 100 else 1
    return {
        "value": f"{measure['value']:,.{decimals}f}",
        "interval": interval(measure.get("low"), measure.get("high"), decimals),
    }


def tokenizer_table(run: Run) -> Row | None:
    """What the tokenizer makes of each script."""
    scripts = run.quality.get("scripts", {})
    rows = [
        (name, [_amount(script.get(key)) for key in QUALITY])
        for name, script in scripts.items()
        if script.get("characters")
    ]
    if not rows:
        return None
    quality = run.quality
    ids, use = count(quality.get("vocab_size")), f"{quality.get('vocabulary_use', 0):.0%}"
    per_token = figures(quality.get("bytes_per_token"), 3)
    return {
        "rows": rows,
        "columns": list(QUALITY.values()),
        "caption": (
            f"{ids} tokens, {use} of them in use; {per_token} bytes of UTF-8 per token",
            f"词表 {ids}，使用率 {use}；每词元 {per_token} 个 UTF-8 字节",
        ),
    }


def _amount(value: Any) -> str:
    return figures(value, 3) if isinstance(value, float) else count(value)


def plan_rows(run: Run) -> list[Row]:
    """What the plan stated beside what the run came to."""
    if not run.plan:
        return []
    measured = _measured(run)
    return [
        {
            "label": label,
            "planned": show(run.plan[name]),
            "measured": show(measured[name]) if math.isfinite(measured[name]) else "",
            "ratio": ratio(measured[name], run.plan[name]),
        }
        for name, (label, show) in PLANNED.items()
        if name in run.plan
    ]


def _measured(run: Run) -> dict[str, float]:
    return {
        "steps": 0.0 if run.metrics.fits else last(run.metrics.steps["step"]),
        "tokens": run.tokens,
        "seconds": run.seconds,
        "tokens_per_s": run.tokens / run.seconds if run.seconds > 0 else math.nan,
        "memory_bytes": number(run.measured.get("memory_bytes")),
        "disk_bytes": float(run.disk_bytes),
    }


def environment_rows(run: Run) -> list[tuple[Twin, str]]:
    """Versions and fingerprints, as the model folder keeps them."""
    versions = run.facts.get("versions") or {}
    tokenizer = run.facts.get("tokenizer_sha256")
    rows = [(("tokenizer SHA-256", "分词器 SHA-256"), str(tokenizer))] if tokenizer else []
    rows += [((name.replace("_", " "), ""), value) for name, value in provenance_rows(run)]
    return rows + [((name, ""), str(version)) for name, version in versions.items()]


def provenance_rows(run: Run) -> list[tuple[str, str]]:
    """The plain values of the model's provenance: fingerprints of the data, the prepared folder, the machine."""
    provenance = run.facts.get("provenance") or {}
    return [(key, str(value)) for key, value in provenance.items() if isinstance(value, str | int | float)]
