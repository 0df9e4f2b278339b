"""Answers of the routes that OpenAI's clients know."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class Reply(BaseModel):
    """An answer, or a part of one."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Usage(Reply):
    """Tokens read and written."""

    prompt_tokens: int
    completion_tokens: int = 0
    total_tokens: int


class TopToken(Reply):
    """A token that could have been chosen."""

    token: str
    logprob: float
    bytes: list[int]


class ChosenToken(TopToken):
    """A token that was chosen, and the most probable ones in its place."""

    top_logprobs: list[TopToken]


class ChatLogprobs(Reply):
    """The tokens of an answer."""

    content: list[ChosenToken]


class CompletionLogprobs(Reply):
    """The tokens of a continuation."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


Reason = Literal["stop", "length"]


class CompletionChoice(Reply):
    """One continuation, or a part of it."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None = None
    finish_reason: Reason | None


class Completion(Reply):
    """Continuations."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage | None = None


class AssistantMessage(Reply):
    """What the model says."""

    role: Literal["assistant"] = "assistant"
    content: str


class ChatChoice(Reply):
    """One answer."""

    index: int
    message: AssistantMessage
    logprobs: ChatLogprobs | None = None
    finish_reason: Reason


class ChatCompletion(Reply):
    """Answers to a conversation."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage


class Delta(Reply):
    """What is new of a message."""

    role: Literal["assistant"] | None = None
    content: str | None = None

    @model_serializer(mode="wrap")
    def _without_nothing(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if value is not None}


class ChatChunkChoice(Reply):
    """A part of one answer."""

    index: int
    delta: Delta
    logprobs: ChatLogprobs | None = None
    finish_reason: Reason | None = None


class ChatChunk(Reply):
    """One event of a streamed answer."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChatChunkChoice]
    usage: Usage | None = None


class Embedding(Reply):
    """One text's vector."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str
    cut_characters: int = 0
    """Characters at the end of the text that the model had no room to read."""


class Embeddings(Reply):
    """Vectors, in the order of the texts."""

    object: Literal["list"] = "list"
    model: str
    data: list[Embedding]
    usage: Usage


class Model(Reply):
    """A model that is served."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["lexloom"] = "lexloom"
    kind: str
    """decoder, encoder or encoder-decoder."""
    family: str
    task: str | None
    """What it was fine-tuned for."""
    labels: list[str]
    context: int
    parameters: int
    routes: list[str]
    """What it can be asked, such as /v1/chat/completions."""


class Models(Reply):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[Model]


class ErrorBody(Reply):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    """The path of the field."""
    code: str | None


class Error(Reply):
    """Every answer that isn't a 2xx."""

    error: ErrorBody
