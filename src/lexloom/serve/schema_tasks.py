"""Requests and answers of the routes for tasks and tokens.

An answer has one entry in `data` for each input, in their order: what the task's decode gives, as `lexloom predict`
writes it. Offsets are characters of the text as it was sent, counted from 0; the end is the character after the last.
"""

from typing import Literal

from pydantic import ConfigDict, Field

from lexloom.generate.settings import WritingSettings
from lexloom.serve.parsing import Body
from lexloom.serve.schema import Id
from lexloom.serve.schema_answers import Reply, Usage

LongTexts = Literal["cut", "windows"]


class Asked(Body):
    """What all tasks are asked."""

    model: str
    """The name of a model, see /v1/models."""


class TextsRequest(Asked):
    """Texts, each of which is read alone."""

    input: str | list[str]


class PairsRequest(Asked):
    """Texts, or pairs of texts that are read together."""

    input: str | list[str | list[str]]
    """A text, or a list of texts and of pairs: ["a text", ["a text", "and its partner"]]."""
    long_texts: LongTexts | None = None
    """What becomes of texts that are longer than the model reads; without it, as it was fine-tuned."""


class AnswerRequest(Asked):
    """A question about a passage."""

    question: str
    passage: str


class SimilarityRequest(Asked):
    """A text, and those that it is compared with."""

    first: str
    second: str | list[str]


class ChooseRequest(Asked):
    """A text, and candidates of which one fits it best."""

    input: str
    candidates: list[str] = Field(min_length=2)


class FillRequest(Asked):
    """A text with masks, written as the tokenizer's own: [MASK]."""

    input: str
    top: int = Field(5, ge=1)
    """Candidates for each mask."""


class WriteRequest(WritingSettings):
    """Texts of which others are written; settings that aren't given are the model's own."""

    model: str
    input: str | list[str]
    prefix: str | None = Field(None, strict=True)
    """What stands before each text, such as T5's "translate English to German: "; without it, the model's own."""


class TokenizeRequest(Asked):
    """A text to become tokens."""

    text: str


class DetokenizeRequest(Asked):
    """Tokens to become a text."""

    ids: list[Id]


class Result(Reply):
    """What a task's decode gives for one input, with the number of the input."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    index: int
    cut_characters: int = 0
    """Characters of the input that the model had no room to read."""


class Labelled(Result):
    """The label, or with several labels those that are given."""

    label: str | None = None
    labels: list[str] | None = None
    probability: float | None = None
    probabilities: dict[str, float]


class Number(Result):
    """A score."""

    score: float


class Entity(Reply):
    """A stretch of the text."""

    start: int
    end: int
    type: str
    text: str
    probability: float


class Tagged(Result):
    """The entities of a text."""

    entities: list[Entity]


class Answered(Result):
    """The answer as it stands in the passage; "" with start and end null where there is none."""

    answer: str
    start: int | None
    end: int | None
    probability: float


class Chosen(Result):
    """The candidate that fits best, counted from 0."""

    choice: int
    text: str
    probability: float


class Candidate(Reply):
    """A token for a mask."""

    token: str
    id: int
    probability: float
    text: str
    """The whole text with this token in the mask's place."""


class Filled(Result):
    """The candidates for one mask; `index` is the number of the mask."""

    candidates: list[Candidate]


class Other(Reply):
    """Another text that the search found."""

    text: str
    score: float


class Written(Result):
    """The text that was written, and with n_best above 1 the others that were found."""

    text: str
    score: float
    others: list[Other] | None = None


class Results(Reply):
    """What a task says."""

    object: Literal["list"] = "list"
    model: str
    usage: Usage


class LabelResults(Results):
    """Of classify and relations."""

    data: list[Labelled]


class NumberResults(Results):
    """Of similarity and regress."""

    data: list[Number]


class TagResults(Results):
    """Of tag."""

    data: list[Tagged]


class AnswerResults(Results):
    """Of answer."""

    data: list[Answered]


class ChooseResults(Results):
    """Of choose."""

    data: list[Chosen]


class FillResults(Results):
    """Of fill."""

    data: list[Filled]


class WriteResults(Results):
    """Of translate, summarise and ask."""

    data: list[Written]


class Tokens(Reply):
    """A text's tokens."""

    ids: list[int]
    tokens: list[str]
    """As the vocabulary names them."""
    offsets: list[tuple[int, int]]
    """The characters that each stands for."""
    count: int


class Detokenized(Reply):
    """A text."""

    text: str


class Health(Reply):
    """How the server is."""

    status: Literal["ok", "draining", "failed"]
    models: dict[str, str]
    """What each model's engine says: ok, or why it fails."""
