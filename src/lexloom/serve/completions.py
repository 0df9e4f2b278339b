"""`/v1/completions`: texts continued."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from lexloom.serve.endpoint import Events
from lexloom.serve.errors import ApiError
from lexloom.serve.gate import Caller
from lexloom.serve.jobs import Job, Piece
from lexloom.serve.models import Served
from lexloom.serve.schema import CompletionRequest
from lexloom.serve.schema_answers import Completion, CompletionChoice, Usage
from lexloom.serve.scores import completion_logprobs
from lexloom.serve.service import Service
from lexloom.serve.threads import aside
from lexloom.serve.writing import Text, jobs_of, pieces_of, prompt_of, reason_of, usage_of, whole_texts

PATH = "/v1/completions"


async def complete(service: Service, request: CompletionRequest, caller: Caller) -> Completion | Events:
    """Continue one text, or several, `n` times each."""
    served = service.model(request.model, PATH)
    given = _prompts(request)
    service.check("texts", len(given), "the number of prompts")
    service.check_texts((prompt for prompt in given if isinstance(prompt, str)), "prompt")
    prompts = await aside(lambda: [prompt_of(served, prompt) for prompt in given])
    jobs = jobs_of(service, served, request, prompts, caller, top=request.logprobs or 0)
    read = sum(map(len, prompts))
    if request.stream:
        return Events(_parts(service, served, request, jobs, caller, read))
    texts = await whole_texts(served.engine, jobs)
    usage = usage_of(service, served, caller, read=read, written=sum(len(text.tokens) for text in texts))
    choices = [_choice(number, text, request, served) for number, text in enumerate(texts)]
    return _completion(served, caller, choices, usage)


def _prompts(request: CompletionRequest) -> Sequence[str | list[int]]:
    """The prompts one by one: a list of ids is one prompt, a list of texts several."""
    prompt = request.prompt
    if prompt == []:
        raise ApiError(400, "there is no prompt", param="prompt", code="invalid_value")
    if isinstance(prompt, str):
        return [prompt]
    if prompt and isinstance(prompt[0], int):
        return [[token for token in prompt if isinstance(token, int)]]
    return [one for one in prompt if not isinstance(one, int)]


def _completion(served: Served, caller: Caller, choices: list[CompletionChoice], usage: Usage | None) -> Completion:
    return Completion(id=f"cmpl-{caller.id}", created=int(time.time()), model=served.name, choices=choices, usage=usage)


def _choice(number: int, text: Text, request: CompletionRequest, served: Served) -> CompletionChoice:
    told = None if request.logprobs is None else completion_logprobs(text.tokens, served.tokenizer, before=0)
    return CompletionChoice(index=number, text=text.text, logprobs=told, finish_reason=text.finish)


async def _parts(
    service: Service, served: Served, request: CompletionRequest, jobs: Sequence[Job], caller: Caller, read: int
) -> AsyncGenerator[Completion]:
    written, shown = 0, [0] * len(jobs)
    started_s = time.perf_counter()
    async with aclosing(pieces_of(served.engine, jobs)) as pieces:
        async for number, piece in pieces:
            if written == 0:
                service.metrics.first_token(served.name, time.perf_counter() - started_s)
            written += len(piece.tokens)
            if piece.text or piece.finish or request.logprobs is not None:
                choice = _part(number, piece, request, served, shown[number])
                yield _completion(served, caller, [choice], None)
            shown[number] += len(piece.text)
    usage = usage_of(service, served, caller, read=read, written=written)
    if request.stream_options is not None and request.stream_options.include_usage:
        yield _completion(served, caller, [], usage)


def _part(number: int, piece: Piece, request: CompletionRequest, served: Served, before: int) -> CompletionChoice:
    told = None if request.logprobs is None else completion_logprobs(piece.tokens, served.tokenizer, before=before)
    return CompletionChoice(index=number, text=piece.text, logprobs=told, finish_reason=reason_of(piece))
