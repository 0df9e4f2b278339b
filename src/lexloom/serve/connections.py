"""Connections that can't be kept open by doing nothing: deadlines that uvicorn leaves to others.

A client that sends its headers slowly, one that stops reading its answer, and one beyond the number allowed are cut off
here; slow bodies are the endpoint's matter (`bodies.read_body`).
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from lexloom.serve.limits import Limits


def guarded(limits: Limits) -> type[H11Protocol]:
    """uvicorn's HTTP protocol, bounded by these limits."""
    return type("Guarded", (_Guarded,), {"limits": limits})


class _Guarded(H11Protocol):
    limits: Limits

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._headers_due: asyncio.TimerHandle | None = None
        self._reading_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            transport.abort()
            return
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop(self._headers_due, self._reading_due)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._headers_due is None and (self.cycle is None or self.cycle.response_complete):
            self._expect_headers()  # of the next request on this connection
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._stop(self._headers_due)
            self._headers_due = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reading_due = self.loop.call_later(self.limits.send_s, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop(self._reading_due)
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        # A close waits for what is still unread; a client that doesn't read could keep it waiting for ever
        self._reading_due = self.loop.call_later(self.limits.send_s, self.transport.abort)

    def _expect_headers(self) -> None:
        self._headers_due = self.loop.call_later(self.limits.header_s, self.transport.abort)

    @staticmethod
    def _stop(*timers: asyncio.TimerHandle | None) -> None:
        for timer in timers:
            if timer is not None:
                timer.cancel()
