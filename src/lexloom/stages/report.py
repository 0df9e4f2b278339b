"""`lexloom report RUN`: write the page about a run again, finished or not."""

from pathlib import Path

from lexloom.report.page import write_report


def report(folder: Path) -> dict[str, str]:
    """Write `report.html` into a run folder; returns {"report": path}.

    Raises FolderError if `folder` is not a run folder, DamagedError naming the file that can't be read.
    """
    return {"report": str(write_report(folder))}


def describe(result: dict[str, str]) -> str:
    """The result for people."""
    return f"wrote {result['report']}; open it in a browser"
