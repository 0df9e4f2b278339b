"""Examples of many requests, answered together."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lexloom.base.errors import UserError
from lexloom.serve.jobs import Busy, EngineFailed
from lexloom.serve.mailbox import Mailbox

Function = Callable[[Sequence[Any]], Sequence[Any]]

BATCH_EXAMPLES = 64
"""Examples computed in one turn; more would keep texts that are being written waiting."""
FOREVER = float("inf")


class Batches:
    """What waits to be answered by functions of examples; equal functions answer together.

    Who comes first waits `gather_s` for company, unless the thread is busy anyway. A function sorts by length itself
    (tasks/predict.py).
    """

    def __init__(self, most_jobs: int, gather_s: float, clock: Callable[[], float]) -> None:
        self._most_jobs, self._gather_s, self._clock = most_jobs, gather_s, clock
        self._lock = threading.Lock()
        self._jobs: list[_Job] = []
        self.running = 0

    @property
    def waiting(self) -> int:
        """Jobs of which nothing is answered yet."""
        return max(0, len(self._jobs) - self.running)

    def add(self, function: Function, examples: Sequence[Any], mailbox: Mailbox[list[Any]]) -> None:
        """Let `function` answer the examples; the answers come as one list into the mailbox. Raises Busy."""
        with self._lock:
            if len(self._jobs) >= self._most_jobs:
                raise Busy("too many requests are waiting already", fix="Try again in a moment.")
            self._jobs.append(_Job(function, list(examples), mailbox, self._clock()))

    def work(self, *, idle: bool) -> float | None:
        """Answer one batch; None if one was answered, else the seconds until one is due."""
        with self._lock:
            self._jobs = [job for job in self._jobs if not job.mailbox.closed]
            if not self._jobs:
                return FOREVER
            left_s = self._jobs[0].since_s + self._gather_s - self._clock()
            waiting = sum(len(job.left) for job in self._jobs)
            if idle and left_s > 0 and waiting < BATCH_EXAMPLES:
                return left_s
            together = _together(self._jobs)
            self.running = len(together)
        self._answer(together)
        with self._lock:
            self._jobs = [job for job in self._jobs if not job.done]
            self.running = 0
        return None

    def fail(self, why: str) -> None:
        """Tell all who wait that nothing comes any more."""
        with self._lock:
            jobs, self._jobs = self._jobs, []
        for job in jobs:
            job.mailbox.put(EngineFailed(why))

    def _answer(self, together: "list[tuple[_Job, int]]") -> None:
        function = together[0][0].function
        examples = [example for job, count in together for example in job.left[:count]]
        try:
            answers = list(function(examples))
            assert len(answers) == len(examples), f"{len(answers)} answers to {len(examples)} examples"
        except Exception as error:
            if len(together) > 1:  # only one of them may be to blame
                for one in together:
                    self._answer([one])
            else:
                together[0][0].end(error if isinstance(error, UserError) else _failed(error))
            return
        for job, count in together:
            job.take(answers[:count])
            del answers[:count]


@dataclass(eq=False)
class _Job:
    function: Function
    examples: list[Any]
    mailbox: Mailbox[list[Any]]
    since_s: float
    answers: list[Any] = field(default_factory=list)
    done: bool = False

    @property
    def left(self) -> list[Any]:
        return self.examples[len(self.answers) :]

    def take(self, answers: Sequence[Any]) -> None:
        self.answers += answers
        if len(self.answers) == len(self.examples):
            self.done = True
            self.mailbox.put(self.answers)

    def end(self, error: Exception) -> None:
        self.done = True
        self.mailbox.put(error)


def _together(jobs: Sequence[_Job]) -> list[tuple[_Job, int]]:
    """The jobs that go with the first one, and how many examples of each."""
    found, room = [], BATCH_EXAMPLES
    for job in jobs:
        count = min(room, len(job.left))
        if job.function == jobs[0].function and (count or not job.examples):
            found.append((job, count))
            room -= count
    return found


def _failed(error: Exception) -> EngineFailed:
    failed = EngineFailed("the model failed")
    failed.__cause__ = error
    return failed
