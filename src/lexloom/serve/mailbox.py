"""From the thread in which models compute to the event loop that asked."""

import asyncio
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from lexloom.serve.jobs import EngineFailed

LOOK_EVERY_S = 0.5
"""How often who waits looks whether the thread is still alive."""

T = TypeVar("T")


class Mailbox(Generic[T]):
    """What a thread puts in, one waiting coroutine takes out, in order; made inside the event loop."""

    def __init__(self, failure: Callable[[], str | None]) -> None:
        """`failure` says why nothing will come any more."""
        self._failure = failure
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self._lock = threading.Lock()
        self._items: list[T | Exception] = []
        self.closed = False

    def put(self, item: T | Exception) -> None:
        """From any thread; an exception is raised where items are taken."""
        with self._lock:
            self._items.append(item)
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:  # the loop is closed: nobody waits any more
            self.closed = True

    async def take(self) -> list[T]:
        """All that has come since the last time, at least one. Raises an exception that was put in."""
        while True:
            self._event.clear()
            with self._lock:
                items, self._items = self._items, []
            ready: list[T] = []
            for item in items:
                if isinstance(item, Exception):
                    if ready:
                        self.put(item)
                        return ready
                    raise item
                ready.append(item)
            if ready:
                return ready
            await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(LOOK_EVERY_S):  # wait_for would lose a cancellation that comes with an item
                await self._event.wait()
        except TimeoutError:
            why = self._failure()
            if why is not None:
                raise EngineFailed(why) from None
