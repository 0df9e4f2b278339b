"""What the studio's page asks of the server beyond the routes that every client has."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.responses import Response

from lexloom.serve.endpoint import Route
from lexloom.serve.errors import ApiError
from lexloom.serve.gate import Caller
from lexloom.serve.models import Served
from lexloom.serve.service import Service
from lexloom.serve.studio.answers import answer
from lexloom.serve.studio.ballot import Ballot
from lexloom.serve.studio.comparison import read_comparison
from lexloom.serve.studio.explaining import askable_labels, explanation
from lexloom.serve.studio.page import studio_page
from lexloom.serve.studio.schema import ExplainRequest, PairRequest, RunRequest, UndoRequest, VoteRequest
from lexloom.serve.studio.settings import StudioSettings
from lexloom.serve.threads import aside
from lexloom.serve.votes import Votes, as_lines

FILL = "/v1/fill"
EXPLAIN = "/studio/explain"
REPORT = "report.html"


def studio_routes(settings: StudioSettings) -> list[Route]:
    """The page, and what it needs for the panels that these settings allow."""
    studio = Studio(settings)
    routes = [
        Route("GET", "/", studio.page, None, None),
        Route("GET", "/studio/state", studio.state, None, None),
        Route("POST", EXPLAIN, studio.explain, ExplainRequest, None),
    ]
    if settings.runs is not None:
        routes += [
            Route("GET", "/studio/runs", studio.runs, None, None),
            Route("POST", "/studio/run", studio.run, RunRequest, None),
            Route("POST", "/studio/report", studio.report, RunRequest, None),
        ]
    if settings.compare is not None:
        routes += [
            Route("GET", "/studio/compare", studio.compare, None, None),
            Route("GET", "/studio/compare/page", studio.compare_page, None, None),
        ]
    if settings.votes is not None:
        routes += [
            Route("GET", "/studio/votes", studio.results, None, None),
            Route("POST", "/studio/votes", studio.vote, VoteRequest, None),
            Route("POST", "/studio/votes/pair", studio.pair, PairRequest, None),
            Route("POST", "/studio/votes/undo", studio.undo, UndoRequest, None),
            Route("GET", "/studio/votes/export", studio.export, None, None),
        ]
    return routes


class Studio:
    """The handlers, and the pairs that wait for a vote."""

    def __init__(self, settings: StudioSettings) -> None:
        """Makes the file of votes if there is none. Raises UserError, DamagedError."""
        self._settings = settings
        self._turns = asyncio.Lock()
        self._votes = None if settings.votes is None else Votes(settings.votes)
        self._ballot = None if self._votes is None else Ballot(self._votes)

    async def page(self, service: Service, request: None, caller: Caller) -> Response:
        """The page; it holds nothing of the models, so that it needs no key."""
        page = studio_page()
        headers = {"content-security-policy": page.policy, "cache-control": "no-cache"}
        return Response(page.html, media_type="text/html", headers=headers)

    async def state(self, service: Service, request: None, caller: Caller) -> Mapping[str, Any]:
        """What there is beside the models that /v1/models names."""
        models = service.models
        labels = {name: askable_labels(served) for name, served in models.items()}
        return {
            "explains": {name: some for name, some in labels.items() if some is not None},
            "masks": {name: _mask(served) for name, served in models.items() if FILL in served.routes},
            "scales": {name: scale for name, served in models.items() if (scale := _scale(served)) is not None},
            "runs": self._settings.runs is not None,
            "compare": self._settings.compare is not None,
            "votes": self._votes is not None,
            "prompts": list(self._settings.prompts),
        }

    async def explain(self, service: Service, request: ExplainRequest, caller: Caller) -> Mapping[str, Any]:
        """Why a model answers as it does."""
        service.check_texts(request.texts, "texts")
        served = service.models.get(request.model)
        if served is None or askable_labels(served) is None:
            raise ApiError(404, f"no model {request.model[:80]!r} can be explained here", param="model")
        return await explanation(served, tuple(request.texts), request.label, self._turns)

    # ---- runs ----

    async def runs(self, service: Service, request: None, caller: Caller) -> Mapping[str, Any]:
        """The runs of the folder."""
        from lexloom.serve.studio.runs import list_runs

        return {"runs": await aside(lambda: list_runs(self._runs))}

    async def run(self, service: Service, request: RunRequest, caller: Caller) -> Mapping[str, Any]:
        """One of them."""
        from lexloom.serve.studio.runs import show_run

        return await aside(lambda: show_run(self._runs, request.name))

    async def report(self, service: Service, request: RunRequest, caller: Caller) -> Response:
        """The page that the run wrote about itself."""
        from lexloom.serve.studio.runs import report_of

        html = await aside(lambda: report_of(self._runs, request.name))
        return Response(html, media_type="text/html")

    # ---- a comparison ----

    async def compare(self, service: Service, request: None, caller: Caller) -> Mapping[str, Any]:
        """What many models made of one corpus."""
        return await aside(lambda: read_comparison(self._compare))

    async def compare_page(self, service: Service, request: None, caller: Caller) -> Response:
        """The page that `lexloom compare` wrote."""
        page = self._compare / REPORT
        if not page.is_file():
            raise ApiError(404, "the comparison has no page")
        return Response(await aside(page.read_bytes), media_type="text/html")

    # ---- votes ----

    async def pair(self, service: Service, request: PairRequest, caller: Caller) -> Mapping[str, Any]:
        """Two answers without names."""
        service.check_texts([request.prompt], "prompt")
        write = answer(service, request, caller)
        return await self._ballots.pair(request.models[0], request.models[1], request.prompt, write, caller.owner)

    async def vote(self, service: Service, request: VoteRequest, caller: Caller) -> Mapping[str, Any]:
        """Keep a vote."""
        await aside(lambda: self._ballots.vote(request.pair, request.choice, caller.owner))
        return {"kept": True}

    async def undo(self, service: Service, request: UndoRequest, caller: Caller) -> Mapping[str, Any]:
        """Take one back."""
        await aside(lambda: self._ballots.undo(request.pair, caller.owner))
        return {"kept": False}

    async def results(self, service: Service, request: None, caller: Caller) -> Mapping[str, Any]:
        """What the votes say."""
        return {"results": await aside(lambda: self._ballots.results(caller.owner))}

    async def export(self, service: Service, request: None, caller: Caller) -> Response:
        """All votes, a line of JSON each."""
        rows = await aside(lambda: self._ballots.export(caller.owner))
        return Response(as_lines(rows), media_type="application/jsonl")

    @property
    def _runs(self) -> Path:
        assert self._settings.runs is not None, "without runs there is no route to them"
        return self._settings.runs

    @property
    def _compare(self) -> Path:
        assert self._settings.compare is not None, "without a comparison there is no route to it"
        return self._settings.compare

    @property
    def _ballots(self) -> Ballot:
        assert self._ballot is not None, "without a file of votes there is no route to them"
        return self._ballot


def _mask(served: Served) -> str | None:
    number = served.tokenizer.names.get("mask")
    return None if number is None else served.tokenizer.token(number)


def _scale(served: Served) -> tuple[float, float] | None:
    """What a model says of two texts without and with one meaning; None if it wasn't fine-tuned to say so."""
    if served.task is None or served.task.name != "similarity":
        return None
    return served.task.setting.settings.lowest, served.task.setting.settings.highest
