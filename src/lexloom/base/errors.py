"""The two kinds of failure.

What the user can mend is a `UserError`: it says what is wrong, where, and how to mend it, and ends the command with an
exit code that scripts can read. What only we can mend is an `assert` with a sentence.
"""

EXIT_UNEXPECTED = 1
EXIT_USER = 2
EXIT_STOPPED = 3
EXIT_DAMAGED = 4


class UserError(Exception):
    """Something the user can mend.

    `where` is the place (`file:line`, a recipe key, a folder), `fix` one sentence in the imperative.
    """

    exit_code = EXIT_USER

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        mend = f"\n  {self.fix}" if self.fix else ""
        return f"{place}{self.what}{mend}"


class RecipeError(UserError):
    """A setting that is unknown, of the wrong type or out of range; `where` is its dotted name."""


class DataError(UserError):
    """A document, row or shard that can't be used; `where` is `file:line` as far as it is known."""


class FolderError(UserError):
    """A prepared, run or model folder that isn't what the command needs."""


class DamagedError(FolderError):
    """A file whose size or hash differs from what was written."""

    exit_code = EXIT_DAMAGED


class RunStopped(UserError):
    """Training stopped itself to protect the weights; the last checkpoint is safe."""

    exit_code = EXIT_STOPPED


class Interrupted(UserError):
    """A signal ended the run after it had saved; the exit code is 128 + the signal's number, as shells expect."""

    def __init__(self, what: str, *, signal_number: int, fix: str | None = None) -> None:
        super().__init__(what, fix=fix)
        self.exit_code = 128 + signal_number
