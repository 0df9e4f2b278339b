"""What people see: a progress bar with time left on a terminal, plain lines elsewhere, JSON when asked for.

Everything for people goes to stderr, so that stdout carries results only.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Container, Iterator, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

PLAIN_INTERVAL_S = 10.0
LEAST_TOLD_SHARE = 0.005
"""What is left isn't foretold from less than this: of what is done in batches, the first item would stand for all."""

console = Console(stderr=True, highlight=False)

Tick = Callable[..., None]


def say(text: str) -> None:
    """One line for people."""
    console.print(text, markup=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """The result of a command under `--json`, on stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=os.fspath) + "\n")


@contextlib.contextmanager
def progress(title: str, total: float | None, clock: Callable[[], float] = time.monotonic) -> Iterator[Tick]:
    """Show how far a slow step is.

    Yields `tick(done, note="")`: `done` counts towards `total` (None: unknown). On a terminal it moves a bar with the
    time left; elsewhere it prints a line at most every 10 seconds and one at the end.
    """
    if console.is_terminal:
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
        ) as bar:
            task = bar.add_task(title, total=total, note="")
            yield lambda done, note="": bar.update(task, completed=done, note=note)
    else:
        yield from _plain_lines(title, total, clock)


def _plain_lines(title: str, total: float | None, clock: Callable[[], float]) -> Iterator[Tick]:
    started = last = clock()
    latest = ""

    def tick(done: float, note: str = "") -> None:
        nonlocal last, latest
        share = f"{done / total:4.0%}" if total else f"{done:,.0f}"
        elapsed = clock() - started
        left = ""
        if total and LEAST_TOLD_SHARE * total <= done < total:
            left = f", {duration(elapsed / done * (total - done))} left"
        latest = f"{title} {share} after {duration(elapsed)}{left}{'  ' + note if note else ''}"
        if clock() - last >= PLAIN_INTERVAL_S:
            last, line, latest = clock(), latest, ""
            say(line)

    yield tick
    if latest:
        say(latest)


def duration(seconds: float) -> str:
    """Seconds for people: `4.2 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, smaller, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // smaller} {name}"
    raise AssertionError("60 seconds or more are at least a minute")


def size(count: float, unit: str = "B") -> str:
    """A count for people, in powers of 1000: `1.5 MB`, `134.5 M` with an empty unit."""
    for prefix in ("", "k", "M", "G", "T"):
        if abs(count) < 1000 or prefix == "T":
            return f"{count:.0f} {unit}".strip() if prefix == "" else f"{count:.1f} {prefix}{unit}"
        count /= 1000
    raise AssertionError("the loop returns at the largest prefix")


def aligned(rows: Sequence[Sequence[str]], *, right: Container[int] = ()) -> str:
    """Rows of cells as lines with aligned columns, those in `right` to the right; Chinese counts as two wide."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        gaps = [" " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
        cells = [
            gap + cell if at in right else cell + gap for at, (cell, gap) in enumerate(zip(row, gaps, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
