"""S13: clients that join, stall, leave and lie, for minutes; nothing may grow, and no answer may be wrong.

python tests/faults/soak.py --minutes 10

The engine is the server's own around a tiny model. Now and then all clients rest: what is there while nobody asks for
anything is what stays, so growth is seen in seconds and not hidden by what comes and goes. Prints a JSON line at each
rest and a verdict at the end; exits with 1 where objects, memory, descriptors or threads have grown, an answer was
wrong, a line of the log isn't JSON, or the server doesn't answer at the end.
"""

import argparse
import asyncio
import contextlib
import gc
import io
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import httpx2 as httpx
import numpy as np
import psutil
import torch

from lexloom.generate.settings import SamplingSettings
from lexloom.generate.text import collect, generate_text
from lexloom.models.llama import Config
from lexloom.serve.engine import Engine
from lexloom.serve.worker import Worker
from tests.folders import SHAPES, drawn
from tests.listening import Running, post, running
from tests.serving import CONTEXT, completion, fake_tokenizer

CLIENTS = 24
CASES = 64
"""Different requests whose answers are known."""
ACTIVE_S = 5.0
"""Between two rests."""
WARM_UP_SHARE = 0.5
"""Of the time, in which caches fill; growth is measured after it."""
MOST_BLOCKS_PER_REQUEST = 0.1
"""Growth of what Python has allocated; one request in a thousand that is kept is more."""
MOST_BYTES_PER_REQUEST, MOST_BYTES = 64.0, 2 * 2**20
"""Growth of resident memory, where it is more than the second: less is how malloc takes and gives pages."""
PREFIX_BYTES = 100_000
"""Less than the cases have, so that beginnings are forgotten all the time."""
LIMITS = {"deadline_s": 120.0, "connections": 200}
WORDS = ("sky", "snow", "grass", "天空", "雪", "草")


@dataclass(frozen=True)
class Case:
    """A request, and what the model says to it alone."""

    body: dict[str, Any]
    text: str


@dataclass(frozen=True)
class Sample:
    """What is there while nobody asks for anything."""

    requests: int
    blocks: int
    """Pieces of memory that Python has allocated."""
    resident: int
    descriptors: int
    threads: int


@dataclass
class Crowd:
    """The clients, and what they have seen so far."""

    server: Running
    client: httpx.AsyncClient
    cases: Sequence[Case]
    awake: asyncio.Event = field(default_factory=asyncio.Event)
    asking: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)


class CheckedLog(io.TextIOBase):
    """Counts the lines, and those that are no event; keeps none."""

    def __init__(self) -> None:
        self.lines = 0
        self.bad = 0

    def write(self, line: str) -> int:
        self.lines += 1
        try:
            self.bad += not (line.endswith("\n") and json.loads(line)["event"])
        except ValueError:
            self.bad += 1
        return len(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(json.dumps({"seed": options.seed, "minutes": options.minutes}), flush=True)
    torch.set_num_threads(1)
    config = Config(vocab_size=fake_tokenizer().vocab_size, context=CONTEXT, **SHAPES["llama"])
    model, log = drawn("llama", config, options.seed).eval(), CheckedLog()
    cases = [case(model, random.Random(f"{options.seed} case {number}")) for number in range(CASES)]
    engine = Engine(model, fake_tokenizer(), Worker(), slots=8, queue_jobs=16, prefix_bytes=PREFIX_BYTES)
    with running(engine, log=log, **LIMITS) as server:
        crowd = asyncio.run(soak(server, cases, 60 * options.minutes, options.seed))
        faults = [*crowd.wrong[:5], *growth(crowd.samples), *last_words(server, cases[0])]
    faults += [f"{log.bad} of {log.lines} lines of the log are no events"] if log.bad else []
    print(json.dumps({"seen": crowd.seen, "faults": faults}, ensure_ascii=False))
    sys.exit(bool(faults))


def case(model: Any, rng: random.Random) -> Case:
    text = " ".join(rng.choices(WORDS, k=rng.randint(1, 40)))
    settings = {"max_tokens": rng.randint(1, 30), "temperature": rng.choice([0.0, 1.0]), "seed": rng.randrange(2**31)}
    tokenizer = fake_tokenizer()
    pieces = generate_text(
        model, tokenizer, [tokenizer.encode(text)], SamplingSettings(**settings), eos_ids=[tokenizer.eos_id]
    )
    (reply,) = collect(pieces, rows=1)
    return Case(completion(prompt=text, **settings), reply.text)


async def soak(server: Running, cases: Sequence[Case], seconds: float, seed: int) -> Crowd:
    until = time.monotonic() + seconds
    crowd = Crowd(server, httpx.AsyncClient(), cases)
    people = [asyncio.create_task(person(crowd, random.Random(f"{seed} {number}"))) for number in range(CLIENTS)]
    while time.monotonic() < until:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as crowd.client:
            crowd.awake.set()
            await asyncio.sleep(ACTIVE_S)
            crowd.awake.clear()
            await until_nothing(lambda: crowd.asking)
        await until_nothing(lambda: server.engine.running or server.engine.waiting)
        await until_nothing(lambda: server.listener.server_state.connections)
        sample(crowd)
    for one in people:
        one.cancel()
    await asyncio.gather(*people, return_exceptions=True)
    return crowd


# ---- clients ----


async def person(crowd: Crowd, rng: random.Random) -> None:
    """One client after another on the same seat, each of some character."""
    while True:
        await crowd.awake.wait()
        name = rng.choice(list(CHARACTERS))
        crowd.asking += 1
        try:
            await CHARACTERS[name](crowd, rng)
        except (httpx.HTTPError, ConnectionError) as error:
            crowd.seen[f"{name}: {type(error).__name__}"] += 1
        finally:
            crowd.asking -= 1
            crowd.seen[name] += 1


async def honest(crowd: Crowd, rng: random.Random) -> None:
    asked = rng.choice(crowd.cases)
    answer = await crowd.client.post("/v1/completions", json=asked.body)
    crowd.seen[str(answer.status_code)] += 1
    if answer.status_code == 200 and answer.json()["choices"][0]["text"] != asked.text:
        crowd.wrong.append(f"{asked} got {answer.text!r}")
    elif answer.status_code not in (200, 429):
        crowd.wrong.append(f"{answer.status_code}: {answer.text}")


async def listener(crowd: Crowd, rng: random.Random) -> None:
    asked, said = rng.choice(crowd.cases), []
    async with crowd.client.stream("POST", "/v1/completions", json={**asked.body, "stream": True}) as answer:
        async for line in answer.aiter_lines():
            event = json.loads(line[6:]) if line.startswith("data: {") else {}
            said += [choice["text"] for choice in event.get("choices", [])] + ["error" for _ in event.get("error", [])]
    if answer.status_code == 200 and "".join(said) != asked.text:
        crowd.wrong.append(f"{asked} was streamed as {''.join(said)!r}")


async def leaver(crowd: Crowd, rng: random.Random) -> None:
    body = {**rng.choice(crowd.cases).body, "max_tokens": 200, "stream": rng.random() < 0.5, "n": rng.randint(1, 2)}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(rng.random() * 0.05):
            await crowd.client.post("/v1/completions", json=body)


async def liar(crowd: Crowd, rng: random.Random) -> None:
    lies = (
        {"content": b"{" * rng.randint(1, 10_000), "headers": {"content-type": "application/json"}},
        {"content": rng.randbytes(1000), "headers": {"content-type": "application/json"}},
        {"json": completion(temperature=-1)},
        {"json": completion(model="x" * 1000)},
        {"json": completion(prompt="x" * 300_000)},
        {"json": completion(), "headers": {"host": "evil.example"}},
        {"json": completion(n=10**6)},
    )
    answer = await crowd.client.post("/v1/completions", **rng.choice(lies))
    if not 400 <= answer.status_code < 500:
        crowd.wrong.append(f"a lie got {answer.status_code}: {answer.text[:200]}")


async def staller(crowd: Crowd, rng: random.Random) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", crowd.server.port)
    body = completion(prompt="sky " * 100, max_tokens=200, stream=True, logprobs=20)
    data = post("/v1/completions", body)
    writer.write(data[: rng.randint(1, len(data))])
    await asyncio.sleep(rng.random() * 2)
    writer.close()


CHARACTERS: dict[str, Callable[[Crowd, random.Random], Awaitable[None]]] = {
    "honest": honest,
    "listener": listener,
    "leaver": leaver,
    "liar": liar,
    "staller": staller,
}


# ---- what stays ----


async def until_nothing(left: Callable[[], Any]) -> None:
    """Wait until nothing is left."""
    while left():
        await asyncio.sleep(0.02)


def sample(crowd: Crowd) -> None:
    """What is there while all rest."""
    gc.collect()
    process, requests = psutil.Process(), sum(crowd.seen[name] for name in CHARACTERS)
    taken = sys.getallocatedblocks(), process.memory_info().rss, process.num_fds(), process.num_threads()
    crowd.samples.append(Sample(requests, *taken))
    print(json.dumps({**asdict(crowd.samples[-1]), "wrong": len(crowd.wrong)}), flush=True)


def growth(samples: Sequence[Sample]) -> list[str]:
    """What is more after more requests."""
    warm = samples[int(len(samples) * WARM_UP_SHARE) :]
    requests, blocks, resident, descriptors, threads = np.array([list(asdict(one).values()) for one in warm], float).T
    if len(warm) < 3:
        return ["the run was too short to see growth"]
    asked, faults = requests[-1] - requests[0], []
    blocks_each, bytes_each = (float(np.polyfit(requests, what, 1)[0]) for what in (blocks, resident))
    each = {"blocks_per_request": round(blocks_each, 4), "bytes_per_request": round(bytes_each, 2)}
    print(json.dumps({**each, "requests": int(requests[-1]), "after_warm_up": int(asked)}), flush=True)
    if blocks_each > MOST_BLOCKS_PER_REQUEST:
        faults.append(f"{blocks_each:.2f} objects are kept of each request")
    if bytes_each > MOST_BYTES_PER_REQUEST and bytes_each * asked > MOST_BYTES:
        faults.append(f"memory grows by {bytes_each:.0f} bytes with each request")
    for name, counts in (("descriptors", descriptors), ("threads", threads)):
        if counts[-1] > counts[:-1].max():
            faults.append(f"{name}: {counts.astype(int).tolist()}")
    return faults


def last_words(server: Running, known: Case) -> list[str]:
    """What is wrong when all have gone."""
    faults = []
    if server.engine.running or server.engine.waiting:
        faults.append(f"{server.engine.running} texts still run, {server.engine.waiting} wait")
    canary = httpx.post(server.url + "/v1/completions", json=known.body, timeout=30)
    if canary.status_code != 200 or canary.json()["choices"][0]["text"] != known.text:
        faults.append(f"the canary says {canary.text}")
    return faults


if __name__ == "__main__":
    main()
