"""What `lexloom compare` found, as the studio shows it: a line for each model, the best one first."""

from pathlib import Path
from typing import Any

from lexloom.base.errors import DamagedError
from lexloom.base.files import read_json
from lexloom.report.html import Twin
from lexloom.report.read import PICTURE, RESULTS, Row

PERCENT = 100
BITS: Twin = ("bits per byte", "每字节比特数")


def read_comparison(folder: Path) -> Row:
    """Reads results.json. Raises FolderError where there is none, DamagedError for one that isn't a comparison's."""
    results = read_json(folder / RESULTS)
    try:
        labelled = results["kind"] == "task"
        times = PERCENT if results.get("percent") else 1
        models = [_line(model, labelled=labelled, times=times) for model in results["models"]]
        alike = [[pair["first"], pair["second"]] for pair in results["pairs"] if not pair.get("real")]
        measure = (results["metric"],) * 2 if labelled else BITS
        less_is_better = bool(results.get("lower_is_better", not labelled))
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        raise DamagedError(f"is no comparison's: {error!r}", where=str(folder / RESULTS)) from None
    models.sort(key=lambda line: line["value"], reverse=not less_is_better)
    return {
        "measure": measure,
        "less_is_better": less_is_better,
        "digits": 1 if times == PERCENT else 3,
        "models": models,
        "alike": alike,
        "picture": _picture(folder),
    }


def _picture(folder: Path) -> str | None:
    file = folder / PICTURE
    return file.read_text(encoding="utf-8") if file.is_file() else None


def _line(model: Row, *, labelled: bool, times: int) -> dict[str, Any]:
    best = model["points"][-1] if labelled else model
    figure = best["figure"] if labelled else best["bits_per_byte"]
    return {
        "name": model["name"],
        "family": model.get("family"),
        "parameters": model["parameters"],
        "seconds": best["seconds"],
        **{end: None if figure[end] is None else times * figure[end] for end in ("value", "low", "high")},
    }
