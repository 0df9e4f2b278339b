"""What the studio's page may ask; refused by name is whatever isn't listed."""

from typing import Annotated

from pydantic import Field

from lexloom.generate.settings import MAX_SEED
from lexloom.serve.parsing import Body
from lexloom.serve.votes import Choice

NAME_CHARACTERS = 64


class ExplainRequest(Body):
    """Why a model answers an example as it does."""

    model: str
    texts: list[str] = Field(min_length=1)
    """What belongs together: a text, a pair, question and passage, a text and its candidates."""
    label: str | None = None
    """What speaks for this label instead of the model's own answer."""


class PairRequest(Body):
    """Two answers to one prompt, to be judged without names."""

    models: Annotated[list[str], Field(min_length=2, max_length=2)]
    prompt: str = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=1)
    temperature: float = Field(1.0, ge=0, le=100, allow_inf_nan=False)
    top_p: float = Field(1.0, gt=0, le=1, allow_inf_nan=False)
    seed: int | None = Field(None, ge=0, le=MAX_SEED)


class VoteRequest(Body):
    """Which side is better."""

    pair: str = Field(max_length=NAME_CHARACTERS)
    choice: Choice


class UndoRequest(Body):
    """The vote to be taken back."""

    pair: str = Field(max_length=NAME_CHARACTERS)


class RunRequest(Body):
    """One of the runs."""

    name: str
