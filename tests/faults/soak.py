"""S13: clients that join, stall, leave and lie, for minutes; nothing may grow, and no answer may be wrong.

python tests/faults/soak.py --minutes 10

Prints a JSON line now and then and a verdict at the end; exits with 1 where memory, descriptors or threads have grown,
an answer was wrong, or the server doesn't answer at the end. The model is a fake that copies its prompt.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx2 as httpx
import numpy as np
import psutil

from tests.listening import Running, post, running
from tests.serving import FakeEngine, completion, conversation, fake_tokenizer

CLIENTS = 24
WARM_UP_SHARE = 0.5
"""Of the time, in which caches fill; growth is measured after it."""
MOST_BYTES_PER_REQUEST = 64.0
"""Growth of resident memory; a kept request would be thousands."""
LEAST_REQUESTS = 5_000
"""After the warm-up, for growth to be judged: before, pools and caches still fill (a run of a minute is too short)."""
WORDS = ("sky", "snow", "grass", "天空", "雪", "草")


@dataclass
class Tally:
    """What has happened so far."""

    seen: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    samples: list[tuple[int, int, int, int]] = field(default_factory=list)
    """(requests, resident bytes, descriptors, threads)"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(json.dumps({"seed": options.seed, "minutes": options.minutes}), flush=True)
    engine = FakeEngine(fake_tokenizer(), slots=8, queue=16, step_s=0.0005)
    limits = {"send_s": 2.0, "header_s": 3.0, "body_s": 2.0, "deadline_s": 120.0, "connections": 200}
    with running(engine, **limits) as server:
        tally = asyncio.run(soak(server, 60 * options.minutes, options.seed))
        faults = verdict(server, tally)
    print(json.dumps({"seen": tally.seen, "faults": faults}, ensure_ascii=False))
    sys.exit(bool(faults))


async def soak(server: Running, seconds: float, seed: int) -> Tally:
    tally, until = Tally(), time.monotonic() + seconds
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        people = [person(server, client, tally, random.Random(f"{seed} {number}"), until) for number in range(CLIENTS)]
        watcher = asyncio.create_task(watch(server, tally, seconds))
        await asyncio.gather(*people)
        watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watcher
        await asyncio.sleep(3.5)  # what stalls is cut off by then
        sample(tally)
    return tally


async def person(server: Running, client: httpx.AsyncClient, tally: Tally, rng: random.Random, until: float) -> None:
    """One client after another on the same seat, each of some character."""
    while time.monotonic() < until:
        name = rng.choice(list(CHARACTERS))
        try:
            await CHARACTERS[name](server, client, tally, rng)
        except (httpx.HTTPError, ConnectionError, asyncio.IncompleteReadError) as error:
            tally.seen[f"{name}: {type(error).__name__}"] += 1
        tally.seen[name] += 1


async def honest(server: Running, client: httpx.AsyncClient, tally: Tally, rng: random.Random) -> None:
    text = " ".join(rng.choices(WORDS, k=rng.randint(1, 30)))
    answer = await client.post("/v1/completions", json=completion(prompt=text, max_tokens=200))
    tally.seen[str(answer.status_code)] += 1
    if answer.status_code == 200 and answer.json()["choices"][0]["text"] != text:
        tally.wrong.append(f"{text!r} became {answer.text!r}")
    elif answer.status_code not in (200, 429):
        tally.wrong.append(f"{answer.status_code}: {answer.text}")


async def listener(server: Running, client: httpx.AsyncClient, tally: Tally, rng: random.Random) -> None:
    text = " ".join(rng.choices(WORDS, k=rng.randint(1, 30)))
    body = completion(prompt=text, max_tokens=200, stream=True)
    said = []
    async with client.stream("POST", "/v1/completions", json=body) as answer:
        async for line in answer.aiter_lines():
            event = json.loads(line[6:]) if line.startswith("data: {") else {}
            said += [choice["text"] for choice in event.get("choices", [])] + ["error" for _ in event.get("error", [])]
    if answer.status_code == 200 and "".join(said) != text:
        tally.wrong.append(f"{text!r} was streamed as {''.join(said)!r}")


async def leaver(server: Running, client: httpx.AsyncClient, tally: Tally, rng: random.Random) -> None:
    body = conversation(messages=[{"role": "user", "content": "snow " * 60}], max_tokens=200, stream=rng.random() < 0.5)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(rng.random() * 0.05):
            await client.post("/v1/chat/completions", json=body)


async def liar(server: Running, client: httpx.AsyncClient, tally: Tally, rng: random.Random) -> None:
    lies = (
        {"content": b"{" * rng.randint(1, 10_000), "headers": {"content-type": "application/json"}},
        {"content": rng.randbytes(1000), "headers": {"content-type": "application/json"}},
        {"json": completion(temperature=-1)},
        {"json": completion(model="x" * 1000)},
        {"json": completion(prompt="x" * 300_000)},
        {"json": completion(), "headers": {"host": "evil.example"}},
        {"json": completion(n=10**6)},
    )
    answer = await client.post("/v1/completions", **rng.choice(lies))
    if not 400 <= answer.status_code < 500:
        tally.wrong.append(f"a lie got {answer.status_code}: {answer.text[:200]}")


async def staller(server: Running, client: httpx.AsyncClient, tally: Tally, rng: random.Random) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    data = post("/v1/completions", completion(prompt="sky " * 100, max_tokens=200, stream=True, logprobs=20))
    writer.write(data[: rng.randint(1, len(data))])
    await asyncio.sleep(rng.random() * 2)
    writer.close()


CHARACTERS: dict[str, Callable[[Running, httpx.AsyncClient, Tally, random.Random], Awaitable[None]]] = {
    "honest": honest,
    "listener": listener,
    "leaver": leaver,
    "liar": liar,
    "staller": staller,
}


async def watch(server: Running, tally: Tally, seconds: float) -> None:
    while True:
        await asyncio.sleep(max(1.0, seconds / 60))
        server.log.seek(0)
        server.log.truncate()
        server.engine.jobs.clear()
        sample(tally)
        requests, resident, descriptors, threads = tally.samples[-1]
        facts = {"requests": requests, "mb": round(resident / 2**20, 1), "descriptors": descriptors, "threads": threads}
        print(json.dumps({**facts, "wrong": len(tally.wrong)}), flush=True)


def sample(tally: Tally) -> None:
    gc.collect()
    process = psutil.Process()
    requests = sum(tally.seen[name] for name in CHARACTERS)
    tally.samples.append((requests, process.memory_info().rss, process.num_fds(), process.num_threads()))


def verdict(server: Running, tally: Tally) -> list[str]:
    """All that isn't as it should be."""
    faults = list(tally.wrong[:5])
    warm = tally.samples[int(len(tally.samples) * WARM_UP_SHARE) :]
    requests, resident, descriptors, threads = np.array(warm, float).T
    if len(warm) > 2 and requests[-1] > requests[0]:
        slope = float(np.polyfit(requests, resident, 1)[0])
        print(json.dumps({"bytes_per_request": round(slope, 2), "requests": int(requests[-1])}))
        if slope > MOST_BYTES_PER_REQUEST and requests[-1] - requests[0] >= LEAST_REQUESTS:
            faults.append(f"memory grows by {slope:.0f} bytes with each request")
    if descriptors[-1] > descriptors[:-1].max(initial=0) or threads[-1] > threads[:-1].max(initial=0):
        faults.append(f"descriptors {descriptors.tolist()}, threads {threads.tolist()}")
    if server.engine.running or server.engine.waiting:
        faults.append(f"{server.engine.running} texts still run, {server.engine.waiting} wait")
    canary = httpx.post(server.url + "/v1/completions", json=completion(), timeout=30)
    if canary.status_code != 200 or canary.json()["choices"][0]["text"] != "What is the sky":
        faults.append(f"the canary says {canary.text}")
    return faults


if __name__ == "__main__":
    main()
