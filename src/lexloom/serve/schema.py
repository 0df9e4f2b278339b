"""Requests of the routes that OpenAI's clients know; what a field may be stands here and nowhere else.

Fields beyond OpenAI's: those of SamplingSettings, and the formats `choices` and `regex`.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from lexloom.generate.settings import GREEDY_BELOW, SamplingSettings, StopString
from lexloom.serve.parsing import Body, invalid

Id = Annotated[int, Field(ge=0, strict=True)]
"""A token of the vocabulary."""

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
    dimensions: int | None = Field(None, ge=1, strict=True)
    """How many numbers a vector has; must be the model's own count, since its vectors can't be shortened."""
    user: str | None = None
    """Accepted, and not used."""
