"""The studio on a real server with tiny models, and people who use it in a real browser."""

import contextlib
import io
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lexloom.serve.app import app
from lexloom.serve.gate import Gate, Status
from lexloom.serve.limits import Limits
from lexloom.serve.listening import Listener, listen
from lexloom.serve.log import Log, take_over
from lexloom.serve.models import Served, open_model
from lexloom.serve.settings import ServeSettings
from lexloom.serve.studio.routes import studio_routes
from lexloom.serve.studio.settings import StudioSettings
from lexloom.serve.worker import Worker
from tests.folders import write_model
from tests.listening import WAIT_S, wait_until
from tests.serving import FakeEngine, fake_model, fake_tokenizer
from tests.task_folders import write_task_model

TASKS = ("classify", "regress", "tag", "relation", "span", "similarity", "text2text")
SPEAKERS = ("model-one", "model-two")
STEPS = 40
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>&lt;b&gt;'


class Contrary(FakeEngine):
    """Says the prompt backwards, so that two answers differ."""

    async def _pieces(self, job: Any) -> Any:
        async for piece in super()._pieces(replace(job, prompt_ids=job.prompt_ids[::-1])):
            yield piece


@cache
def readers() -> dict[str, Served]:
    """A tiny model for each task, and a masked one; their engine is a fake, so that no thread stays."""
    worker = Worker()
    with TemporaryDirectory() as place:
        folders = {task: write_task_model(Path(place) / task, task) for task in TASKS}
        folders["masked"] = write_model(Path(place) / "masked", family="bert", kind="wordpiece", head="masked")
        opened = {name: open_model(name, folder, worker, Limits()) for name, folder in folders.items()}
    for served in opened.values():
        served.engine.close()
    return {name: replace(served, engine=FakeEngine(served.tokenizer)) for name, served in opened.items()}


def studio_models() -> dict[str, Served]:
    """All of them, and two that write."""
    tokenizer = fake_tokenizer()
    engines = (FakeEngine(tokenizer, step_s=0.005), Contrary(tokenizer, step_s=0.005))
    speakers = {name: fake_model(engine, name=name) for name, engine in zip(SPEAKERS, engines, strict=True)}
    return {**speakers, **readers()}


def studio_app(studio: StudioSettings, settings: ServeSettings | None = None, **more: Any) -> Gate:
    """The whole server."""
    chosen = ServeSettings() if settings is None else settings
    return app(studio_models(), chosen, more=studio_routes(studio), **{"log": Log(io.StringIO()), **more})


@contextlib.contextmanager
def studio_server(studio: StudioSettings, *, keys: tuple[str, ...] = ()) -> Iterator[str]:
    """Its address, while it listens."""
    settings, status, log = ServeSettings(port=0, keys=keys), Status(), Log(io.StringIO())
    take_over("uvicorn.error", log)
    application = studio_app(studio, settings, status=status, log=log)
    bound = listen(settings)
    listener = Listener(application, settings, status=status, engines=[], log=log)
    thread = threading.Thread(target=lambda: listener.run(sockets=[bound]))
    thread.start()
    try:
        wait_until(lambda: listener.started)
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        listener.handle_exit(15, None)
        listener.handle_exit(15, None)
        thread.join(WAIT_S)
        assert not thread.is_alive(), "the server didn't end"


def write_run(folder: Path, steps: int = STEPS, *, text: str = "明月") -> Path:
    """A run folder as far as the studio reads it; its last line is half written."""
    folder.mkdir(parents=True)
    rows: list[dict[str, Any]] = [
        {"kind": "step", "step": step, "loss": 5 - step / 100, "lr": 1e-3, "tokens": 10 * step, "seconds": 0.1}
        for step in range(1, steps + 1)
    ]
    rows.append({"kind": "validation", "step": steps, "loss": 2.5})
    rows.append({"kind": "sample", "step": steps, "prompt": "床前", "text": f"床前{text}"})
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "metrics.jsonl").write_text(lines + '{"kind": "st', encoding="utf-8")
    (folder / "plan.json").write_text(json.dumps({"steps": 2 * steps}), encoding="utf-8")
    ledger = [{"stage": "read", "outcome": text, "documents": 3, "characters": 90, "examples": []}]
    (folder / "ledger.json").write_text(json.dumps(ledger), encoding="utf-8")
    (folder / "report.html").write_text("<p>report</p>", encoding="utf-8")
    return folder


def write_comparison(folder: Path) -> Path:
    """What `lexloom compare` leaves behind, as far as the studio reads it."""
    folder.mkdir(parents=True)
    models = [
        {"name": "4-gram", "family": "ngram", "parameters": 3_531_331, "seconds": 0.37, "bits_per_byte": bits(2.279)},
        {"name": HOSTILE, "family": "gpt", "parameters": 2_950_848, "seconds": 329.0, "bits_per_byte": bits(2.067)},
    ]
    pairs = [{"first": "4-gram", "second": HOSTILE, "real": False}]
    results = {"kind": "language models", "models": models, "pairs": pairs}
    (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    shape = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 76 42"><rect width="76" height="42" /></svg>'
    (folder / "picture.svg").write_text(shape, encoding="utf-8")
    (folder / "report.html").write_text("<p>comparison</p>", encoding="utf-8")
    return folder


def bits(value: float) -> dict[str, float]:
    """A figure with its interval."""
    return {"value": value, "low": value - 0.02, "high": value + 0.02}
