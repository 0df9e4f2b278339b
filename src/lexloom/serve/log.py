"""What the server tells of itself: one JSON object a line, nothing of what people wrote unless asked."""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, TextIO

MOST_CHARACTERS = 200
"""Of any text that comes from a client, such as a path."""


class Log:
    """Writes events. `prompts` says whether texts of people may be among them."""

    def __init__(self, stream: TextIO | None = None, *, prompts: bool = False) -> None:
        self._stream = sys.stderr if stream is None else stream
        self.prompts = prompts

    def event(self, name: str, **facts: Any) -> None:
        """One line; control characters are escaped, so that no text can begin a second one."""
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": name, **facts}
        self._stream.write(json.dumps(line, default=str) + "\n")
        self._stream.flush()

    def failure(self, error: BaseException, **facts: Any) -> None:
        """An error that is ours: its kind and the places it passed; its words may quote a client's text."""
        places = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
        said = {"message": str(error)} if self.prompts else {}
        self.event("failure", kind=type(error).__name__, places=places[-8:], **said, **facts)

    def prompt(self, request_id: str, body: Any) -> None:
        """What somebody wrote, if that is wanted."""
        if self.prompts:
            self.event("prompt", id=request_id, body=body)


def shortened(text: str) -> str:
    """A client's text, short enough to be logged."""
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + "…"


def take_over(logger: str, log: Log) -> None:
    """Let a library's logger write through ours."""
    found = logging.getLogger(logger)
    found.handlers[:] = [_Through(log)]
    found.propagate = False
    found.setLevel(logging.WARNING)


class _Through(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        error = None if record.exc_info is None else record.exc_info[1]
        if error is not None:
            self._log.failure(error, logger=record.name)
        else:
            self._log.event("library", logger=record.name, message=shortened(record.getMessage()))
