"""The command line: thin commands over the plain functions in `stages`, imported only when they are called.

Every stage module offers the function that works and `describe`, which puts its result into words.
"""

import os
import sys
from typing import Annotated

import typer

from lexloom import __version__
from lexloom.base.errors import EXIT_USER, UserError
from lexloom.cli.shared import app

# In the order in which `--help` shows them
# isort: off
from lexloom.cli import making, judging, using, studio, looking  # noqa: F401
# isort: on

INTERRUPTED = 130


def main() -> None:
    """Run a command; what a user can mend ends in a message and an exit code, never in a traceback."""
    try:
        app()
    except UserError as error:
        _explain(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader has left, as in `lexloom show run | head`; Python must not complain again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        # A full disk, a missing permission: the system's words name the file and the reason
        _explain(UserError(error.strerror or str(error), where=error.filename and str(error.filename)))
        sys.exit(EXIT_USER)


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=lambda wanted: _print_version(wanted), is_eager=True)
    ] = False,
) -> None:
    pass


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


def _explain(error: UserError) -> None:
    from lexloom.base.console import print_json, say

    if "--json" in sys.argv:
        print_json({"error": {"what": error.what, "where": error.where, "fix": error.fix, "code": error.exit_code}})
    say(f"error: {error}")
