"""`lexloom check-data`: a look at labelled data before anything is trained on it, with file and line of what is odd."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lexloom.base import files
from lexloom.base.console import aligned
from lexloom.base.errors import DataError
from lexloom.base.ledger import Ledger
from lexloom.base.recipe import check as check_settings
from lexloom.base.recipe import choose
from lexloom.labelled.check import Report, SplitFacts, check
from lexloom.report.numbers import count, figures
from lexloom.stages.adapting import MOST_TOKENS
from lexloom.tasks import TASKS
from lexloom.text.tokenizers import load_tokenizer

CONFIG = "config.json"
EXAMPLES = "examples"
LABELS_SHOWN = 20


def check_data(
    task: str,
    settings: Mapping[str, Any],
    sources: Mapping[str, Sequence[str]],
    *,
    model: Path | None = None,
    max_tokens: int | None = None,
) -> Report:
    """Read the labelled data of each split (`train`, `validation`, `test`) as the task does, and look it over.

    With a model folder lengths are its tokens, held against `max_tokens` (unset: what fine-tuning would take); else
    they are characters. Raises RecipeError for an unknown task or setting, DataError for what can't be read, and where
    there is nothing.
    """
    chosen = choose(TASKS, task, field="task")
    checked, ledger = check_settings(chosen.settings, dict(settings), where=f"the settings of {task}"), Ledger()
    tokenizer = load_tokenizer(model) if model is not None else None
    splits = {name: chosen.read(list(paths), checked, ledger) for name, paths in sources.items() if paths}
    if not any(splits.values()):
        raise DataError("there is no example in any split", fix="Name files that hold labelled data.")
    limit = _context(model) if model is not None and max_tokens is None else max_tokens
    report = check(splits, tokenizer=tokenizer, max_tokens=limit)
    return replace(report, ledger=tuple(row for row in ledger.to_json() if row["outcome"] != EXAMPLES))


def _context(model: Path) -> int | None:
    context = files.read_json(model / CONFIG).get("max_position_embeddings")
    return min(context, MOST_TOKENS) if isinstance(context, int) else None


def describe(report: Report) -> str:
    """The report for people: numbers first, then what was found, then what reading counted."""
    parts = [_numbers(report), _labels(report.splits)]
    if report.findings:
        parts.append("\n".join(["to look at", *_found(report)]))
    else:
        parts.append("nothing odd was found")
    if report.ledger:
        parts.append("\n".join(["while reading", *_read(report)]))
    return "\n\n".join(part for part in parts if part)


def _numbers(report: Report) -> str:
    header = ["split", "examples", "labelled", f"median {report.unit}", "90 %", "99 %", "longest"]
    rows = [
        [name, count(facts.examples), count(facts.labelled), *map(count, facts.lengths)]
        for name, facts in report.splits.items()
    ]
    if report.limit is not None:
        header.append(f"over {count(report.limit)}")
        shares = [facts.over_limit / max(1, facts.examples) for facts in report.splits.values()]
        rows = [[*row, f"{share:.1%}"] for row, share in zip(rows, shares, strict=True)]
    return aligned([header, *rows], right=range(1, len(header)))


def _labels(splits: Mapping[str, SplitFacts]) -> str:
    """How often each label stands in each split; of numbers their range."""
    numbers = [[name, *map(figures, facts.numbers)] for name, facts in splits.items() if facts.numbers is not None]
    if numbers:
        return aligned([["split", "smallest", "median", "largest"], *numbers], right=(1, 2, 3))
    names = list(dict.fromkeys(label for facts in splits.values() for label in facts.labels))
    if not names:
        return ""
    rows = [[_short(name), *(_share(name, facts) for facts in splits.values())] for name in names[:LABELS_SHOWN]]
    more = f"\nand {count(len(names) - LABELS_SHOWN)} more labels" if len(names) > LABELS_SHOWN else ""
    return aligned([["label", *splits], *rows], right=range(1, len(splits) + 1)) + more


def _share(label: str, facts: SplitFacts) -> str:
    own, total = facts.labels.get(label, 0), sum(facts.labels.values())
    return f"{count(own)} ({own / total:.1%})" if total else "0"


def _short(name: str, most: int = 40) -> str:
    name = name if name.isprintable() else repr(name)
    return name if len(name) <= most else f"{name[:most]}…"


def _found(report: Report) -> list[str]:
    lines = []
    for finding in report.findings:
        lines.append(f"  {count(finding.count):>7}  {finding.what}")
        lines += [f"           {place}" for place in finding.places]
    return lines


def _read(report: Report) -> list[str]:
    return [f"  {count(row['documents']):>7}  {row['outcome']} ({', '.join(row['examples'])})" for row in report.ledger]
