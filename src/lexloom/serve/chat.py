"""`/v1/chat/completions`: conversations answered."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from lexloom.serve.endpoint import Events
from lexloom.serve.errors import ApiError
from lexloom.serve.gate import Caller
from lexloom.serve.jobs import Job, TokenScore
from lexloom.serve.models import Served, speaker_of
from lexloom.serve.schema import ChatMessage, ChatRequest
from lexloom.serve.schema_answers import (
    AssistantMessage,
    ChatChoice,
    ChatChunk,
    ChatChunkChoice,
    ChatCompletion,
    ChatLogprobs,
    Delta,
    Usage,
)
from lexloom.serve.scores import chat_logprobs
from lexloom.serve.service import Service
from lexloom.serve.threads import aside
from lexloom.serve.writing import Text, jobs_of, pieces_of, reason_of, usage_of, whole_texts
from lexloom.text.chat import ChatFormat, Message

PATH = "/v1/chat/completions"


async def chat(service: Service, request: ChatRequest, caller: Caller) -> ChatCompletion | Events:
    """Answer a conversation, `n` times."""
    served = service.model(request.model, PATH)
    request = _with_one_length(request)
    form, messages = _format(served), _messages(service, request)
    prompt = await aside(lambda: tuple(form.encode(messages, served.tokenizer, reply=True)[0]))
    ends = tuple(form.end_ids(served.tokenizer))
    top = _top(request)
    jobs = jobs_of(service, served, request, [prompt], caller, top=top, more_stops=form.stop, more_ends=ends)
    if request.stream:
        return Events(_chunks(service, served, request, jobs, caller, len(prompt)))
    texts = await whole_texts(served.engine, jobs)
    usage = usage_of(service, served, caller, read=len(prompt), written=sum(len(text.tokens) for text in texts))
    return ChatCompletion(
        id=_id(caller),
        created=int(time.time()),
        model=served.name,
        choices=[_choice(number, text, request, served) for number, text in enumerate(texts)],
        usage=usage,
    )


def _format(served: Served) -> ChatFormat:
    form = speaker_of(served).chat
    assert form is not None, "the table of routes sends only models with a chat format here"
    return form


def _messages(service: Service, request: ChatRequest) -> list[Message]:
    service.check("messages", len(request.messages), "the number of messages")
    service.check_together([message.text for message in request.messages], "messages")
    return [_message(message) for message in request.messages]


def _message(message: ChatMessage) -> Message:
    return Message("system" if message.role == "developer" else message.role, message.text)


def _with_one_length(request: ChatRequest) -> ChatRequest:
    newer, older = request.max_completion_tokens, request.max_tokens
    if newer is None:
        return request
    if older is not None and older != newer:
        message = "max_tokens and max_completion_tokens are two names of one number, and differ"
        raise ApiError(400, message, param="max_completion_tokens", code="invalid_value")
    return request.model_copy(update={"max_tokens": newer})


def _top(request: ChatRequest) -> int:
    if request.top_logprobs is not None and not request.logprobs:
        raise ApiError(400, "top_logprobs needs logprobs", param="top_logprobs", code="invalid_value")
    return request.top_logprobs or 0


def _choice(number: int, text: Text, request: ChatRequest, served: Served) -> ChatChoice:
    return ChatChoice(
        index=number,
        message=AssistantMessage(content=text.text),
        logprobs=_told(text.tokens, request, served),
        finish_reason=text.finish,
    )


def _told(tokens: Sequence[TokenScore], request: ChatRequest, served: Served) -> ChatLogprobs | None:
    return chat_logprobs(tokens, served.tokenizer) if request.logprobs else None


async def _chunks(
    service: Service, served: Served, request: ChatRequest, jobs: Sequence[Job], caller: Caller, read: int
) -> AsyncGenerator[ChatChunk]:
    written, begun = 0, set[int]()
    started_s = time.perf_counter()
    async with aclosing(pieces_of(served.engine, jobs)) as pieces:
        async for number, piece in pieces:
            if not begun:
                service.metrics.first_token(served.name, time.perf_counter() - started_s)
            if number not in begun:
                begun.add(number)
                yield _chunk(served, caller, ChatChunkChoice(index=number, delta=Delta(role="assistant", content="")))
            written += len(piece.tokens)
            if piece.text or request.logprobs:
                told = _told(piece.tokens, request, served)
                choice = ChatChunkChoice(index=number, delta=Delta(content=piece.text), logprobs=told)
                yield _chunk(served, caller, choice)
            if piece.finish is not None:
                choice = ChatChunkChoice(index=number, delta=Delta(), finish_reason=reason_of(piece))
                yield _chunk(served, caller, choice)
    usage = usage_of(service, served, caller, read=read, written=written)
    if request.stream_options is not None and request.stream_options.include_usage:
        yield _chunk(served, caller, None, usage)


def _chunk(served: Served, caller: Caller, choice: ChatChunkChoice | None, usage: Usage | None = None) -> ChatChunk:
    choices = [] if choice is None else [choice]
    return ChatChunk(id=_id(caller), created=int(time.time()), model=served.name, choices=choices, usage=usage)


def _id(caller: Caller) -> str:
    return f"chatcmpl-{caller.id}"
