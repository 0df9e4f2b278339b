"""What is served, and how it is: `/v1/models`, `/health`, `/ready`, `/metrics`."""

from collections.abc import Mapping
from typing import Literal

from starlette.responses import Response

from lexloom.serve.endpoint import as_json
from lexloom.serve.gate import Caller
from lexloom.serve.schema_answers import Models
from lexloom.serve.schema_tasks import Health
from lexloom.serve.service import Service

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


async def models(service: Service, request: None, caller: Caller) -> Models:
    """All models, and what each can be asked."""
    return Models(data=[served.about for served in service.models.values()])


async def health(service: Service, request: None, caller: Caller) -> Health:
    """The process lives; this says nothing of the models."""
    return Health(status="ok", models={})


async def ready(service: Service, request: None, caller: Caller) -> Response:
    """200 as long as every model can answer: golden inputs were replayed before the server listened."""
    said = {name: served.engine.failure or "ok" for name, served in service.models.items()}
    status = _status(service, said)
    answer = Health(status=status, models=said)
    return Response(as_json(answer), 200 if status == "ok" else 503, media_type="application/json")


async def metrics(service: Service, request: None, caller: Caller) -> Response:
    """Counters, for Prometheus."""
    engines = {name: served.engine for name, served in service.models.items()}
    return Response(service.metrics.page(engines), media_type=PROMETHEUS)


def _status(service: Service, said: Mapping[str, str]) -> Literal["ok", "draining", "failed"]:
    if any(word != "ok" for word in said.values()):
        return "failed"
    return "draining" if service.status.draining else "ok"
