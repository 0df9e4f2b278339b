"""A request's body: within its limits, in time, and JSON that means one thing only."""

import asyncio
import json
import math
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from lexloom.serve.errors import ApiError, over
from lexloom.serve.limits import Limits

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Headers = list[tuple[bytes, bytes]]

# A string that doesn't end matches to the end of the text, so that no place is looked at twice
_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class ClientGone(Exception):
    """The client has left before its request was complete."""


async def read_body(headers: Headers, receive: Receive, limits: Limits) -> bytes:
    """The whole body. Raises ApiError (415, 413, 408) at the first sign that it isn't acceptable, ClientGone."""
    _check_type(headers)
    _check_length(headers, limits)
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.body_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                part = message.get("body", b"")
                size += len(part)
                if size > limits.body_bytes:
                    raise _too_large(limits)
                parts.append(part)
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        raise over("body_s", limits.body_s, "the body took too long to come", status=408) from None


def parse_json(body: bytes, limits: Limits) -> dict[str, Any]:
    """The object that a body holds.

    Raises ApiError 400 for what isn't JSON in UTF-8, isn't an object, is nested too deeply, names a key twice, or has
    a number that isn't finite or has too many digits.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise ApiError(400, f"the body is not UTF-8: byte {error.start}", code="invalid_json") from None
    _check_depth(body, limits)
    value = _loads(text, limits)
    if not isinstance(value, dict):
        raise ApiError(400, "the body is not a JSON object", code="invalid_json")
    if _SURROGATE.search(body):
        _check_unicode(value)
    return value


def header(headers: Headers, name: bytes) -> str | None:
    """The value of a header; None if there is none. Raises ApiError 400 if there are several."""
    found = [value for key, value in headers if key == name]
    if len(found) > 1:
        raise ApiError(400, f"the header {name.decode()} stands there more than once", code="invalid_header")
    return found[0].decode("latin-1") if found else None


def _check_type(headers: Headers) -> None:
    """A browser may send other types to any site without asking that site first."""
    kind = (header(headers, b"content-type") or "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, "the content type must be application/json", param="content-type")


def _check_length(headers: Headers, limits: Limits) -> None:
    declared = header(headers, b"content-length")
    if declared is None:
        return
    if not (declared.isascii() and declared.isdigit()):
        raise ApiError(400, "content-length is not a number", param="content-length")
    if len(declared) > limits.json_digits or int(declared) > limits.body_bytes:
        raise _too_large(limits)


def _too_large(limits: Limits) -> ApiError:
    return over("body_bytes", limits.body_bytes, "the body is too large", status=413)


def _check_depth(body: bytes, limits: Limits) -> None:
    depth = 0
    for match in _BRACKETS.finditer(_STRINGS.sub(b"", body)):
        depth += 1 if match[0] in b"[{" else -1
        if depth > limits.json_depth:
            raise over("json_depth", limits.json_depth, "the body is nested too deeply")


def _loads(text: str, limits: Limits) -> Any:
    def whole(digits: str) -> int:
        if len(digits.lstrip("-")) > limits.json_digits:
            raise over("json_digits", limits.json_digits, "a number in the body has too many digits")
        return int(digits)

    try:
        return json.loads(
            text, parse_int=whole, parse_float=_finite, parse_constant=_finite, object_pairs_hook=_without_doubles
        )
    except json.JSONDecodeError as error:
        message = f"the body is not JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        raise ApiError(400, message, code="invalid_json") from None


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ApiError(400, "a number in the body is not finite", code="invalid_json")
    return value


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ApiError(400, "an object in the body has the same key twice", code="invalid_json")
    return values


def _check_unicode(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ApiError(400, "a text in the body holds half of a surrogate pair", code="invalid_json") from None
