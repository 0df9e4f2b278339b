"""What every request passes first, cheapest check first: Host, Origin, key, rate, a place among those under way.

Source of the order and of the faults it stands against: OWASP ASVS 5 (V3, V4), RFC 9110; DNS rebinding as Jackson et
al. 2007 describe it.
"""

import asyncio
import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from lexloom.base.errors import UserError
from lexloom.serve.bodies import ClientGone, Headers, Receive, header
from lexloom.serve.callers import Keys, Shares
from lexloom.serve.errors import ApiError, as_api_error, error_response, over
from lexloom.serve.log import Log, shortened
from lexloom.serve.metrics import Metrics
from lexloom.serve.settings import ServeSettings

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LIVENESS = "/health"
OPEN = frozenset({LIVENESS, "/"})
"""Paths without a key: whether the process lives, and the studio's page, in which people type their key."""
ANSWERED_WHILE_DRAINING = frozenset({LIVENESS, "/ready", "/metrics"})
CLIENT_CLOSED = 499
"""What nginx notes for a client that has left; no client sees it."""
_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")

SAFE_HEADERS = {
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cache-control": b"no-store",
}
"""On every answer that doesn't say otherwise."""


@dataclass
class Status:
    """Whether the server takes work; `draining` from the first signal to the end."""

    draining: bool = False


@dataclass
class Caller:
    """One request: who asks, under which number, and what is known of it for the log."""

    id: str
    owner: str
    facts: dict[str, Any]


class Gate:
    """The ASGI application around the application."""

    def __init__(
        self, app: App, settings: ServeSettings, *, status: Status, metrics: Metrics, log: Log, paths: frozenset[str]
    ) -> None:
        """`paths` are those that may be named in metrics; whatever else clients ask for counts as one."""
        self._app = app
        self._settings = settings
        self._keys = Keys(settings.keys)
        self.shares = Shares(settings.limits)
        self._status = status
        self._metrics = metrics
        self._log = log
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        caller = Caller(f"req-{secrets.token_hex(12)}", "", {})
        answer = _Answer(send, caller.id)
        started_s = time.perf_counter()
        try:
            await self._pass(scope, receive, answer, caller)
        except asyncio.CancelledError:
            answer.status = answer.status or CLIENT_CLOSED
            raise
        finally:
            self._note(scope, caller, answer.status, time.perf_counter() - started_s)

    async def _pass(self, scope: Scope, receive: Receive, answer: "_Answer", caller: Caller) -> None:
        try:
            caller.owner = self._admit(scope)
            with self.shares.place(caller.owner):
                scope.setdefault("state", {})["caller"] = caller
                await self._app(scope, receive, answer)
        except ApiError as error:
            await self._refuse(error, scope, receive, answer)
        except UserError as error:
            told = as_api_error(error)
            if told.status == 500:
                self._log.failure(error, id=caller.id)
            await self._refuse(told, scope, receive, answer)
        except ClientGone:
            answer.status = answer.status or CLIENT_CLOSED
        except Exception as error:
            self._log.failure(error, id=caller.id)
            if answer.status:
                raise  # the answer has begun: only a closed connection can still say that it isn't whole
            failed = ApiError(500, f"the server failed; its log names {caller.id}", code="internal_error", again=False)
            await self._refuse(failed, scope, receive, answer)

    def _admit(self, scope: Scope) -> str:
        """The owner of a request, or ApiError. Looks at nothing but headers."""
        headers: Headers = scope["headers"]
        self._check_size(scope, headers)
        host = self._check_host(headers)
        _check_origin(headers, host)
        path: str = scope["path"]
        owner = "" if path in OPEN else self._keys.owner(header(headers, b"authorization"))
        if self._status.draining and path not in ANSWERED_WHILE_DRAINING:
            raise ApiError(503, "the server is ending", code="draining", retry_after_s=1)
        self.shares.spend(owner)
        return owner

    def _check_size(self, scope: Scope, headers: Headers) -> None:
        """h11 bounds headers only while they are incomplete; what comes in one piece is measured here."""
        allowed = self._settings.limits.header_bytes
        size = len(scope["path"]) + len(scope.get("query_string", b""))
        if size + sum(len(name) + len(value) for name, value in headers) > allowed:
            raise over("header_bytes", allowed, "path and headers are too long", status=431)

    def _check_host(self, headers: Headers) -> str:
        host = header(headers, b"host") or ""
        match = _HOST.fullmatch(host)
        if match is None:
            raise ApiError(400, "the header Host is missing or malformed", code="invalid_host")
        if not self._settings.knows_host(match["name"].strip("[]")):
            raise ApiError(403, "this server isn't known by that name; see --allow-host", code="unknown_host")
        return host

    def _note(self, scope: Scope, caller: Caller, status: int, seconds: float) -> None:
        path = scope["path"] if scope["path"] in self._paths else "other"
        self._metrics.request(path, status, seconds)
        self._log.event(
            "request",
            id=caller.id,
            owner=caller.owner,
            method=shortened(scope["method"]),
            path=shortened(scope["path"]),
            status=status,
            ms=round(1000 * seconds, 1),
            **caller.facts,
        )

    async def _refuse(self, error: ApiError, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        await error_response(error)(scope, receive, answer)


def _check_origin(headers: Headers, host: str) -> None:
    """Refuse what a browser sends on behalf of another site; programs send none of these headers."""
    origin = header(headers, b"origin")
    if origin is not None and origin.lower() not in {f"http://{host}".lower(), f"https://{host}".lower()}:
        raise ApiError(403, "pages of other sites may not call this server", code="foreign_origin")
    site, mode = header(headers, b"sec-fetch-site"), header(headers, b"sec-fetch-mode")
    if site in ("cross-site", "same-site") and mode != "navigate":
        raise ApiError(403, "pages of other sites may not call this server", code="foreign_origin")


class _Answer:
    """Sends an answer with the headers that all have, and remembers its status (0: none has begun)."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._id = request_id.encode()
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given: Headers = list(message.get("headers", []))
            names = {name.lower() for name, _ in given}
            more = [(name, value) for name, value in SAFE_HEADERS.items() if name not in names]
            message = {**message, "headers": [*given, *more, (b"x-request-id", self._id)]}
        await self._send(message)
