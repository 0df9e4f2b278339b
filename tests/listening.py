"""A real server on a free port, in a thread, for tests that need sockets."""

import contextlib
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TextIO

from lexloom.serve.gate import Status
from lexloom.serve.limits import Limits
from lexloom.serve.listening import Listener, listen
from lexloom.serve.log import Log, take_over
from lexloom.serve.settings import ServeSettings
from tests.serving import FakeEngine, fake_app, fake_tokenizer

WAIT_S = 20.0
SILENCE_S = 0.15
"""Without a byte, after which an answer counts as whole."""


@dataclass
class Running:
    """A server that listens."""

    port: int
    engine: Any
    listener: Listener
    log: Any = field(repr=False)
    """What the server's log was written to."""
    thread: threading.Thread

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_S)

    def send(self, data: bytes, *, quiet_s: float = 0.3) -> bytes:
        """What the server says to these bytes until it closes the connection, or says nothing for a while."""
        with self.connect() as client:
            client.settimeout(quiet_s)
            with contextlib.suppress(ConnectionError, TimeoutError):
                client.sendall(data)
                client.recv(1, socket.MSG_PEEK)
                client.settimeout(min(quiet_s, SILENCE_S))
            return read_all(client)

    def end(self) -> None:
        """As SIGTERM."""
        self.listener.handle_exit(15, None)


@contextlib.contextmanager
def running(
    engine: Any = None, *, keys: tuple[str, ...] = (), log: TextIO | None = None, **limits: Any
) -> Iterator[Running]:
    """A server around a fake model that logs into a text, or into `log`; `limits` are other than the usual ones."""
    engine = FakeEngine(fake_tokenizer()) if engine is None else engine
    settings = ServeSettings(port=0, keys=keys, limits=replace(Limits(), **{"drain_s": 1.0, **limits}))
    status, written = Status(), io.StringIO() if log is None else log
    books = Log(written)
    take_over("uvicorn.error", books)
    application = fake_app(engine, settings=settings, status=status, log=written)
    bound = listen(settings)
    listener = Listener(application, settings, status=status, engines=[engine], log=books)
    thread = threading.Thread(target=lambda: listener.run(sockets=[bound]))
    thread.start()
    try:
        wait_until(lambda: listener.started)
        yield Running(bound.getsockname()[1], engine, listener, written, thread)
    finally:
        listener.handle_exit(15, None)
        listener.handle_exit(15, None)
        thread.join(WAIT_S)
        assert not thread.is_alive(), "the server didn't end"


def post(path: str, body: Any, *, headers: tuple[str, ...] = ()) -> bytes:
    """The bytes of a request."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = (f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *headers)
    return "\r\n".join([*lines, f"Content-Length: {len(data)}", "", ""]).encode() + data


def read_all(client: socket.socket) -> bytes:
    """Everything until the other side closes, or the client's patience ends."""
    parts = []
    with contextlib.suppress(ConnectionError, TimeoutError):
        while part := client.recv(65536):
            parts.append(part)
    return b"".join(parts)


def wait_until(condition: Any, seconds: float = WAIT_S) -> None:
    """Wait for something that comes about in another thread."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it didn't come about"
        time.sleep(0.01)
