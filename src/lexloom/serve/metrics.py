"""Counters for Prometheus; each application has its own, so that two in one process don't mix."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from lexloom.serve.jobs import Engine

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """What is counted. Labels come from closed sets only: paths of the table, names of models, statuses."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter("lexloom_requests", "Requests answered", ["path", "status"], registry=registry)
        self._seconds = Histogram(
            "lexloom_request_seconds", "From headers to the last byte", ["path"], buckets=SECONDS, registry=registry
        )
        self._first = Histogram(
            "lexloom_first_token_seconds", "Until the first text", ["model"], buckets=SECONDS, registry=registry
        )
        self._tokens = Counter("lexloom_tokens", "Tokens read and written", ["model", "kind"], registry=registry)
        self._queue = Gauge("lexloom_engine_jobs", "Jobs of a model", ["model", "state"], registry=registry)
        self._alive = Gauge("lexloom_engine_alive", "Whether a model's engine works", ["model"], registry=registry)

    def request(self, path: str, status: int, seconds: float) -> None:
        """A request is over."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def first_token(self, model: str, seconds: float) -> None:
        """A text has begun to be written."""
        self._first.labels(model).observe(seconds)

    def tokens(self, model: str, *, read: int, written: int) -> None:
        """A model has read and written tokens."""
        self._tokens.labels(model, "read").inc(read)
        self._tokens.labels(model, "written").inc(written)

    def page(self, engines: Mapping[str, Engine]) -> bytes:
        """All of it, in Prometheus' text format."""
        for name, engine in engines.items():
            self._queue.labels(name, "waiting").set(engine.waiting)
            self._queue.labels(name, "running").set(engine.running)
            self._alive.labels(name).set(engine.failure is None)
        return generate_latest(self._registry)
