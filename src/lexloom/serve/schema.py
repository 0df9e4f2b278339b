"""Requests and answers of the routes that OpenAI's clients know; what a field may be stands here and nowhere else.

A field that isn't listed is refused by name. Fields beyond OpenAI's: those of SamplingSettings, and the formats
`choices` and `regex`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from lexloom.generate.settings import GREEDY_BELOW, SamplingSettings, StopString
from lexloom.serve.errors import ApiError

SHOWN_CHARACTERS = 80
"""Of a value that is refused."""


class Body(BaseModel):
    """A request: nothing is converted, nothing unknown is passed over."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class Reply(BaseModel):
    """An answer, or a part of one."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


B = TypeVar("B", bound=BaseModel)
Id = Annotated[int, Field(ge=0, strict=True)]
"""A token of the vocabulary."""

NEUTRAL: Mapping[str, Any] = {
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "logit_bias": {},
    "best_of": 1,
    "echo": False,
    "suffix": "",
    "tools": [],
    "functions": [],
    "store": False,
    "service_tier": "auto",
}
"""Fields of OpenAI that aren't supported, with the value that asks for nothing; some clients always send it."""


def parse(kind: type[B], values: Mapping[str, Any]) -> B:
    """Check a request. A null is a field that isn't given. Raises ApiError 400 that names the first bad field."""
    given = {name: value for name, value in values.items() if value is not None and not _neutral(name, value)}
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise invalid(error) from None


def invalid(error: ValidationError) -> ApiError:
    """What is wrong with the first bad field, and where it is."""
    problems = error.errors(include_url=False)
    # Where several types are allowed, the one that got furthest is the one that was meant
    same = [problem for problem in problems if problem["loc"][:1] == problems[0]["loc"][:1]]
    problem = max(same, key=lambda problem: len(problem["loc"]))
    path = _path(problem["loc"])
    if problem["type"] == "extra_forbidden":
        return ApiError(400, f"{path or 'a field'} is not supported", param=path, code="unsupported_parameter")
    said = problem["msg"].removeprefix("Value error, ")
    shown = "" if problem["type"] == "missing" else f" (given: {problem['input']!r:.{SHOWN_CHARACTERS}})"
    return ApiError(400, f"{path}: {said}{shown}" if path else said, param=path, code="invalid_value")


def _neutral(name: str, value: Any) -> bool:
    return name in NEUTRAL and value == NEUTRAL[name] and isinstance(value, bool) == isinstance(NEUTRAL[name], bool)


def _path(places: tuple[int | str, ...]) -> str | None:
    """`messages[0].content`; where several types are allowed, pydantic names the type as well, which is left out."""
    named = [part for number, part in enumerate(places) if not _is_type(places, number)]
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in named)
    return text.removeprefix(".")[:SHOWN_CHARACTERS] or None


def _is_type(places: tuple[int | str, ...], number: int) -> bool:
    part = places[number]
    if number == 0 or not isinstance(part, str):
        return False
    return part == "str" or part.startswith("list[") or places[number - 1] == "response_format"


# ---- how a text is to be written ----


class PlainText(Body):
    """Any text."""

    type: Literal["text"]


class AnyJson(Body):
    """A JSON object."""

    type: Literal["json_object"]


class NamedSchema(Body):
    """A JSON schema under a name."""

    name: str
    schema_: dict[str, Any] = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None
    """Answers always fit the schema."""


class JsonOfSchema(Body):
    """JSON that fits a schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


class OneOf(Body):
    """One of several texts. Not a format of OpenAI."""

    type: Literal["choices"]
    choices: list[str] = Field(min_length=1)


class Pattern(Body):
    """A text that fits a regular expression from its beginning to its end. Not a format of OpenAI."""

    type: Literal["regex"]
    pattern: str = Field(min_length=1)


Format = PlainText | AnyJson | JsonOfSchema | OneOf | Pattern


class StreamOptions(Body):
    """What a stream tells besides the text."""

    include_usage: bool = False
    """The last event counts the tokens."""


class Writing(SamplingSettings):
    """What completions and chat have in common."""

    model: str
    """The name of a model, see /v1/models."""
    temperature: float = Field(1.0, ge=0, le=100, allow_inf_nan=False, strict=True)
    """As in sampling; without it, the model's own distribution."""
    stop: str | list[StopString] | None = None  # type: ignore[assignment]
    """One string or several; the reply ends before the first of them."""
    n: int = Field(1, ge=1, strict=True)
    """How many texts are written for each prompt; the first is the one that n = 1 gives."""
    stream: bool = Field(False, strict=True)
    """Whether the text is sent as it comes, as server-sent events."""
    stream_options: StreamOptions | None = None
    response_format: Format = Field(PlainText(type="text"), discriminator="type")
    """What the text has to fit."""
    user: str | None = None
    """Accepted, since many clients send it, and not used."""

    def sampling(self, *, more_stops: tuple[str, ...] = (), seed: int | None) -> SamplingSettings:
        """How the tokens are chosen. Raises ApiError for what is out of range."""
        own = [] if self.stop is None else [self.stop] if isinstance(self.stop, str) else self.stop
        values = {name: getattr(self, name) for name in SamplingSettings.model_fields}
        values |= {"stop": tuple(dict.fromkeys((*own, *more_stops))), "seed": seed}
        try:
            return SamplingSettings.model_validate(values)
        except ValidationError as error:
            raise invalid(error) from None

    @property
    def greedy(self) -> bool:
        """Whether the best token is always taken."""
        return self.temperature < GREEDY_BELOW


class CompletionRequest(Writing):
    """A text to be continued."""

    prompt: str | list[str] | list[Id] | list[list[Id]]
    """A text, several, or token ids; an empty text begins a document."""
    logprobs: int | None = Field(None, ge=0, strict=True)
    """How many of the most probable tokens are told of at each place."""


class TextPart(Body):
    """A part of a message."""

    type: Literal["text"]
    text: str


class ChatMessage(Body):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]

    @property
    def text(self) -> str:
        """All of what it says."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class ChatRequest(Writing):
    """A conversation to be answered."""

    messages: list[ChatMessage] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1, strict=True)
    """OpenAI's newer name of max_tokens."""
    logprobs: bool = Field(False, strict=True)
    """Whether each token is told of."""
    top_logprobs: int | None = Field(None, ge=0, strict=True)
    """How many of the most probable tokens are told of at each place; needs logprobs."""


class EmbeddingsRequest(Body):
    """Texts to become vectors."""

    model: str
    input: str | list[str]
    """A text or several."""
    encoding_format: Literal["float", "base64"] = "float"
    """Numbers, or the bytes of little-endian float32."""
    user: str | None = None
    """Accepted, and not used."""


# ---- answers ----


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
