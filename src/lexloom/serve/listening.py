"""The process: listens, drains when it is told to end, and ends with a code that says how.

Exit codes: 0 after a signal, even if the drain limit was reached; 1 if a model's engine failed.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Iterator
from types import FrameType

import uvicorn

from lexloom.base.errors import EXIT_UNEXPECTED, UserError
from lexloom.serve.connections import guarded
from lexloom.serve.gate import App, Status
from lexloom.serve.jobs import Engine
from lexloom.serve.log import Log, take_over
from lexloom.serve.settings import ServeSettings

LOGGER = "uvicorn.error"
TICK_S = 0.05
CLOSING_S = 5
"""Seconds for connections to close once their answers are complete."""
BACKLOG = 128


class Listener(uvicorn.Server):
    """uvicorn, with a shutdown that finishes what runs."""

    def __init__(self, app: App, settings: ServeSettings, *, status: Status, engines: list[Engine], log: Log) -> None:
        super().__init__(_config(app, settings))
        self._settings = settings
        self._status = status
        self._engines = engines
        self._log = log
        self._told_again = False
        self.exit_code = 0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal begins the end, the second one is the end."""
        self._told_again = self._status.draining
        self._status.draining = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but the signal that was obeyed isn't raised again: the exit code tells what happened."""
        try:
            before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not in the main thread, as in tests: others deal with signals
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def main_loop(self) -> None:
        """Until told to end and everything under way is done, or an engine has failed."""
        ticking = asyncio.create_task(super().main_loop())
        while not self._status.draining and not self._failed() and not self.should_exit:
            await asyncio.sleep(TICK_S)
        if self._failed():
            self.exit_code = EXIT_UNEXPECTED
        self._status.draining = True
        self._log.event("draining", running=len(self.server_state.tasks))
        await self._drain()
        self.should_exit = True
        await ticking

    def _failed(self) -> bool:
        return any(engine.failure is not None for engine in self._engines)

    async def _drain(self) -> None:
        """Wait for running requests; at the limit, the engines end them with an error each."""
        left_s = self._settings.limits.drain_s
        while self.server_state.tasks and left_s > 0 and not self._told_again:
            await asyncio.sleep(TICK_S)
            left_s -= TICK_S
        for engine in self._engines:
            engine.close()
        self.force_exit = self._told_again


def listen(settings: ServeSettings) -> socket.socket:
    """A socket on the address. Raises UserError where it is taken."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Named, since asyncio sends at once (TCP_NODELAY) only what it knows to be TCP: else each answer waits 40 ms
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((settings.host, settings.port))
    except OSError as error:
        bound.close()
        where = f"{settings.host}:{settings.port}"
        raise UserError(f"can't listen: {error.strerror}", where=where, fix="Choose another --port.") from None
    return bound


def _config(app: App, settings: ServeSettings) -> uvicorn.Config:
    limits = settings.limits
    return uvicorn.Config(
        app,
        http=guarded(limits),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=limits.header_bytes,
        timeout_keep_alive=int(limits.header_s),
        timeout_graceful_shutdown=CLOSING_S,
        backlog=BACKLOG,
    )


def run(app: App, settings: ServeSettings, *, status: Status, engines: list[Engine], log: Log) -> int:
    """Serve until a signal; the exit code."""
    take_over(LOGGER, log)
    bound = listen(settings)
    server = Listener(app, settings, status=status, engines=engines, log=log)
    server.run(sockets=[bound])
    return server.exit_code
