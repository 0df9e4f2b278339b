"""The ASGI application: the gate, and behind it a router over the table of routes."""

from collections.abc import Mapping, Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as Path
from starlette.routing import Router

from lexloom.serve.bodies import Receive
from lexloom.serve.endpoint import Endpoint, Route
from lexloom.serve.errors import ApiError
from lexloom.serve.gate import App, Gate, Scope, Send, Status
from lexloom.serve.log import Log
from lexloom.serve.metrics import Metrics
from lexloom.serve.models import Served
from lexloom.serve.openapi import document
from lexloom.serve.routes import ROUTES
from lexloom.serve.service import Service
from lexloom.serve.settings import ServeSettings

DOCUMENT = "/openapi.json"


def app(
    models: Mapping[str, Served],
    settings: ServeSettings,
    *,
    status: Status | None = None,
    log: Log | None = None,
    more: Sequence[Route] = (),
) -> Gate:
    """The application that serves these models; `more` are routes that only its own page needs."""
    books = Log(prompts=settings.log_prompts) if log is None else log
    metrics, state = Metrics(), Status() if status is None else status
    service = Service(models, settings, state, metrics, books)
    routes = [Path(route.path, Endpoint(route, service), methods=[route.method]) for route in (*ROUTES, *more)]
    described = JSONResponse(document(ROUTES))

    async def openapi(request: Request) -> Response:
        return described

    router = Router([*routes, Path(DOCUMENT, openapi)], redirect_slashes=False)
    paths = frozenset({DOCUMENT, "/", *(route.path for route in (*ROUTES, *more))})
    return Gate(_routed(router), settings, status=state, metrics=metrics, log=books, paths=paths)


def _routed(router: Router) -> App:
    """The router, whose refusals are ours. Starlette's own application would answer errors before the gate does."""

    async def routed(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await router({**scope, "app": router}, receive, send)
        except HTTPException as error:
            allow = (error.headers or {}).get("Allow")
            what = "there is no such route" if allow is None else f"this route takes {allow}"
            raise ApiError(error.status_code, what, code="no_route", allow=allow) from None

    return routed
