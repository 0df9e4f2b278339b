"""A model folder, opened for the server: what it can be asked, and what answers."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lexloom.base.errors import FolderError, UserError
from lexloom.evaluate.embedding import PLAIN
from lexloom.generate.reply import end_ids, opening_ids, tokenizer_of
from lexloom.models import FAMILIES
from lexloom.models.folder import FACTS, ModelFolder, load_model
from lexloom.models.golden import check_golden
from lexloom.models.sentences import Pooling
from lexloom.nn.inference import lay_out_for_few_rows
from lexloom.nn.linear import pack_for_inference
from lexloom.serve import engine
from lexloom.serve.jobs import Engine
from lexloom.serve.limits import Limits
from lexloom.serve.schema_answers import Model
from lexloom.serve.worker import Worker
from lexloom.tasks.folder import TaskModel, changed, task_model
from lexloom.text.chat import CHAT_FORMATS, ChatFormat, chat_format_of
from lexloom.text.tokenizers import Tokenizer

ROUTES_OF_TASKS = {
    "classify": ("/v1/classify",),
    "regress": ("/v1/regress",),
    "tag": ("/v1/tag",),
    "relation": ("/v1/relations",),
    "span": ("/v1/answer",),
    "similarity": (),
    "choice": ("/v1/choose",),
}
"""What a model fine-tuned for a task can be asked; all encoders can be asked for vectors and their similarity."""
ROUTES_OF_PRESETS = {"translate": "/v1/translate", "summarise": "/v1/summarise", "ask": "/v1/ask"}
MASKED_HEADS = ("masked", "pretraining")
TOKENS = ("/tokenize", "/detokenize")


@dataclass(frozen=True)
class Speaker:
    """What a decoder needs beside its engine to read and write text."""

    opening: tuple[int, ...]
    """Tokens before every document."""
    end_ids: tuple[int, ...]
    """Tokens that end a text."""
    context: int
    vocab_size: int
    chat: ChatFormat | None
    """How conversations are written; None if it isn't known."""


@dataclass(frozen=True)
class Served:
    """A model and what works it."""

    name: str
    about: Model
    engine: Engine
    tokenizer: Tokenizer
    speaker: Speaker | None = None
    task: TaskModel | None = None
    module: Any = None
    """The torch module of a model that reads."""
    pooling: Pooling = PLAIN

    @property
    def routes(self) -> Sequence[str]:
        """What it can be asked."""
        return self.about.routes


def speaker_of(served: Served) -> Speaker:
    """What only models that write on have."""
    assert served.speaker is not None, "only decoders are asked to write on"
    return served.speaker


def named_folders(words: Sequence[str]) -> dict[str, Path]:
    """`FOLDER` or `NAME=FOLDER` → names and folders; `run/model` is called after its run.

    Raises UserError for two of one name.
    """
    found: dict[str, Path] = {}
    for word in words:
        name, equals, folder = word.partition("=")
        path = Path(folder if equals else word)
        if not equals:
            place = path.resolve()
            name = place.parent.name if place.name == "model" else place.name
        if not name or name in found:
            raise UserError(f"{name!r} names more than one model", where=word, fix="Name them: NAME=FOLDER.")
        found[name] = path
    return found


def open_model(name: str, path: Path, worker: Worker, limits: Limits) -> Served:
    """Load a folder, replay its golden inputs as it is laid out for use, and let the worker work for it.

    Raises FolderError and DamagedError.
    """
    contents = load_model(path)
    kind = FAMILIES[contents.family].kind
    if kind == "decoder":
        lay_out_for_few_rows(contents.model)
    pack_for_inference(contents.model)  # a second copy of the weights, which several rows at once are worth
    if contents.facts:
        check_golden(contents.model, contents.facts.get("golden"), where=str(path / FACTS))
    tokenizer = tokenizer_of(contents)
    task = None if kind == "decoder" else _task(contents, path)
    speaker = _speaker(contents, path) if kind == "decoder" else None
    return Served(
        name=name,
        about=_about(name, contents, task, _routes(contents, speaker, task)),
        engine=engine.Engine(
            contents.model,
            tokenizer,
            worker,
            tokens=max(limits.tokens, contents.model.config.context),
            queue_jobs=limits.queue,
        ),
        tokenizer=tokenizer,
        speaker=speaker,
        task=task,
        module=contents.model,
        pooling=PLAIN if contents.pooling is None else contents.pooling,
    )


def _speaker(contents: ModelFolder, path: Path) -> Speaker:
    known = chat_format_of(path)
    return Speaker(
        opening=tuple(opening_ids(contents)),
        end_ids=tuple(end_ids(contents)),
        context=contents.model.config.context,
        vocab_size=contents.model.config.vocab_size,
        chat=None if known is None else CHAT_FORMATS[known],
    )


def _task(contents: ModelFolder, path: Path) -> TaskModel | None:
    """What it was fine-tuned for, as it answers people; None for a plain encoder."""
    try:
        model = task_model(contents, path)
    except FolderError:
        return None
    return changed(model, model.task.when_predicting)


def _routes(contents: ModelFolder, speaker: Speaker | None, task: TaskModel | None) -> list[str]:
    routes: list[str] = []
    if speaker is not None:
        routes += ["/v1/completions", *([] if speaker.chat is None else ["/v1/chat/completions"])]
    if task is not None and task.name == "text2text":
        preset = task.setting.settings.preset
        tuned = contents.facts.get("task") is not None
        routes += [ROUTES_OF_PRESETS[preset]] if tuned else list(ROUTES_OF_PRESETS.values())
    elif task is not None:
        routes += ROUTES_OF_TASKS[task.name]
    if FAMILIES[contents.family].kind == "encoder":
        masked = getattr(contents.model.config, "head", None) in MASKED_HEADS
        routes += [*(["/v1/fill"] if masked else []), "/v1/embeddings", "/v1/similarity"]
    return [*routes, *TOKENS]


def _about(name: str, contents: ModelFolder, task: TaskModel | None, routes: list[str]) -> Model:
    return Model(
        id=name,
        created=int(time.time()),
        kind=FAMILIES[contents.family].kind,
        family=contents.family,
        task=None if task is None else task.name,
        labels=[] if task is None else list(task.setting.labels),
        context=contents.model.config.context,
        parameters=sum(parameter.numel() for parameter in contents.model.parameters()),
        routes=routes,
    )
