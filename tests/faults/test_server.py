"""S4, S5, S11, S12, I3, I8: clients that leave, too many of them, models that fail, the end."""

import asyncio
import contextlib
import io
import json
import random
import socket
import threading
import time

import httpx2 as httpx
import pytest

from lexloom.serve.app import app
from lexloom.serve.jobs import EngineFailed
from lexloom.serve.listening import listen
from lexloom.serve.log import Log
from lexloom.serve.settings import ServeSettings
from tests.listening import post, read_all, running, wait_until
from tests.offline import with_engine
from tests.serving import (
    FakeEngine,
    client_of,
    completion,
    conversation,
    error_of,
    events_of,
    fake_app,
    fake_tokenizer,
)
from tests.task_folders import write_task_model

LONG = {"prompt": [7] * 300, "max_tokens": 200}


def slow_engine(**options) -> FakeEngine:
    return FakeEngine(fake_tokenizer(), step_s=0.02, **options)


# ---- S4: cancellation ----


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("n", [1, 4])
def test_client_that_leaves_takes_its_work_along(stream, n):
    with running(slow_engine()) as server:
        with server.connect() as client:
            client.sendall(post("/v1/completions", completion(**LONG, stream=stream, n=n)))
            wait_until(lambda: server.engine.steps > 2)
        wait_until(lambda: server.engine.running == 0)
        steps = server.engine.steps
        assert steps < 100 * n
        time.sleep(0.2)
        assert server.engine.steps == steps


def test_client_that_leaves_the_queue_is_forgotten():
    with running(slow_engine(slots=1)) as server, server.connect() as first:
        first.sendall(post("/v1/completions", completion(**LONG)))
        wait_until(lambda: server.engine.running == 1)
        with server.connect() as second:
            second.sendall(post("/v1/completions", completion()))
            wait_until(lambda: server.engine.waiting == 1)
        wait_until(lambda: server.engine.waiting == 0)
        assert server.engine.running == 1


def test_leaving_harms_only_the_one_who_leaves():
    with running(slow_engine()) as server:
        client = server.connect()
        client.sendall(post("/v1/completions", completion(**LONG, stream=True)))
        wait_until(lambda: server.engine.steps > 2)
        threading.Timer(0.1, client.close).start()
        said = httpx.post(server.url + "/v1/completions", json=completion(max_tokens=5), timeout=20).json()
        assert said["choices"][0]["text"] == "What is the sky?"


# ---- S5: overload ----


def test_overload_is_answered_quickly_with_the_time_to_come_back():
    engine = slow_engine(slots=2, queue=2)

    async def flood(url: str) -> list[httpx.Response]:
        async with httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=100)) as client:
            body = completion(max_tokens=4)
            return await asyncio.gather(*(client.post(url + "/v1/completions", json=body) for _ in range(60)))

    with running(engine) as server:
        answers = asyncio.run(flood(server.url))
        assert {answer.status_code for answer in answers} == {200, 429}
        for answer in answers:
            if answer.status_code == 429:
                assert int(answer.headers["retry-after"]) >= 1
                assert error_of(answer)["code"] == "queue_full"
            else:
                assert answer.json()["choices"][0]["text"] == "What is the sky"
        assert engine.running == engine.waiting == 0


def test_requests_beyond_those_under_way_are_refused_before_their_body():
    with running(slow_engine(), concurrent=1) as server, server.connect() as client:
        client.sendall(post("/v1/completions", completion(**LONG, stream=True)))
        wait_until(lambda: server.engine.running == 1)
        refused = httpx.post(server.url + "/v1/completions", content=b"", timeout=20)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")


# ---- S11: failures ----


@pytest.mark.parametrize("step", [1, 2, 17])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("error", [ValueError("secret"), EngineFailed("the model failed"), MemoryError()])
def test_failure_ends_its_own_request_only(step, stream, error):
    engine = FakeEngine(fake_tokenizer())

    def fail(job, now):
        if now == step and len(job.prompt_ids) > 100:
            raise error

    engine.before_step = fail
    client = client_of(fake_app(engine))
    answer = client.post("/v1/completions", json=completion(**LONG, stream=stream))
    if stream and step > 1:
        assert answer.status_code == 200
        assert "error" in events_of(answer.text)[-1]
        assert "[DONE]" not in answer.text
    else:
        assert answer.status_code == 500
        assert error_of(answer)["type"] == "server_error"
    assert "secret" not in answer.text
    assert client.post("/v1/completions", json=completion()).status_code == 200
    assert engine.running == 0


def test_hanging_model_ends_at_the_deadline():
    engine = FakeEngine(fake_tokenizer(), step_s=60)
    with running(engine, deadline_s=0.3) as server:
        for stream in (True, False):
            answer = httpx.post(server.url + "/v1/completions", json=completion(stream=stream), timeout=20)
            assert (answer.status_code, error_of(answer)["code"]) == (504, "deadline_exceeded")
            assert answer.headers["x-should-retry"] == "false"
        assert engine.running == 0


def test_stream_that_takes_too_long_ends_with_an_error():
    with running(slow_engine(), deadline_s=0.5) as server:
        answer = httpx.post(server.url + "/v1/completions", json=completion(**LONG, stream=True), timeout=20)
        assert events_of(answer.text)[-1]["error"]["code"] == "deadline_exceeded"


def test_scores_that_are_no_numbers_are_an_error_and_no_answer(tmp_path):
    class Broken(FakeEngine):
        async def run(self, function, examples):
            return [{"score": float("nan")} for _ in examples]

    served = with_engine(Broken, "m", write_task_model(tmp_path / "model", "regress"))
    client = client_of(app({"m": served}, ServeSettings(), log=Log(io.StringIO())))
    answer = client.post("/v1/regress", json={"model": "m", "input": "a lovely film"})
    assert (answer.status_code, error_of(answer)["type"]) == (500, "server_error")


def test_dead_engine_makes_the_server_not_ready_at_once():
    engine = FakeEngine(fake_tokenizer())
    client = client_of(fake_app(engine))
    assert client.get("/ready").status_code == 200
    engine.failure = "its thread has died"
    ready = client.get("/ready")
    assert (ready.status_code, ready.json()["status"]) == (503, "failed")
    assert client.get("/health").status_code == 200
    assert client.post("/v1/completions", json=completion()).status_code == 500


def test_process_ends_with_an_error_when_an_engine_fails():
    with running() as server:
        server.engine.failure = "its thread has died"
        server.thread.join(20)
        assert not server.thread.is_alive()
        assert server.listener.exit_code == 1


# ---- S12: the end ----


def test_running_work_is_finished_and_new_work_refused():
    with running(slow_engine(), drain_s=20.0) as server:
        with server.connect() as other, server.connect() as client:
            client.sendall(post("/v1/completions", completion(**{**LONG, "max_tokens": 150}, stream=True)))
            wait_until(lambda: server.engine.steps > 2)
            server.end()
            other.settimeout(0.5)
            other.sendall(post("/v1/completions", completion()))
            refused = read_all(other)
            assert refused.startswith(b"HTTP/1.1 503")
            assert b"retry-after" in refused
            other.sendall(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"draining" in read_all(other)
            assert read_all(client).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        server.thread.join(20)
        assert server.listener.exit_code == 0


def test_what_is_not_done_at_the_drain_limit_gets_an_error():
    with running(slow_engine(), drain_s=0.2) as server, server.connect() as client:
        client.sendall(post("/v1/completions", completion(**LONG, stream=True)))
        wait_until(lambda: server.engine.steps > 2)
        server.end()
        assert b'"error"' in read_all(client)
        server.thread.join(20)
        assert not server.thread.is_alive()
        assert server.listener.exit_code == 0


def test_port_is_free_as_soon_as_the_server_has_ended():
    """Although the system still remembers connections that the server closed."""
    settings = ServeSettings(port=0)
    with listen(settings) as first:
        first.listen()
        port = first.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            first.accept()[0].close()
            assert client.recv(1) == b""
    listen(ServeSettings(port=port)).close()


def test_answers_are_sent_at_once_and_not_when_the_client_has_confirmed_what_came_before():
    with running() as server, socket.create_connection(("127.0.0.1", server.port)):
        wait_until(lambda: server.listener.server_state.connections)
        (connection,) = server.listener.server_state.connections
        accepted = connection.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_second_signal_ends_at_once():
    with running(slow_engine(), drain_s=60.0) as server, server.connect() as client:
        client.sendall(post("/v1/completions", completion(**LONG, stream=True)))
        wait_until(lambda: server.engine.steps > 2)
        started = time.monotonic()
        server.end()
        server.end()
        server.thread.join(20)
        assert not server.thread.is_alive()
        assert time.monotonic() - started < 10


# ---- I3: nobody sees another's text ----


def test_no_word_of_one_client_reaches_another_whatever_is_cancelled():
    engine = FakeEngine(fake_tokenizer(), slots=4, queue=100, step_s=0.0005)
    wrong: list[str] = []

    async def one(client: httpx.AsyncClient, number: int) -> None:
        rng, word = random.Random(number), f"secret{number}word"
        for _ in range(25):
            body = conversation(messages=[{"role": "user", "content": word * 3}], max_tokens=80)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(rng.choice([0.02, 0.05, 30])):
                    answer = await client.post("/v1/chat/completions", json=body)
                    said = answer.json()["choices"][0]["message"]["content"]
                    if said.count("secret") != said.count(word) or said.count(word) != 3:
                        wrong.append(said)

    async def all_of_them(url: str) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            await asyncio.gather(*(one(client, number) for number in range(8)))

    with running(engine) as server:
        asyncio.run(all_of_them(server.url))
        wait_until(lambda: engine.running == engine.waiting == 0)
    assert wrong == []


# ---- S6, S3: every limit is enforced and stated ----


def test_every_limit_of_a_request_is_stated_where_it_is_enforced():
    small = {"texts": 2, "text_bytes": 100, "messages": 2, "choices": 2, "reply_tokens": 10, "top_logprobs": 1}
    small |= {"format_bytes": 50, "json_depth": 6, "json_digits": 5, "body_bytes": 5000}
    limits = ServeSettings().limits.__class__(**small)
    client = client_of(fake_app(settings=ServeSettings(limits=limits)))
    message = {"role": "user", "content": "a"}
    pattern = {"type": "regex", "pattern": "a" * 50}
    beyond = {
        "texts": ("/v1/completions", completion(prompt=["a"] * 3)),
        "text_bytes": ("/v1/completions", completion(prompt="月" * 40)),
        "messages": ("/v1/chat/completions", conversation(messages=[message] * 3)),
        "choices": ("/v1/completions", completion(n=3)),
        "reply_tokens": ("/v1/completions", completion(max_tokens=11)),
        "top_logprobs": ("/v1/completions", completion(logprobs=2)),
        "format_bytes": ("/v1/completions", completion(response_format=pattern)),
        "json_depth": ("/v1/completions", completion(user=[[[[[[[1]]]]]]])),
        "json_digits": ("/v1/completions", completion(seed=123456)),
        "body_bytes": ("/v1/completions", completion(prompt="a" * 6000)),
    }
    assert beyond.keys() == small.keys()
    for name, (path, body) in beyond.items():
        answer = client.post(path, json=body)
        assert answer.status_code in (400, 413), (name, answer.text)
        assert f"the limit {name} is {small[name]:,}" in error_of(answer)["message"], name
    assert client.post("/v1/completions", json=completion()).status_code == 200


def test_long_conversations_are_bounded_as_a_whole():
    limits = ServeSettings().limits.__class__(text_bytes=100)
    client = client_of(fake_app(settings=ServeSettings(limits=limits)))
    messages = [{"role": "user", "content": "a" * 60}] * 2
    assert (
        "text_bytes" in error_of(client.post("/v1/chat/completions", json=conversation(messages=messages)))["message"]
    )


def test_every_line_of_the_log_is_json_after_all_that():
    with running() as server:
        server.send(b"\x1b[31mgarbage\r\n\r\n")
        server.send(post("/v1/completions", b"{"))
        httpx.get(server.url + "/nowhere")
    lines = server.log.getvalue().splitlines()
    assert len(lines) >= 3
    assert all(json.loads(line)["event"] for line in lines)
