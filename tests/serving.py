"""A server without a real model: a scripted engine behind the real gate, routes and schemas."""

import asyncio
import io
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import cache
from typing import Any, TextIO

from starlette.testclient import TestClient

from lexloom.base.errors import UserError
from lexloom.serve.app import app
from lexloom.serve.gate import Gate
from lexloom.serve.jobs import Busy, EngineFailed, Job, Piece, TokenScore
from lexloom.serve.log import Log
from lexloom.serve.models import Served, Speaker
from lexloom.serve.schema_answers import Model
from lexloom.serve.settings import ServeSettings
from lexloom.text.chat import CHAT_FORMATS
from lexloom.text.stream import TextStream, token_bytes
from lexloom.text.tokenizers import Tokenizer
from tests.chatting import speaker_tokenizer

NAME = "fake"
CONTEXT = 512
LOCAL = "http://localhost"
ROUTES = ["/v1/completions", "/v1/chat/completions", "/v1/classify", "/tokenize", "/detokenize"]


class FakeEngine:
    """Copies a job's prompt, token by token; hooks let it wait, fail, or say something else.

    It keeps what the protocol promises: a bounded queue, jobs that end when their iterator is closed.
    """

    def __init__(self, tokenizer: Tokenizer, *, slots: int = 8, queue: int = 8, step_s: float = 0.0) -> None:
        self.tokenizer = tokenizer
        self.slots, self.queue, self.step_s = slots, queue, step_s
        self.failure: str | None = None
        self.before_step: Callable[[Job, int], None] = lambda job, step: None
        self.steps = 0
        self.running = 0
        self.waiting = 0
        self.jobs: list[Job] = []
        self._room = asyncio.Semaphore(slots)

    async def generate(self, job: Job) -> AsyncGenerator[Piece]:
        if self.failure is not None:
            raise EngineFailed(self.failure)
        if self._room.locked() and self.waiting >= self.queue:
            raise Busy("the queue is full")
        self.waiting += 1
        try:
            await self._room.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        try:
            async for piece in self._pieces(job):
                yield piece
        finally:
            self.running -= 1
            self._room.release()

    async def _pieces(self, job: Job) -> AsyncGenerator[Piece]:
        self.jobs.append(job)
        most = job.settings.max_tokens
        assert most is not None, "the server says how long a text may become"
        tokens = list(job.prompt_ids)[:most]
        stream = TextStream(self.tokenizer)
        for step, token in enumerate(tokens, start=1):
            await asyncio.sleep(self.step_s)
            if self.failure is not None:
                raise EngineFailed(self.failure)
            self.before_step(job, step)
            self.steps += 1
            score = TokenScore(token, token_bytes(self.tokenizer, token), -0.5, ((token, -0.5),) * job.top_logprobs)
            finish = None if step < len(tokens) else "length" if len(tokens) == most else "eos"
            yield Piece(stream.push(token) + (stream.flush() if finish else ""), (score,), finish)

    async def run(self, function: Callable[[Sequence[Any]], Sequence[Any]], examples: Sequence[Any]) -> list[Any]:
        await asyncio.sleep(self.step_s)
        return list(function(examples))

    def close(self) -> None:
        self.failure = "the server is ending"


@cache
def fake_tokenizer() -> Tokenizer:
    return speaker_tokenizer()


def fake_model(engine: Any = None, *, name: str = NAME, context: int = CONTEXT) -> Served:
    tokenizer = fake_tokenizer()
    eos = tokenizer.eos_id
    assert eos is not None
    about = Model(
        id=name, created=0, kind="decoder", family="fake", task=None, labels=[], context=context, parameters=0,
        routes=ROUTES[:2] + ROUTES[3:],
    )  # fmt: skip
    speaker = Speaker((), (eos,), context, tokenizer.vocab_size, CHAT_FORMATS["plain"])
    return Served(name, about, FakeEngine(tokenizer) if engine is None else engine, tokenizer, speaker)


def fake_app(
    engine: Any = None, *, settings: ServeSettings | None = None, log: TextIO | None = None, **more: Any
) -> Gate:
    """The whole application around one fake model."""
    chosen = ServeSettings() if settings is None else settings
    served = fake_model(engine)
    books = Log(io.StringIO() if log is None else log, prompts=chosen.log_prompts)
    return app({served.name: served}, chosen, log=books, **more)


def client_of(application: Any, key: str | None = None, **options: Any) -> TestClient:
    """A client in this process that calls itself local."""
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    return TestClient(application, base_url=LOCAL, headers=headers, **options)


def completion(**fields: Any) -> dict[str, Any]:
    """A request's fields."""
    return {"model": NAME, "prompt": "What is the sky?", "max_tokens": 4, **fields}


def conversation(**fields: Any) -> dict[str, Any]:
    """A request's fields."""
    return {"model": NAME, "messages": [{"role": "user", "content": "What is snow?"}], "max_tokens": 4, **fields}


def events_of(text: str) -> list[Any]:
    """The events of a stream, the last mark left out."""
    data = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    return [json.loads(one) for one in data if one != "[DONE]"]


def error_of(response: Any) -> Mapping[str, Any]:
    """OpenAI's error object."""
    error: Mapping[str, Any] = response.json()["error"]
    return error


class Refused(UserError):
    """What a fake engine may raise."""
