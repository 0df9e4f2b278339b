"""The OpenAPI document, made of the table of routes and the schemas: it can't say anything else than they do."""

from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from lexloom.serve.endpoint import Route
from lexloom.serve.gate import OPEN
from lexloom.serve.schema_answers import Error

TEMPLATE = "#/components/schemas/{model}"
REFUSALS = {
    "400": "The request is not as it should be; `param` names the field.",
    "401": "A key is missing or wrong.",
    "403": "The Host or Origin is a foreign one.",
    "404": "No such model.",
    "408": "The body took too long to come.",
    "413": "The body is too large.",
    "415": "The body is not JSON.",
    "429": "Too many requests; `Retry-After` says when to come back.",
    "431": "The path and headers are too long.",
    "500": "The server failed.",
    "503": "The server is ending.",
    "504": "It took too long.",
}


def document(routes: tuple[Route, ...]) -> dict[str, Any]:
    """OpenAPI 3.1."""
    some = [kind for route in routes for kind in (route.request, route.reply, route.part)]
    kinds: list[type[BaseModel]] = [kind for kind in dict.fromkeys([*some, Error]) if kind is not None]
    _, schemas = models_json_schema([(kind, "validation") for kind in kinds], ref_template=TEMPLATE)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Lexloom", "version": version("lexloom")},
        "paths": {route.path: {route.method.lower(): _operation(route)} for route in routes},
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}, {}],
    }


def _operation(route: Route) -> dict[str, Any]:
    about = route.reply.__doc__ if route.request is None and route.reply is not None else None
    said = about if route.request is None else route.request.__doc__
    operation: dict[str, Any] = {
        "operationId": route.path.strip("/").replace("/", "_"),
        "summary": " ".join((said or "Counters for Prometheus.").split()),
        "responses": {"200": _success(route), **{status: _refusal(text) for status, text in REFUSALS.items()}},
    }
    if route.path in OPEN:
        operation["security"] = []
    if route.path == "/ready":
        operation["responses"]["503"] = _success(route)
    if route.request is not None:
        operation["requestBody"] = {"required": True, "content": _json(route.request)}
    return operation


def _success(route: Route) -> dict[str, Any]:
    content = {"text/plain": {"schema": {"type": "string"}}} if route.reply is None else _json(route.reply)
    if route.part is not None:
        content["text/event-stream"] = {"schema": {"type": "string"}, "x-event-schema": _reference(route.part)}
    return {"description": "The answer.", "content": content}


def _refusal(text: str) -> dict[str, Any]:
    return {"description": text, "content": _json(Error)}


def _json(kind: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": _reference(kind)}}


def _reference(kind: type[BaseModel]) -> dict[str, str]:
    return {"$ref": TEMPLATE.format(model=kind.__name__)}
