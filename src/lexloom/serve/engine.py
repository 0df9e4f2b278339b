"""A model at work for many clients: texts continued together as they come and go, examples answered in batches.

The event loop hands jobs over and takes pieces; everything that computes happens in the worker's thread.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from lexloom.base.errors import UserError
from lexloom.generate.continuous import Continuous, Failed, Step
from lexloom.generate.guide import Guide
from lexloom.generate.prefixes import PrefixCache
from lexloom.generate.sampling import BrokenScores
from lexloom.generate.text import TextWriter
from lexloom.serve.batches import Batches
from lexloom.serve.jobs import Busy, DeadlineExceeded, EngineFailed, Job, Piece, TokenScore
from lexloom.serve.mailbox import Mailbox
from lexloom.serve.worker import Worker
from lexloom.text.stream import TextStream, token_bytes
from lexloom.text.tokenizers import Tokenizer

SLOTS = 16
QUEUE_JOBS = 64
PREFIX_BYTES = 256 * 2**20
GATHER_S = 0.003
FOREVER = float("inf")


class Engine:
    """One model in a worker's thread.

    Of texts, `slots` are continued at a time, of at most `tokens` tokens in all (prompts and replies; None: no bound);
    `queue_jobs` wait, the rest is refused as Busy. Who has the least running is served first, and where the queue is
    full, who waits with most makes place for who waits with less. `prefix_bytes` of what an owner's prompts begin with
    are remembered for the same owner. Examples for `run` are gathered for `gather_s`.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Tokenizer,
        worker: Worker,
        *,
        slots: int = SLOTS,
        tokens: int | None = None,
        queue_jobs: int = QUEUE_JOBS,
        prefix_bytes: int = PREFIX_BYTES,
        gather_s: float = GATHER_S,
    ) -> None:
        self._tokenizer, self._worker = tokenizer, worker
        self._queue_jobs = queue_jobs
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._queue: list[_Request] = []
        self._working: dict[int, _Request] = {}
        self._turns: Counter[str] = Counter()  # when a job of each waiting owner was begun last, in the same count
        prefixes = PrefixCache(prefix_bytes) if prefix_bytes else None
        self._texts = Continuous(model, slots=slots, tokens=tokens, prefixes=prefixes)
        self._batches = Batches(queue_jobs, gather_s, worker.clock)
        self._closed: str | None = None
        worker.add(self)

    @property
    def failure(self) -> str | None:
        """Why it can't work any more; None: it can."""
        return self._closed if self._closed is not None else self._worker.failure

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return len(self._queue) + self._batches.waiting

    @property
    def running(self) -> int:
        """Jobs that are being worked on."""
        return len(self._working) + self._batches.running

    async def generate(self, job: Job) -> AsyncGenerator[Piece]:
        """The pieces of a job; closing the iterator takes the job off within two steps.

        A reader that is slower than the model gets several tokens in a piece. Raises Busy, DeadlineExceeded,
        EngineFailed, and UserError for what the job asks.
        """
        guide = None if job.constraint is None else await asyncio.to_thread(job.constraint.start, self._tokenizer)
        request = self._enqueue(job, guide)
        try:
            while True:
                piece = _joined(await request.mailbox.take())
                yield piece
                if piece.finish is not None:
                    return
        finally:
            request.mailbox.closed = True
            self._worker.wake()

    async def run(self, function: Callable[[Sequence[Any]], Sequence[Any]], examples: Sequence[Any]) -> list[Any]:
        """What `function` gives for each example, in batches with others' examples of the same function.

        Raises Busy, EngineFailed, and the UserError that the function raises for these examples.
        """
        self._check_alive()
        batch: Mailbox[list[Any]] = Mailbox(lambda: self.failure)
        self._batches.add(function, examples, batch)
        self._worker.wake()
        try:
            [answers] = await batch.take()
            return answers
        finally:
            batch.closed = True

    def close(self) -> None:
        """Work no more; what runs and waits ends with EngineFailed."""
        self._closed = "the engine is closed"
        self._worker.remove(self)
        self.fail(self._closed)

    # ---- in the worker's thread ----

    def turn(self) -> float | None:
        """One pass through the model, and one batch of examples if one is due."""
        self._take_off()
        self._let_in()
        for made in self._texts.step():
            self._deliver(made)
        wait_s = self._batches.work(idle=not self._working)
        return None if self._working or wait_s is None else wait_s

    def fail(self, why: str) -> None:
        """Tell all who wait that nothing comes any more."""
        with self._lock:
            everyone = [*self._queue, *self._working.values()]
            self._queue, self._working = [], {}
        for request in everyone:
            request.mailbox.put(EngineFailed(why))
        self._batches.fail(why)

    def _enqueue(self, job: Job, guide: Guide | None) -> "_Request":
        self._check_alive()
        now_s = self._worker.clock()
        until_s = FOREVER if job.deadline_s is None else now_s + job.deadline_s
        writer = TextWriter(TextStream(self._tokenizer), job.settings.stop)
        request = _Request(next(self._numbers), job, guide, until_s, writer, Mailbox(lambda: self.failure))
        with self._lock:
            self._queue = [one for one in self._queue if not one.mailbox.closed]
            if len(self._queue) >= self._queue_jobs:
                self._make_place(job.owner)
            self._queue.append(request)
        self._worker.wake()
        return request

    def _make_place(self, owner: str) -> None:
        """Refuse the newest job of the owner who waits with most; Busy if that wouldn't be fairer."""
        waiting = Counter(one.job.owner for one in self._queue)
        most, jobs = max(waiting.items(), key=lambda one: one[1])
        if jobs <= waiting[owner] + 1:
            raise _busy()
        refused = next(one for one in reversed(self._queue) if one.job.owner == most)
        self._queue.remove(refused)
        refused.mailbox.put(_busy())

    def _check_alive(self) -> None:
        if self.failure is not None:
            raise EngineFailed(self.failure)

    def _take_off(self) -> None:
        """End what nobody waits for any more, or what took too long."""
        now_s = self._worker.clock()
        for ticket, request in list(self._working.items()):
            if request.mailbox.closed or now_s > request.until_s:
                self._texts.leave(ticket)
                self._end(ticket, _late(request.job))
        with self._lock:
            late = [one for one in self._queue if now_s > one.until_s]
            self._queue = [one for one in self._queue if not one.mailbox.closed and now_s <= one.until_s]
        for request in late:
            request.mailbox.put(_late(request.job))

    def _let_in(self) -> None:
        """Begin the job of whom the least is running, or else of who has waited longest, as long as there is room."""
        running = Counter(request.job.owner for request in self._working.values())
        self._turns = Counter({one.job.owner: self._turns[one.job.owner] for one in self._queue})
        while True:
            with self._lock:
                if not self._queue:
                    return
                request = min(self._queue, key=lambda one: self._rank(one, running))
                try:
                    if not self._texts.has_room(len(request.job.prompt_ids), request.job.settings):
                        return
                    self._begin(request)
                    running[request.job.owner] += 1
                    self._turns[request.job.owner] = next(self._numbers)
                except UserError as error:
                    request.mailbox.put(error)
                self._queue.remove(request)

    def _rank(self, request: "_Request", running: Counter[str]) -> tuple[int, int, int]:
        owner = request.job.owner
        return running[owner], self._turns[owner], request.number

    def _begin(self, request: "_Request") -> None:
        job = request.job
        ticket = self._texts.join(
            job.prompt_ids,
            job.settings,
            eos_ids=job.end_ids,
            stop=request.write,
            guide=request.guide,
            top=job.top_logprobs,
            owner=job.owner,
        )
        self._working[ticket] = request

    def _deliver(self, made: Step | Failed) -> None:
        request = self._working[made.ticket]
        if isinstance(made, Failed):
            self._end(made.ticket, _as_told(made.error))
            return
        text = request.writer.take() if made.finish is None else request.writer.finish()
        token = TokenScore(made.id, token_bytes(self._tokenizer, made.id), made.log_probability, made.top)
        if made.finish is None:
            request.mailbox.put(Piece(text, (token,), None))
        else:
            self._end(made.ticket, Piece(text, (token,), made.finish))

    def _end(self, ticket: int, last: Piece | Exception) -> None:
        with self._lock:
            request = self._working.pop(ticket)
        request.mailbox.put(last)


@dataclass(eq=False)
class _Request:
    """A job on its way."""

    number: int
    job: Job
    guide: Guide | None
    until_s: float
    """When it must be done, by the worker's clock."""
    writer: TextWriter
    mailbox: Mailbox[Piece]
    ends: frozenset[int] = field(init=False)

    def __post_init__(self) -> None:
        self.ends = frozenset(self.job.end_ids)

    def write(self, token: int) -> bool:
        """Add a token to the text; whether a stop string is complete."""
        return token not in self.ends and self.writer.push(token)


def _joined(pieces: Sequence[Piece]) -> Piece:
    if len(pieces) == 1:
        return pieces[0]
    tokens = tuple(token for piece in pieces for token in piece.tokens)
    return Piece("".join(piece.text for piece in pieces), tokens, pieces[-1].finish)


def _busy() -> Busy:
    return Busy("too many requests are waiting already", fix="Try again in a moment.")


def _late(job: Job) -> DeadlineExceeded:
    return DeadlineExceeded(f"the reply took longer than the {job.deadline_s} s that it was given")


def _as_told(error: Exception) -> Exception:
    """What a client is told: its own mistake as it is, ours by its name."""
    if isinstance(error, UserError) and not isinstance(error, BrokenScores):
        return error
    failed = EngineFailed(f"the model failed: {error}" if isinstance(error, UserError) else "the model failed")
    failed.__cause__ = error
    return failed
