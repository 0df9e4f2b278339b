"""Folders opened for the server: names, what each can be asked, limits of tasks, and the process from start to end."""

import io
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2 as httpx
import pytest

from lexloom.base.errors import DamagedError, UserError
from lexloom.serve import listening, start
from lexloom.serve.app import app
from lexloom.serve.limits import Limits
from lexloom.serve.log import Log
from lexloom.serve.models import named_folders, open_model
from lexloom.serve.settings import ServeSettings
from lexloom.serve.worker import Worker
from tests.chatting import write_speaker
from tests.folders import write_model
from tests.offline import with_engine
from tests.serving import FakeEngine, client_of, error_of
from tests.task_folders import write_task_model

LOCAL_PORT_WAIT_S = 120


def test_folders_are_named_after_their_runs():
    found = named_folders(["poems/model", "other/folder", "chat=poems/model"])
    assert list(found) == ["poems", "folder", "chat"]
    assert found["chat"] == Path("poems/model")


@pytest.mark.parametrize("words", [["a/model", "a"], ["x=a", "x=b"], ["=a"]])
def test_two_models_of_one_name_are_refused(words):
    with pytest.raises(UserError, match="more than one"):
        named_folders(words)


@pytest.mark.parametrize(
    ("write", "routes"),
    [
        (lambda path: write_model(path), {"/v1/completions"}),
        (lambda path: write_speaker(path), {"/v1/completions", "/v1/chat/completions"}),
        (lambda path: write_task_model(path, "classify"), {"/v1/classify", "/v1/embeddings", "/v1/similarity"}),
        (lambda path: write_task_model(path, "tag"), {"/v1/tag", "/v1/embeddings", "/v1/similarity"}),
        (lambda path: write_task_model(path, "text2text"), {"/v1/translate"}),
    ],
)
def test_models_say_what_they_can_be_asked(write, routes, tmp_path):
    served = open_model("m", write(tmp_path / "model"), Worker(), Limits())
    served.engine.close()
    assert set(served.routes) == routes | {"/tokenize", "/detokenize"}


def test_damaged_model_is_never_served(tmp_path):
    path = write_model(tmp_path / "model")
    weights = path / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-5] ^= 1
    weights.write_bytes(data)
    with pytest.raises(DamagedError):
        open_model("m", path, Worker(), Limits())


def test_limits_of_tasks_are_stated(tmp_path):
    limits, models = Limits(beams=2, candidates=3), {}
    for name in ("text2text", "choice"):
        models[name] = open_model(name, write_task_model(tmp_path / name, name), Worker(), limits)
    client = client_of(app(models, ServeSettings(limits=limits), log=Log(io.StringIO())))
    many = client.post("/v1/translate", json={"model": "text2text", "input": "书里", "beams": 3})
    assert "the limit beams is 2" in error_of(many)["message"]
    choices = {"model": "choice", "input": "the sky is", "candidates": ["a", "b", "c", "d"]}
    assert "the limit candidates is 3" in error_of(client.post("/v1/choose", json=choices))["message"]
    few = client.post("/v1/translate", json={"model": "text2text", "input": "书里", "beams": 2, "n_best": 2})
    assert len(few.json()["data"][0]["others"]) == 1
    for served in models.values():
        served.engine.close()


LONG, MANY = "a " * 30, ["a"] * 4
MASKED = {"model": "masked", "input": "a [MASK]"}
BEYOND = [
    ("text_bytes", "/v1/classify", {"model": "classify", "input": LONG}),
    ("texts", "/v1/classify", {"model": "classify", "input": MANY}),
    ("text_bytes", "/v1/tag", {"model": "tag", "input": LONG}),
    ("texts", "/v1/tag", {"model": "tag", "input": MANY}),
    ("text_bytes", "/v1/answer", {"model": "span", "question": "a", "passage": LONG}),
    ("text_bytes", "/v1/choose", {"model": "choice", "input": "a", "candidates": ["a", LONG]}),
    ("candidates", "/v1/choose", {"model": "choice", "input": "a", "candidates": MANY}),
    ("text_bytes", "/v1/translate", {"model": "text2text", "input": LONG}),
    ("texts", "/v1/translate", {"model": "text2text", "input": MANY}),
    ("beams", "/v1/translate", {"model": "text2text", "input": "a", "beams": 3}),
    ("reply_tokens", "/v1/translate", {"model": "text2text", "input": "a", "max_tokens": 11}),
    ("text_bytes", "/v1/similarity", {"model": "classify", "first": LONG, "second": "a"}),
    ("texts", "/v1/similarity", {"model": "classify", "first": "a", "second": MANY}),
    ("text_bytes", "/v1/embeddings", {"model": "classify", "input": LONG}),
    ("texts", "/v1/embeddings", {"model": "classify", "input": MANY}),
    ("text_bytes", "/v1/fill", {**MASKED, "input": LONG + "[MASK]"}),
    ("candidates", "/v1/fill", {**MASKED, "top": 3}),
    ("text_bytes", "/tokenize", {"model": "tag", "text": LONG}),
]


@pytest.fixture(scope="module")
def bounded(tmp_path_factory):
    """A server of several models with small limits."""
    limits, place = Limits(text_bytes=50, texts=3, candidates=2, beams=2, reply_tokens=10), tmp_path_factory.mktemp("m")
    folders = {
        name: write_task_model(place / name, name) for name in ("classify", "tag", "span", "choice", "text2text")
    }
    folders["masked"] = write_model(place / "masked", family="bert", kind="wordpiece", head="masked")
    models = {name: with_engine(FakeEngine, name, folder) for name, folder in folders.items()}
    return client_of(app(models, ServeSettings(limits=limits), log=Log(io.StringIO())))


@pytest.mark.parametrize(("limit", "path", "body"), BEYOND)
def test_limits_hold_for_every_route_that_reads(bounded, limit, path, body):
    answer = bounded.post(path, json=body)
    assert (answer.status_code, error_of(answer)["code"]) == (400, "limit_exceeded"), answer.text
    assert f"the limit {limit} is" in error_of(answer)["message"]


def test_engines_are_bounded_by_the_limits(tmp_path, monkeypatch):
    """queue, tokens and stuck_s are kept by the engine; here, that it is told of them."""
    told = {}

    def engine(model, tokenizer, worker, **options):
        told.update(options, stuck_s=worker._stuck_after_s)
        return lambda: None

    monkeypatch.setattr("lexloom.serve.engine.Engine", engine)
    monkeypatch.setattr(listening, "run", lambda *given, **options: 0)
    settings = ServeSettings(limits=Limits(queue=7, tokens=99, stuck_s=5.0))
    start.serve([str(write_model(tmp_path / "model"))], settings)
    assert told == {"queue_jobs": 7, "tokens": 99, "stuck_s": 5.0}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.mark.slow
def test_process_serves_ends_at_sigterm_with_0_and_can_start_again_at_once(tmp_path):
    path, port = write_model(tmp_path / "model"), free_port()
    command = [str(Path(sys.executable).with_name("lexloom")), "serve", f"m={path}", "--port", str(port)]
    for _ in range(2):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            wait_until_ready(f"http://127.0.0.1:{port}", process)
            body = {"model": "m", "prompt": "To be", "max_tokens": 3}
            answer = httpx.post(f"http://127.0.0.1:{port}/v1/completions", json=body, timeout=60)
            assert answer.json()["usage"]["completion_tokens"] == 3
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode == 0
        events = [json.loads(line)["event"] for line in said.splitlines() if line.startswith("{")]
        assert events[-1] == "draining"


def wait_until_ready(url: str, process: "subprocess.Popen[str]") -> None:
    until = time.monotonic() + LOCAL_PORT_WAIT_S
    while True:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        try:
            if httpx.get(url + "/ready").status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.3)
