"""What goes wrong, as OpenAI's clients expect to be told: a status, and one JSON object that names the field."""

import json
from typing import Any

from starlette.responses import Response

from lexloom.base.errors import FolderError, UserError
from lexloom.generate.constraints import BadConstraint
from lexloom.generate.prompts import ContextFull
from lexloom.generate.sampling import BrokenScores
from lexloom.serve.jobs import Busy, DeadlineExceeded, EngineFailed

RETRY_AFTER_S = 1
KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
"""`type` of an error by its status; below 500 all others are invalid requests, the rest server errors."""
NO_RETRY = (b"x-should-retry", b"false")
"""OpenAI's clients ask again after any 5xx unless told not to."""


class ApiError(Exception):
    """A request that isn't answered.

    `param` is the path of the field (`messages[0].content`), `code` a word for programs, `retry_after_s` when to come
    back, `again` whether asking once more can help, `allow` the methods that a route takes.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: int | None = None,
        again: bool = True,
        allow: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s
        self.again = again
        self.allow = allow

    @property
    def body(self) -> dict[str, Any]:
        """OpenAI's error object."""
        kind = KINDS.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


def over(limit: str, allowed: float, what: str, *, status: int = 400, param: str | None = None) -> ApiError:
    """The error of a request beyond one of `Limits`, which it names."""
    return ApiError(status, f"{what}; the limit {limit} is {allowed:,}", param=param, code="limit_exceeded")


def come_back(message: str, code: str) -> ApiError:
    """The error of a request that is right but comes when there is no room for it."""
    return ApiError(429, message, code=code, retry_after_s=RETRY_AFTER_S)


def as_api_error(error: UserError) -> ApiError:
    """What the library says of a request, in HTTP's words."""
    if isinstance(error, Busy):
        return come_back(error.what, "queue_full")
    if isinstance(error, DeadlineExceeded):
        return ApiError(504, error.what, code="deadline_exceeded", again=False)
    if isinstance(error, EngineFailed | BrokenScores):
        return ApiError(500, error.what, code="engine_failed", again=False)
    if isinstance(error, FolderError):
        return ApiError(500, "the model's folder doesn't hold what this needs", code="model_folder", again=False)
    message = f"{error.what}. {error.fix}" if error.fix else error.what
    if isinstance(error, BadConstraint):
        return ApiError(400, message, param="response_format", code="invalid_value")
    code = "context_length_exceeded" if isinstance(error, ContextFull) else None
    return ApiError(400, message, param=error.where, code=code)


def error_response(error: ApiError) -> Response:
    """The answer that tells a client of an error."""
    response = Response(json.dumps(error.body, ensure_ascii=False), error.status, media_type="application/json")
    if error.retry_after_s is not None:
        response.headers["retry-after"] = str(error.retry_after_s)
    if error.allow is not None:
        response.headers["allow"] = error.allow
    if error.status == 401:
        response.headers["www-authenticate"] = "Bearer"
    if not error.again:
        response.raw_headers.append(NO_RETRY)
    return response
