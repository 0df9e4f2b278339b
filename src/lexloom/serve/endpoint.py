"""From a request's bytes to a handler's answer: read, parsed, checked, worked on until the client leaves, sent."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.responses import Response

from lexloom.base.errors import UserError
from lexloom.serve.bodies import ClientGone, Receive, parse_json, read_body
from lexloom.serve.errors import ApiError, as_api_error
from lexloom.serve.gate import Caller, Scope, Send
from lexloom.serve.parsing import parse
from lexloom.serve.service import Service

T = TypeVar("T")
DONE = b"[DONE]"
LATE = "deadline_exceeded"
EVENTS = {b"content-type": b"text/event-stream; charset=utf-8", b"x-accel-buffering": b"no"}
"""Headers of a stream; the second tells nginx not to collect it."""


@dataclass(frozen=True)
class Events:
    """An answer that comes in parts."""

    parts: AsyncGenerator[BaseModel]


Answer = BaseModel | Mapping[str, Any] | Events | Response
Handler = Callable[[Service, Any, Caller], Awaitable[Answer]]


@dataclass(frozen=True)
class Route:
    """One line of the table of routes."""

    method: str
    path: str
    handler: Handler
    request: type[BaseModel] | None
    """What the body is; None: there is none."""
    reply: type[BaseModel] | None
    """What the answer is; None: text."""
    part: type[BaseModel] | None = None
    """What each event of a streamed answer is."""


class Endpoint:
    """The ASGI application of one route."""

    def __init__(self, route: Route, service: Service) -> None:
        self._route = route
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises ApiError, UserError and ClientGone for the gate to deal with."""
        caller: Caller = scope["state"]["caller"]
        request = None
        if self._route.request is not None:
            limits = self._service.settings.limits
            body = parse_json(await read_body(scope["headers"], receive, limits), limits)
            self._service.log.prompt(caller.id, body)
            request = parse(self._route.request, body)
        await until_gone(receive, self._answer(request, caller, scope, send))

    async def _answer(self, request: BaseModel | None, caller: Caller, scope: Scope, send: Send) -> None:
        deadline_s = asyncio.get_running_loop().time() + self._service.settings.limits.deadline_s
        try:
            async with asyncio.timeout_at(deadline_s):
                answer = await self._route.handler(self._service, request, caller)
                # What goes wrong before the first part is told by the status
                first = await anext(answer.parts) if isinstance(answer, Events) else None
        except TimeoutError:
            raise self._late() from None
        if isinstance(answer, Events):
            assert first is not None, "a stream has parts"
            await self._send_events(first, answer.parts, deadline_s, caller, send)
        else:
            await as_response(answer)(scope, _never, send)

    async def _send_events(
        self, first: BaseModel, parts: AsyncGenerator[BaseModel], deadline_s: float, caller: Caller, send: Send
    ) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(EVENTS.items())})
        try:
            async with aclosing(parts), asyncio.timeout_at(deadline_s):
                await _send_event(as_json(first), send)
                async for part in parts:
                    await _send_event(as_json(part), send)
            last = DONE
        except Exception as error:
            last = as_json(self._explained(error, caller).body)
        await _send_event(last, send, more=False)

    def _explained(self, error: Exception, caller: Caller) -> ApiError:
        """What a client is told in the middle of a stream."""
        if isinstance(error, TimeoutError):
            return self._late()
        if isinstance(error, UserError):
            error = as_api_error(error)
        if isinstance(error, ApiError):
            return error
        self._service.log.failure(error, id=caller.id)
        return ApiError(500, f"the server failed; its log names {caller.id}", code="internal_error", again=False)

    def _late(self) -> ApiError:
        limit = self._service.settings.limits.deadline_s
        return ApiError(504, f"it took too long; the limit deadline_s is {limit:g}", code=LATE, again=False)


async def until_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """What the work gives; if the client leaves before, the work is cancelled, and ClientGone is raised."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        for one in (task, gone):
            one.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


def as_response(answer: BaseModel | Mapping[str, Any] | Response) -> Response:
    """A whole answer."""
    if isinstance(answer, Response):
        return answer
    return Response(as_json(answer), media_type="application/json")


def as_json(answer: BaseModel | Mapping[str, Any]) -> bytes:
    """One line of JSON; NaN is an error of ours, not something to send."""
    values = answer.model_dump(mode="json") if isinstance(answer, BaseModel) else answer
    return json.dumps(values, ensure_ascii=False, allow_nan=False).encode()


async def _send_event(data: bytes, send: Send, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": b"data: " + data + b"\n\n", "more_body": more})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _never() -> dict[str, Any]:
    return await asyncio.Future()
