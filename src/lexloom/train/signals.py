"""Ctrl-C and SIGTERM, asked about between two steps."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

CAUGHT = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Received:
    """The number of the signal that came, 0 if none has."""

    number: int = 0


@contextlib.contextmanager
def caught_signals() -> Iterator[Received]:
    """Note the first SIGINT or SIGTERM instead of dying; the second one acts as if nothing had been caught.

    Dying at any moment is safe, since every write is atomic; the first signal is noted so that no work is lost.
    Only the main thread can catch signals; elsewhere nothing is changed.
    """
    received = Received()
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {number: signal.getsignal(number) for number in CAUGHT}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        received.number = number
        restore()

    for number in CAUGHT:
        signal.signal(number, note)
    try:
        yield received
    finally:
        restore()
