"""What the studio shows beside the models."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lexloom.base.errors import UserError

MOST_PROMPTS = 10_000


@dataclass(frozen=True, kw_only=True)
class StudioSettings:
    """Raises UserError for folders that aren't there."""

    runs: Path | None = None
    """The folder whose runs are shown."""
    compare: Path | None = None
    """What `lexloom compare` wrote."""
    votes: Path | None = None
    """The file in which people's votes are kept; without it there is no voting."""
    prompts: tuple[str, ...] = ()
    """What models are to answer when people judge them; more can be typed in."""

    def __post_init__(self) -> None:
        for option, folder in (("--runs", self.runs), ("--compare", self.compare)):
            if folder is not None and not folder.is_dir():
                raise UserError("is not a folder", where=f"{option} {folder}")


def read_prompts(file: Path | None) -> tuple[str, ...]:
    """The prompts of a text file, one a line, each once. Raises UserError for a file without one."""
    if file is None:
        return ()
    try:
        lines: Sequence[str] = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"can't be read as prompts: {error}", where=str(file)) from None
    found = tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not 0 < len(found) <= MOST_PROMPTS:
        raise UserError(f"has {len(found):,} prompts; from 1 to {MOST_PROMPTS:,} are possible", where=str(file))
    return found
