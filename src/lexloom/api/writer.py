"""Models that read one text and write another, from Python."""

from functools import cached_property
from pathlib import Path
from typing import Any, overload

from lexloom.api.answering import one_or_many, predictions
from lexloom.generate.settings import WritingSettings
from lexloom.models.folder import ModelFolder
from lexloom.tasks.folder import TaskModel, task_model
from lexloom.tasks.text2text import writing_of
from lexloom.text.tokenizers import Tokenizer

HOW = set(WritingSettings.model_fields)


class Writer:
    """A model that translates, summarises or asks; get one from `lexloom.load`.

    What it writes is what its training had it write: a translator translates. Published models such as T5 want to be
    told by a `prefix`. Texts longer than the model reads are cut, with a warning.
    """

    def __init__(self, contents: ModelFolder, path: Path) -> None:
        self.path = path
        self._contents = contents

    @property
    def tokenizer(self) -> Tokenizer:
        """Text to ids and back."""
        return self._task.setting.tokenizer

    @property
    def config(self) -> Any:
        """The frozen Config of the model's family: `vocab_size`, `context`, `width`, `layers` and so on."""
        return self._contents.model.config

    @property
    def family(self) -> str:
        """The architecture, `transformer` or `t5`."""
        return self._contents.family

    @property
    def module(self) -> Any:
        """The torch module."""
        return self._contents.model

    @overload
    def write(self, texts: str, **settings: Any) -> str: ...
    @overload
    def write(self, texts: list[str], **settings: Any) -> list[str]: ...
    def write(self, texts: Any, **settings: Any) -> Any:
        """A text → the text that is written of it; a list → a list.

        `settings` are the fields of `WritingSettings` (beams, length_penalty, max_tokens, min_tokens, no_repeat_ngram,
        temperature, …) and `prefix`, instead of the model's own.
        Example: `lexloom.load("run/model").write(["A man sleeps."], beams=1)`.
        """
        found = self.predict(texts, **settings)
        return found["text"] if isinstance(texts, str) else [one["text"] for one in found]

    def predict(self, texts: Any, **settings: Any) -> Any:
        """The same with scores: {text, score}, and with n_best above 1 also {others: [{text, score}, …]}."""
        model = self._task
        if settings:
            how = {**writing_of(model.setting).model_dump(), **{k: v for k, v in settings.items() if k in HOW}}
            changes = {**{k: v for k, v in settings.items() if k not in HOW}, "writing": how}
            model = task_model(self._contents, self.path, changes)
        return one_or_many(texts, lambda many: predictions(model, many))

    def __repr__(self) -> str:
        return f"Writer({str(self.path)!r}, family={self.family!r})"

    @cached_property
    def _task(self) -> TaskModel:
        return task_model(self._contents, self.path)
