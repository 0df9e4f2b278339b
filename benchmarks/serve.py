"""The server under load: throughput, first token, latency; against llama.cpp's server, and a FastAPI wrapper around
transformers' pipeline. Servers run one after the other, in processes of their own, a few rounds alternating.

python benchmarks/serve.py generate FOLDER                     ours alone, 1, 8 and 16 clients
python benchmarks/serve.py generate FOLDER --gguf MODEL.gguf   beside llama.cpp's (benchmarks/llama-cpp.txt)
python benchmarks/serve.py first FOLDER                        first tokens: alone, 8 at once, 8 that come as they like
python benchmarks/serve.py classify FOLDER --fastapi           beside FastAPI and transformers (pip install fastapi)

A peer may live in an environment of its own: --peer-python. JSON lines, the last ones with the ratios.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx

CLIENTS = (1, 8, 16)
ROUNDS = 3
REQUESTS_PER_CLIENT = 2
CLASSIFY_REQUESTS = 400
NEW_TOKENS = 64
START_S = 180.0
SENTENCE = " Once upon a time there was a river that wanted to see the sea, and so it went."
SENTENCES = (1, 10)
"""About 30 and 200 tokens with the number before them, which no other request has: nothing is remembered of it."""
FIRST_CLIENTS, FIRST_NEW_TOKENS = 8, 32
FIRST_REQUESTS = 4
"""Of each client."""
PAUSE_S = 8.0
"""The mean pause, exponential, between an answer and the next question of a client that comes as it likes."""
TEXTS = [
    "a lovely film",
    "dull from the first minute to the last, and loud on top of it",
    "I would have left, had the seats not been so comfortable; the music alone is worth an evening, the rest is not",
    "fine",
]

WRAPPER = """
import sys, uvicorn
from fastapi import FastAPI
from transformers import pipeline
classifier, app = pipeline("text-classification", model=sys.argv[1], top_k=None), FastAPI()
@app.post("/classify")
def classify(body: dict):
    return classifier(body["input"])
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
"""
"""What people write who put transformers behind HTTP."""

LLAMA_CPP = """
import sys, time, xllamacpp
parameters, slots = xllamacpp.CommonParams(), int(sys.argv[2])
parameters.model.path, parameters.port = sys.argv[1], int(sys.argv[3])
parameters.n_parallel, parameters.n_ctx = slots, slots * 2048
parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = int(sys.argv[4])
server = xllamacpp.Server(parameters)
time.sleep(1e6)
"""
"""llama.cpp's own server, as the package xllamacpp holds it."""


@dataclass(frozen=True)
class Server:
    """How a server is started, asked, and what says that it is ready."""

    command: Callable[[int], list[str]]
    ready: str
    model: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("generate", "first", "classify"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gguf", type=Path)
    parser.add_argument("--fastapi", action="store_true")
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--clients", type=int, nargs="+", default=list(CLIENTS))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    servers = servers_of(options)
    if options.what == "first":
        with running(servers["lexloom"]) as url:
            asyncio.run(measure_first(url, servers["lexloom"].model))
        return
    measure = measure_generate if options.what == "generate" else measure_classify
    found: dict[tuple[str, int], list[dict[str, float]]] = {}
    for _ in range(options.rounds):
        for name, server in servers.items():
            with running(server) as url:
                for clients in options.clients:
                    facts = asyncio.run(measure(url, server.model, clients, name))
                    found.setdefault((name, clients), []).append(facts)
                    print(json.dumps({"server": name, "clients": clients, **facts}), flush=True)
    summarise(found, list(servers), options.clients)


def servers_of(options: argparse.Namespace) -> dict[str, Server]:
    folder = str(options.folder)
    serve = [str(Path(sys.executable).with_name("lexloom")), "serve", f"m={folder}", "--port"]
    servers = {"lexloom": Server(lambda port: [*serve, str(port)], "/ready", "m")}
    if options.gguf is not None:
        llama = [options.peer_python, "-c", LLAMA_CPP, str(options.gguf), str(max(options.clients))]
        cores = str(len(os.sched_getaffinity(0)))
        servers["llama.cpp"] = Server(lambda port: [*llama, str(port), cores], "/v1/models", "m")
    if options.fastapi:
        wrapper = [options.peer_python, "-c", WRAPPER, folder]
        servers["fastapi"] = Server(lambda port: [*wrapper, str(port)], "/docs", "")
    return servers


@contextlib.contextmanager
def running(server: Server) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(server.command(port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(url + server.ready, process)
        yield url
    finally:
        process.terminate()
        process.wait(60)


def wait_until_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url).status_code == 200:
                return
        time.sleep(0.2)
    raise SystemExit(f"{url} didn't get ready (exit code {process.poll()})")


async def measure_generate(url: str, model: str, clients: int, name: str) -> dict[str, float]:
    """Streams of greedy tokens: tokens per second of all clients, seconds to the first token and to the end."""
    async with httpx.AsyncClient(base_url=url, timeout=600) as client:

        async def person(number: int) -> list[Stream]:
            bodies = [writing(name, model, SENTENCES[0]) for _ in range(REQUESTS_PER_CLIENT)]
            return [await one_stream(client, body) for body in bodies]

        await one_stream(client, writing(name, model, SENTENCES[0]))  # warm-up
        started = time.perf_counter()
        times = await asyncio.gather(*(person(number) for number in range(clients)))
        seconds = time.perf_counter() - started
    flat = [one for some in times for one in some]
    tokens = sum(count for count, _, _ in flat)
    firsts, wholes = [first for _, first, _ in flat], [whole for _, _, whole in flat]
    return {"tokens_per_s": tokens / seconds, **percentiles("first_s", firsts), **percentiles("whole_s", wholes)}


async def measure_first(url: str, model: str) -> None:
    """Seconds to the first token: of one client, of several that ask at once, and of several that pause at random."""
    async with httpx.AsyncClient(base_url=url, timeout=600) as client:

        async def person(number: int, requests: int, sentences: int, pause_s: float) -> list[float]:
            rng, firsts = random.Random(number), []
            for _ in range(requests):
                await asyncio.sleep(rng.expovariate(1 / pause_s) if pause_s else 0)
                firsts.append((await one_stream(client, writing("lexloom", model, sentences, FIRST_NEW_TOKENS)))[1])
            return firsts

        async def together(clients: int, requests: int, sentences: int, pause_s: float) -> list[float]:
            people = (person(number, requests, sentences, pause_s) for number in range(clients))
            return [one for some in await asyncio.gather(*people) for one in some]

        await person(0, 1, SENTENCES[0], 0)  # warm-up
        for sentences in SENTENCES:
            alone = await together(1, FIRST_REQUESTS, sentences, 0)
            at_once = await together(FIRST_CLIENTS, 1, sentences, 0)
            paused = await together(FIRST_CLIENTS, FIRST_REQUESTS, sentences, PAUSE_S)
            for how, firsts in (("alone", alone), ("at once", at_once), ("as they like", paused)):
                ratio = statistics.median(firsts) / statistics.median(alone)
                facts = {"sentences": sentences, "how": how, **percentiles("first_s", firsts), "over alone": ratio}
                print(json.dumps(facts), flush=True)


def writing(name: str, model: str, sentences: int, tokens: int = NEW_TOKENS) -> dict[str, Any]:
    """What a server is asked to write: so many greedy tokens after a prompt that nobody else has."""
    prompt = f"Story {next(numbers)}." + SENTENCE * sentences
    body = {"model": model, "prompt": prompt, "max_tokens": tokens, "temperature": 0, "stream": True}
    # A slow reader gets several of our tokens in one event, so ours are counted by the server
    return body | ({"min_tokens": tokens, "stream_options": {"include_usage": True}} if name == "lexloom" else {})


numbers = itertools.count()
Stream = tuple[int, float, float]


async def one_stream(client: httpx.AsyncClient, body: dict[str, Any]) -> Stream:
    """Tokens, seconds to the first of them, seconds to the end."""
    started, first_s, count = time.perf_counter(), None, 0
    async with client.stream("POST", "/v1/completions", json=body) as answer:
        assert answer.status_code == 200, await answer.aread()
        async for line in answer.aiter_lines():
            event = json.loads(line[6:]) if line.startswith("data: {") else {}
            if event.get("choices"):
                count += 1
                first_s = time.perf_counter() - started if first_s is None else first_s
            if event.get("usage"):
                count = event["usage"]["completion_tokens"]
    assert first_s is not None, "the stream was empty"
    return count, first_s, time.perf_counter() - started


async def measure_classify(url: str, model: str, clients: int, name: str) -> dict[str, float]:
    """Single texts: requests per second of all clients, seconds for each."""
    path = "/v1/classify" if name == "lexloom" else "/classify"
    async with httpx.AsyncClient(base_url=url, timeout=600) as client:

        async def ask(text: str) -> float:
            started = time.perf_counter()
            answer = await client.post(path, json={"model": model, "input": text})
            assert answer.status_code == 200, answer.text
            return time.perf_counter() - started

        async def person(number: int) -> list[float]:
            share = CLASSIFY_REQUESTS // clients
            return [await ask(TEXTS[(number + turn) % len(TEXTS)]) for turn in range(share)]

        await ask(TEXTS[0])
        started = time.perf_counter()
        times = await asyncio.gather(*(person(number) for number in range(clients)))
        seconds = time.perf_counter() - started
    flat = [one for some in times for one in some]
    return {"requests_per_s": len(flat) / seconds, **percentiles("whole_s", flat)}


def percentiles(name: str, values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {f"{name}_p{share}": ordered[min(len(ordered) - 1, len(ordered) * share // 100)] for share in (50, 95, 99)}


def summarise(found: dict[tuple[str, int], list[dict[str, float]]], names: list[str], clients: list[int]) -> None:
    def middle(name: str, number: int, fact: str) -> float:
        return statistics.median(facts[fact] for facts in found[name, number])

    for number in clients:
        rate = next(iter(found[names[0], number][0]))
        line: dict[str, Any] = {"clients": number, **{name: middle(name, number, rate) for name in names}}
        line |= {f"ratio to {name}": line[names[0]] / line[name] for name in names[1:]}
        line |= {"over one client": line[names[0]] / middle(names[0], clients[0], rate)}
        print(json.dumps(line))


if __name__ == "__main__":
    main()
