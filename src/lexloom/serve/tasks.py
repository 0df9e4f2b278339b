"""The routes of tasks: what a task's decode gives for each input, the same numbers as `lexloom predict`."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from lexloom.generate.settings import WritingSettings
from lexloom.serve import reading
from lexloom.serve.embeddings import vectors_of
from lexloom.serve.errors import ApiError
from lexloom.serve.gate import Caller
from lexloom.serve.models import Served
from lexloom.serve.reading import Asked, ToFill
from lexloom.serve.schema_tasks import (
    AnswerRequest,
    ChooseRequest,
    FillRequest,
    PairsRequest,
    SimilarityRequest,
    TextsRequest,
    WriteRequest,
)
from lexloom.serve.service import Service
from lexloom.serve.threads import aside
from lexloom.serve.writing import usage_of
from lexloom.tasks.folder import TaskModel, changed
from lexloom.tasks.text2text import writing_of

Results = dict[str, Any]
Parts = Sequence[str]
WRITING = frozenset(WritingSettings.model_fields)


def texts(path: str) -> Callable[[Service, TextsRequest, Caller], Any]:
    """The handler of a task on single texts."""

    async def handle(service: Service, request: TextsRequest, caller: Caller) -> Results:
        served = service.model(request.model, path)
        return await _ask(service, served, task_of(served), [[text] for text in _listed(request.input)], caller)

    return handle


def pairs(path: str) -> Callable[[Service, PairsRequest, Caller], Any]:
    """The handler of a task on texts or pairs."""

    async def handle(service: Service, request: PairsRequest, caller: Caller) -> Results:
        served = service.model(request.model, path)
        changes = {} if request.long_texts is None else {"long_texts": request.long_texts}
        inputs = [[one] if isinstance(one, str) else one for one in _listed(request.input)]
        return await _ask(service, served, changed(task_of(served), changes), inputs, caller)

    return handle


def writes(path: str) -> Callable[[Service, WriteRequest, Caller], Any]:
    """The handler of texts written of others."""

    async def handle(service: Service, request: WriteRequest, caller: Caller) -> Results:
        served = service.model(request.model, path)
        service.check("beams", request.beams, "beams")
        service.check("reply_tokens", request.max_tokens or 0, "max_tokens")
        model = _as_asked(task_of(served), request)
        return await _ask(service, served, model, [[text] for text in _listed(request.input)], caller)

    return handle


async def answer(service: Service, request: AnswerRequest, caller: Caller) -> Results:
    """Where a passage answers a question."""
    served = service.model(request.model, "/v1/answer")
    return await _ask(service, served, task_of(served), [[request.question, request.passage]], caller)


async def choose(service: Service, request: ChooseRequest, caller: Caller) -> Results:
    """Which candidate fits best."""
    served = service.model(request.model, "/v1/choose")
    service.check("candidates", len(request.candidates), "the number of candidates")
    return await _ask(service, served, task_of(served), [[request.input, *request.candidates]], caller)


async def similarity(service: Service, request: SimilarityRequest, caller: Caller) -> Results:
    """How alike a text is to others: by the task it was fine-tuned for, or else the cosine of the vectors."""
    served = service.model(request.model, "/v1/similarity")
    others = _listed(request.second)
    if served.task is not None and served.task.name == "similarity":
        return await _ask(service, served, served.task, [[request.first, other] for other in others], caller)
    found, read = await vectors_of(service, served, [request.first, *others], "second")
    first, *rest = (np.asarray(one.vector, np.float64) for one in found)
    data = [{"index": number, "score": _cosine(first, other)} for number, other in enumerate(rest)]
    for one, entry in zip(found[1:], data, strict=True):
        entry["cut_characters"] = one.cut_characters
    return _results(service, served, data, caller, read=read)


async def fill(service: Service, request: FillRequest, caller: Caller) -> Results:
    """What a masked language model puts in the place of each mask."""
    served = service.model(request.model, "/v1/fill")
    service.check_texts([request.input], "input")
    service.check("candidates", request.top, "top")
    tokens = len(await aside(lambda: served.tokenizer.encode(request.input)))
    asked = ToFill(served.module, served.tokenizer, request.input, request.top, tokens)
    [masks] = await served.engine.run(reading.fill_all, [asked])
    data = [
        {"index": number, "cut_characters": 0, "candidates": [asdict(one) for one in candidates]}
        for number, candidates in enumerate(masks)
    ]
    return _results(service, served, data, caller, read=tokens)


def task_of(served: Served) -> TaskModel:
    """What only fine-tuned models have."""
    assert served.task is not None, "the table of routes sends only models with a task here"
    return served.task


async def _ask(service: Service, served: Served, model: TaskModel, inputs: Sequence[Parts], caller: Caller) -> Results:
    service.check("texts", len(inputs), "the number of inputs")
    for parts in inputs:
        service.check_texts(parts, "input")
    asked: list[Asked] = await aside(
        lambda: [reading.encode(model, parts, f"input[{number}]") for number, parts in enumerate(inputs)]
    )
    predictions = await served.engine.run(reading.predict_all, asked)
    data = [
        {"index": number, "cut_characters": one.cut_characters, **prediction}
        for number, (one, prediction) in enumerate(zip(asked, predictions, strict=True))
    ]
    return _results(service, served, data, caller, read=sum(one.tokens for one in asked))


def _results(service: Service, served: Served, data: list[dict[str, Any]], caller: Caller, *, read: int) -> Results:
    usage = usage_of(service, served, caller, read=read, written=0)
    return {"object": "list", "model": served.name, "data": data, "usage": usage.model_dump()}


def _as_asked(model: TaskModel, request: WriteRequest) -> TaskModel:
    """With the settings that the request names."""
    given = {name: getattr(request, name) for name in request.model_fields_set}
    changes: dict[str, Any] = {}
    if WRITING & given.keys():
        own = writing_of(model.setting).model_dump()
        changes["writing"] = {**own, **{name: given[name] for name in WRITING & given.keys()}}
    if "prefix" in given:
        changes["prefix"] = given["prefix"]
    return changed(model, changes)


def _listed(given: Any) -> list[Any]:
    texts = [given] if isinstance(given, str) else list(given)
    if not texts:
        raise ApiError(400, "there is no text", param="input", code="invalid_value")
    return texts


def _cosine(one_D: Any, two_D: Any) -> float:
    size = float(np.linalg.norm(one_D) * np.linalg.norm(two_D))
    return float(one_D @ two_D) / size if size > 0 else 0.0
