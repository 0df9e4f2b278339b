"""The one thread in which all models of a server compute, in turns.

One for all models, not one for each: every thread that computes brings a team of OpenMP threads along, and two teams on
the same cores cost each other more than half of their speed (nn/passes.py). In turns each model gets all cores, and
none waits for more than a step of every other.
"""

import threading
import time
from collections.abc import Callable
from typing import Protocol

Clock = Callable[[], float]
"""Seconds that only grow."""

LAST_TURN_S = 10.0
"""How long who is taken off waits for the turn that is under way."""


class Turns(Protocol):
    """What works in a worker's thread, such as an engine."""

    def turn(self) -> float | None:
        """Do one small piece of work; None if something was done, else the seconds until there may be something."""
        ...

    def fail(self, why: str) -> None:
        """Nothing will be done any more: tell all who wait."""
        ...


class Worker:
    """A thread that gives turns to whom it was told to serve, and waits while nobody has anything to do.

    `stuck_after_s` is how long a turn may take before the worker counts as failed; None: as long as it likes.
    """

    def __init__(self, *, clock: Clock = time.monotonic, stuck_after_s: float | None = None) -> None:
        self.clock = clock
        self._stuck_after_s = stuck_after_s
        self._served: list[Turns] = []
        self._news = threading.Condition()
        self._has_news = False
        self._turn_began_s: float | None = None
        self._failure: str | None = None
        self._thread: threading.Thread | None = None

    @property
    def failure(self) -> str | None:
        """Why it can't work any more; None: it can."""
        began_s = self._turn_began_s
        if self._failure is None and self._thread is not None and not self._thread.is_alive() and self._served:
            self._failure = "the thread in which models compute has ended"
        if self._failure is None and self._stuck_after_s is not None and began_s is not None:
            seconds = self.clock() - began_s
            if seconds > self._stuck_after_s:
                return f"a model has not come back from a step for {seconds:.0f} s"
        return self._failure

    def add(self, served: Turns) -> None:
        """Give it turns from now on."""
        with self._news:
            self._served.append(served)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="models", daemon=True)
                self._thread.start()
        self.wake()

    def remove(self, served: Turns) -> None:
        """Give it no more turns, and wait a while for the last one. The thread ends with the last that it served."""
        with self._news:
            self._served = [one for one in self._served if one is not served]
            thread = self._thread
            if not self._served:
                self._thread = None
        self.wake()
        if thread is not None and not self._served and thread is not threading.current_thread():
            thread.join(LAST_TURN_S)

    def wake(self) -> None:
        """There is something to do."""
        with self._news:
            self._has_news = True
            self._news.notify()

    def _work(self) -> None:
        try:
            while self._served and self._thread is threading.current_thread():
                self._has_news = False
                waits = [self._give_turn(served) for served in tuple(self._served)]
                if all(wait_s is not None for wait_s in waits):
                    self._wait(min(wait_s for wait_s in waits if wait_s is not None))
        except BaseException as error:
            self._failure = f"the thread in which models compute has ended: {error!r}"
            for served in tuple(self._served):
                served.fail(self._failure)
            raise

    def _give_turn(self, served: Turns) -> float | None:
        self._turn_began_s = self.clock()
        try:
            return served.turn()
        finally:
            self._turn_began_s = None

    def _wait(self, seconds: float) -> None:
        with self._news:
            if not self._has_news:
                self._news.wait(None if seconds == float("inf") else seconds)
