"""Texts written by an engine for one request: several at a time, whole or piece by piece."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from lexloom.base.rng import seed_for
from lexloom.generate.prompts import check_ids, prompt_ids, reply_tokens
from lexloom.generate.settings import MAX_SEED, SamplingSettings
from lexloom.serve.errors import ApiError
from lexloom.serve.formats import constraint_of
from lexloom.serve.gate import Caller
from lexloom.serve.jobs import Engine, EngineFailed, Job, Piece, TokenScore
from lexloom.serve.models import Served, Speaker, speaker_of
from lexloom.serve.schema import Writing
from lexloom.serve.schema_answers import Reason, Usage
from lexloom.serve.service import Service

PIECES_AHEAD = 32
"""Pieces of one request that may wait to be sent; beyond them a slow reader holds up nobody but itself."""


@dataclass
class Text:
    """A text that grows."""

    parts: list[str] = field(default_factory=list)
    tokens: list[TokenScore] = field(default_factory=list)
    finish: Reason = "length"

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.parts)


def prompt_of(served: Served, given: str | Sequence[int]) -> tuple[int, ...]:
    """The tokens of a prompt; raises UserError for what isn't an id of the model."""
    if isinstance(given, str):
        return tuple(prompt_ids(given, served.tokenizer, opening=speaker_of(served).opening))
    if not given:
        raise ApiError(400, "the prompt has no ids", param="prompt", code="invalid_value")
    check_ids(given, speaker_of(served).vocab_size)
    return tuple(given)


def jobs_of(
    service: Service,
    served: Served,
    request: Writing,
    prompts: Sequence[tuple[int, ...]],
    caller: Caller,
    *,
    top: int,
    more_stops: tuple[str, ...] = (),
    more_ends: tuple[int, ...] = (),
) -> list[Job]:
    """`n` jobs for each prompt, the first one just as it would be alone. Raises ApiError and UserError."""
    service.check("choices", len(prompts) * request.n, "prompts × n")
    service.check("top_logprobs", top, "logprobs")
    service.check("reply_tokens", request.max_tokens or 0, "max_tokens")
    speaker, constraint = speaker_of(served), constraint_of(service, request.response_format)
    jobs = []
    for prompt in prompts:
        for number in range(request.n):
            settings = request.sampling(more_stops=more_stops, seed=_seed(request.seed, number))
            jobs.append(
                Job(
                    prompt_ids=prompt,
                    settings=_with_length(settings, len(prompt), speaker, service),
                    end_ids=tuple(dict.fromkeys((*speaker.end_ids, *more_ends))),
                    top_logprobs=top,
                    constraint=constraint,
                    owner=caller.owner,
                    deadline_s=service.settings.limits.deadline_s,
                )
            )
    return jobs


def _seed(seed: int | None, number: int) -> int | None:
    return seed if seed is None or number == 0 else seed_for("choice", seed, number) % MAX_SEED


def _with_length(
    settings: SamplingSettings, prompt_tokens: int, speaker: Speaker, service: Service
) -> SamplingSettings:
    """With the length that the reply gets if none is given. Raises ContextFull, which tells the three numbers."""
    wanted = reply_tokens(prompt_tokens, settings, speaker.context)
    return settings.model_copy(update={"max_tokens": min(wanted, service.settings.limits.reply_tokens)})


async def pieces_of(engine: Engine, jobs: Sequence[Job]) -> AsyncGenerator[tuple[int, Piece]]:
    """The pieces of all jobs as they come, with their jobs' numbers; closing it takes all of them off."""
    ready: asyncio.Queue[tuple[int, Piece | Exception]] = asyncio.Queue(PIECES_AHEAD)
    tasks = [asyncio.create_task(_follow(engine, number, job, ready)) for number, job in enumerate(jobs)]
    left = len(jobs)
    try:
        while left:
            number, piece = await ready.get()
            if isinstance(piece, Exception):
                raise piece
            left -= piece.finish is not None
            yield number, piece
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _follow(engine: Engine, number: int, job: Job, ready: "asyncio.Queue[tuple[int, Piece | Exception]]") -> None:
    try:
        async with aclosing(engine.generate(job)) as pieces:
            async for piece in pieces:
                await ready.put((number, piece))
                if piece.finish is not None:
                    return
        raise EngineFailed("the model's engine gave no end")
    except Exception as error:
        await ready.put((number, error))


async def whole_texts(engine: Engine, jobs: Sequence[Job]) -> list[Text]:
    """All texts, when all are complete."""
    texts = [Text() for _ in jobs]
    async with aclosing(pieces_of(engine, jobs)) as pieces:
        async for number, piece in pieces:
            text = texts[number]
            text.parts.append(piece.text)
            text.tokens += piece.tokens
            text.finish = reason_of(piece) or text.finish
    return texts


def reason_of(piece: Piece) -> Reason | None:
    """Why a text ended, in OpenAI's words; None: it goes on."""
    if piece.finish is None:
        return None
    return "length" if piece.finish == "length" else "stop"


def usage_of(service: Service, served: Served, caller: Caller, *, read: int, written: int) -> Usage:
    """The tokens of a request, which are also noted in metrics and log."""
    service.metrics.tokens(served.name, read=read, written=written)
    caller.facts.update(model=served.name, read=read, written=written)
    return Usage(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)
