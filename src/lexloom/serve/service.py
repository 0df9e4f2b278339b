"""What every handler is given: the models, the limits, the books."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lexloom.serve.errors import ApiError, over
from lexloom.serve.gate import Status
from lexloom.serve.log import Log
from lexloom.serve.metrics import Metrics
from lexloom.serve.models import Served
from lexloom.serve.settings import ServeSettings


@dataclass(frozen=True)
class Service:
    """One server's models and books."""

    models: Mapping[str, Served]
    settings: ServeSettings
    status: Status
    metrics: Metrics
    log: Log

    def model(self, name: str, route: str) -> Served:
        """The model of this name. Raises ApiError 404 if there is none, 400 if the route isn't for it."""
        served = self.models.get(name)
        if served is None:
            known = ", ".join(self.models)
            raise ApiError(
                404, f"no model {name[:80]!r} is served here; {known}", param="model", code="model_not_found"
            )
        if route not in served.routes:
            can = ", ".join(served.routes)
            message = f"the model {name} can't do {route}; it can do {can}"
            raise ApiError(400, message, param="model", code="wrong_kind_of_model")
        return served

    def check_texts(self, texts: Iterable[str], param: str) -> None:
        """Raises ApiError 400 for too many texts, or one that is too long."""
        limits = self.settings.limits
        for number, text in enumerate(texts, start=1):
            if number > limits.texts:
                raise over("texts", limits.texts, "there are too many texts", param=param)
            if len(text) > limits.text_bytes or len(text.encode()) > limits.text_bytes:
                raise over("text_bytes", limits.text_bytes, "a text is too long, in bytes of UTF-8", param=param)

    def check_together(self, texts: Sequence[str], param: str) -> None:
        """Raises ApiError 400 for texts that are too long as one."""
        allowed = self.settings.limits.text_bytes
        if sum(len(text.encode()) for text in texts) > allowed:
            raise over("text_bytes", allowed, "the texts are too long, in bytes of UTF-8", param=param)

    def check(self, name: str, value: float, param: str) -> None:
        """Raises ApiError 400 for a number above the limit of this name."""
        allowed = getattr(self.settings.limits, name)
        if value > allowed:
            raise over(name, allowed, f"{param} is {value:,}", param=param)
