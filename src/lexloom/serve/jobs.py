"""What the server asks of an engine, and what it gets back; without torch, so that the gate can speak of it."""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from lexloom.base.errors import UserError
from lexloom.generate.settings import SamplingSettings

Finish = Literal["eos", "stop", "length"]


@dataclass(frozen=True, slots=True)
class Job:
    """A text to be continued."""

    prompt_ids: tuple[int, ...]
    settings: SamplingSettings
    """With its stop strings."""
    end_ids: tuple[int, ...] = ()
    """Tokens that end the text, such as the tokenizer's eos and the chat format's end."""
    top_logprobs: int = 0
    """How many of the most probable tokens are told of beside each that was chosen."""
    constraint: Any = None
    """A `generate.constraints.Constraint`; None: any token may be chosen."""
    owner: str = ""
    """Whose prompt it is: what is kept of one owner's prompt never serves another's."""
    deadline_s: float | None = None
    """Seconds after which it ends with DeadlineExceeded, the time in the queue included."""


@dataclass(frozen=True, slots=True)
class TokenScore:
    """A token that was chosen, and what else could have been."""

    id: int
    text_bytes: bytes
    log_probability: float
    top: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text that is ready to be shown; the pieces of a job together are its whole text."""

    text: str
    tokens: tuple[TokenScore, ...]
    finish: Finish | None


class Busy(UserError):
    """The queue is full; nothing was begun."""


class DeadlineExceeded(UserError):
    """A job took longer than it was given."""


class EngineFailed(UserError):
    """The engine's thread has died, or this job of it failed by no fault of the client."""


class Engine(Protocol):
    """The part of an engine that the server uses, see `serve.engine.Engine`."""

    @property
    def failure(self) -> str | None:
        """Why it can't work any more; None: it can."""
        ...

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        ...

    @property
    def running(self) -> int:
        """Jobs that are being worked on."""
        ...

    def generate(self, job: Job) -> AsyncGenerator[Piece]:
        """The pieces of a job; closing the iterator takes the job off within two steps.

        Raises Busy, DeadlineExceeded, EngineFailed, and UserError for what the job asks.
        """
        ...

    async def run(self, function: Callable[[Sequence[Any]], Sequence[Any]], examples: Sequence[Any]) -> list[Any]:
        """What `function` gives for each example, in batches with others' examples of the same function."""
        ...

    def close(self) -> None:
        """Stop the thread; what runs ends with EngineFailed."""
        ...
