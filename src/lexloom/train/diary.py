"""The diary of a run, `metrics.jsonl`: every step once, whatever interrupts the run.

One JSON object per line. `kind` is step (loss, lr, grad_norm, tokens, seconds, …), skipped (with the reason and the
batch's windows or examples as `units`), validation (loss, and bits_per_byte or a task's metrics) or sample (prompt,
text). Numbers that are not finite are the strings "nan", "inf" and "-inf", since JSON has none of them. Only the fields
in CLOCK_FIELDS may differ between a resumed run and one that was never interrupted.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lexloom.base.files import Lines

FILE = "metrics.jsonl"
CLOCK_FIELDS = ("seconds", "tokens_per_s", "share_of_peak")


class Diary:
    """Writes lines; those that a full disk refuses are kept in memory and written later."""

    def __init__(self, path: Path, keep_bytes: int, warn: Callable[[str], None]) -> None:
        self._lines = Lines(path, keep_bytes)
        self._waiting: list[dict[str, Any]] = []
        self._warn = warn

    def write(self, kind: str, step: int, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Add a line and return it as written."""
        line = {"kind": kind, "step": step, **{name: _writable(value) for name, value in fields.items()}}
        self._waiting.append(line)
        try:
            self._write_waiting()
        except OSError as error:
            self._warn(f"Warning: {FILE} can't be written ({error}); {len(self._waiting)} lines wait in memory.")
        return line

    def sync(self) -> int:
        """Bring every line to the disk and return the file's length in bytes; raises OSError if that fails."""
        self._write_waiting()
        self._lines.sync()
        return self._lines.size

    def close(self) -> None:
        """Close the file."""
        self._lines.close()

    def _write_waiting(self) -> None:
        while self._waiting:
            self._lines.write(self._waiting[0])
            self._waiting.pop(0)


def _writable(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
