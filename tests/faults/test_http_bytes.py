"""S1 and S2: bytes that are no HTTP, and clients that are slow on purpose, against a real server."""

import contextlib
import json
import random
import socket
import time

import pytest

from tests.listening import post, read_all, running, wait_until
from tests.serving import NAME, FakeEngine, completion, fake_tokenizer

SECRET = b"SECRET-WORD"
CANARY = post("/v1/completions", completion(), headers=("Connection: close",))
FIRST = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
TYPE = b"Content-Type: application/json\r\n"

MALFORMED = {
    "nothing but an end": b"\r\n\r\n",
    "garbage": SECRET + b"\r\n\r\n",
    "binary": bytes(range(256)) * 4,
    "tls hello": bytes.fromhex("160301020001000001fc0303") + b"\x00" * 64,
    "only a method": b"GET\r\n\r\n",
    "no version": b"GET /health\r\n\r\n",
    "wrong version": b"GET /health HTTP/1.10\r\nHost: localhost\r\n\r\n",
    "absolute target of another host": b"GET http://evil.example/health HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "no host": b"GET /v1/models HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
    "empty host": b"GET /v1/models HTTP/1.1\r\nHost:\r\n\r\n",
    "huge header": b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n",
    "many headers": b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 50_000 + b"\r\n",
    "huge target": b"GET /" + b"x" * 1_000_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "space before colon": b"GET /v1/models HTTP/1.1\r\nHost : localhost\r\n\r\n",
    "folded header": b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n folded\r\n\r\n",
    "zero byte in a header": b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
    "line feed alone in a header": b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n",
    "zero byte in the path": b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "space in the path": b"GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "both lengths": FIRST + TYPE + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": FIRST + TYPE + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
    "negative length": FIRST + TYPE + b"Content-Length: -1\r\n\r\n",
    "length with a sign": FIRST + TYPE + b"Content-Length: +2\r\n\r\n{}",
    "length in hexadecimal": FIRST + TYPE + b"Content-Length: 0x2\r\n\r\n{}",
    "length too large": FIRST + TYPE + b"Content-Length: 99999999999999999999\r\n\r\n",
    "bad chunk size": FIRST + TYPE + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "negative chunk size": FIRST + TYPE + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
    "huge chunk size": FIRST + TYPE + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\n",
    "unknown encoding": FIRST + TYPE + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "compressed body": FIRST + TYPE + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00",
    "no body": FIRST + TYPE + b"\r\n",
    "no type": FIRST + b"Content-Length: 2\r\n\r\n{}",
    "form": FIRST + b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\na=b",
    "unknown method": b"BREW /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "connect": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
    "trace": b"TRACE / HTTP/1.1\r\nHost: localhost\r\nX-Secret: " + SECRET + b"\r\n\r\n",
    "body that isn't JSON": post("/v1/completions", SECRET),
    "body that is a list": post("/v1/completions", [1]),
    "body that isn't UTF-8": post("/v1/completions", b"\xff\xfe"),
    "deep body": post("/v1/completions", b'{"a":' * 100_000),
    "many messages": post(
        "/v1/chat/completions", {"model": "fake", "messages": [{"role": "user", "content": ""}] * 2000}
    ),
}


@pytest.fixture(scope="module")
def server():
    with running(header_s=2.0, body_s=1.0, send_s=1.0) as server:
        yield server


def status_of(said: bytes) -> int:
    return int(said.split(b" ", 2)[1])


def assert_alive(server) -> None:
    said = server.send(CANARY, quiet_s=10)
    assert json.loads(said.partition(b"\r\n\r\n")[2])["choices"][0]["text"] == "What is the sky"
    assert server.engine.running == 0


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_requests_are_refused_and_not_echoed(server, name):
    said = server.send(MALFORMED[name], quiet_s=2.5)
    assert not said or 400 <= status_of(said) < 500, said
    assert SECRET not in said
    assert b"Traceback" not in said


def test_server_lives_after_all_of_them(server):
    assert_alive(server)


def test_websockets_are_refused(server):
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n"
    said = server.send(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n" + upgrade + b"\r\n")
    assert status_of(said) != 101


def test_junk_behind_a_request_does_not_hurt_the_request(server):
    said = server.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" + SECRET + b"\r\n\r\n", quiet_s=2.5)
    assert status_of(said) == 200
    assert SECRET not in said
    assert_alive(server)


def test_mutated_requests_never_break_it(server):
    rng = random.Random(5)
    for _ in range(150):
        data = bytearray(CANARY)
        for _ in range(rng.randint(1, 6)):
            place = rng.randrange(len(data))
            data[place : place + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
        said = server.send(bytes(data), quiet_s=0.02)
        assert not said or status_of(said) < 500, (bytes(data), said)
    assert_alive(server)


# ---- S2 ----


def seconds_until_closed(client) -> float:
    started = time.monotonic()
    read_all(client)
    return time.monotonic() - started


def test_headers_that_drip_are_cut_off_at_the_deadline(server):
    with server.connect() as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: local")
        assert 1.0 < seconds_until_closed(client) < 15


def test_connection_that_says_nothing_is_cut_off(server):
    with server.connect() as client:
        assert 1.0 < seconds_until_closed(client) < 15


def test_headers_of_a_later_request_are_due_too(server):
    with server.connect() as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200" in client.recv(65536)
        client.sendall(b"GET /health HTTP/1.1\r\nHost: local")
        assert 1.0 < seconds_until_closed(client) < 15


def test_headers_without_end_are_refused_before_their_deadline():
    with running(header_bytes=1000, header_s=60.0) as server, server.connect() as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 5000)
        assert status_of(client.recv(65536)) == 400


def test_answers_that_nobody_reads_are_not_kept_for_ever():
    """What the system has no room for waits in the process, less than what the deadline of a stream would notice."""
    some = post("/tokenize", {"model": NAME, "text": "sky " * 1500})  # its answer fits into what is sent at once
    with running(header_s=3.0, send_s=1.0) as server, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        client.connect(("127.0.0.1", server.port))
        connections = server.listener.server_state.connections
        wait_until(lambda: connections)
        (protocol,) = connections
        while not protocol.transport.get_write_buffer_size():
            done = server.listener.server_state.total_requests
            client.sendall(some)
            wait_until(lambda done=done: server.listener.server_state.total_requests > done)
            wait_until(lambda: protocol.cycle.response_complete)
        wait_until(lambda: not connections)


def test_body_that_drips_is_told_so(server):
    with server.connect() as client:
        client.sendall(FIRST + TYPE + b"Content-Length: 100\r\n\r\n{")
        said = read_all(client)
    assert status_of(said) == 408
    assert b"body_s" in said


def test_drip_connections_leave_others_unharmed(server):
    with contextlib.ExitStack() as drips:
        for _ in range(100):
            drips.enter_context(server.connect()).sendall(FIRST)
        assert_alive(server)


@pytest.mark.parametrize(("size", "status"), [(500, 200), (70_000, 431), (1_000_000, 400)])
def test_headers_are_bounded_by_header_bytes(size, status):
    with running(header_bytes=1000) as server:
        said = server.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * size + b"\r\n\r\n", quiet_s=2)
    assert status_of(said) == status


def test_reader_that_stops_reading_loses_its_place():
    said = [{"role": "user", "content": "sky " * 240}]
    long = {"model": NAME, "messages": said, "max_tokens": 240, "n": 16, "stream": True}
    long |= {"logprobs": True, "top_logprobs": 20}  # some megabytes, more than the buffers of the system hold
    with running(FakeEngine(fake_tokenizer(), slots=16), send_s=0.5) as server, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        client.connect(("127.0.0.1", server.port))
        client.sendall(post("/v1/chat/completions", long))
        wait_until(lambda: server.engine.running == 16)
        wait_until(lambda: not server.engine.running and not server.listener.server_state.tasks, 60)
        assert server.engine.steps < 16 * 240
        assert_alive(server)


def test_connections_beyond_the_limit_are_closed_at_once():
    with running(connections=3) as server:
        with contextlib.ExitStack() as held:
            for number in range(1, 4):
                held.enter_context(server.connect())
                wait_until(lambda number=number: len(server.listener.server_state.connections) == number)
            assert seconds_until_closed(held.enter_context(server.connect())) < 5
        wait_until(lambda: not server.listener.server_state.connections)
        assert_alive(server)
