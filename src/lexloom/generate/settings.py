"""How a reply is sampled: every field bounded, every bound with its meaning."""

from typing import Annotated

from pydantic import Field, model_validator

from lexloom.base.recipe import Settings

DEFAULT_REPLY_TOKENS = 256
MAX_REPLY_TOKENS = 1_000_000
MAX_STOP_STRINGS = 16
MAX_STOP_CHARACTERS = 1_000
MAX_SEED = 2**63 - 1
GREEDY_BELOW = 1e-5  # a smaller temperature divides float32 scores into a one-hot distribution anyway

StopString = Annotated[str, Field(min_length=1, max_length=MAX_STOP_CHARACTERS, strict=True)]


class SamplingSettings(Settings):
    """What happens between the scores of the vocabulary and the next token.

    The filters act in the order of transformers: repetition penalty, `min_tokens`, temperature, top-k, top-p, min-p.
    Numbers outside the bounds, NaN, infinities and booleans are refused by name.
    """

    max_tokens: int | None = Field(None, ge=1, le=MAX_REPLY_TOKENS, strict=True)
    """At most so many new tokens; a prompt and reply longer than the model's context are refused. Unset: 256, or as
    many as the context has room for."""

    min_tokens: int = Field(0, ge=0, le=MAX_REPLY_TOKENS, strict=True)
    """The end-of-text token can't be chosen before so many new tokens; stop strings are obeyed all the same."""

    temperature: float = Field(0.8, ge=0, le=100, allow_inf_nan=False, strict=True)
    """Scores are divided by it: 1 is the model's own distribution, less is surer. 0, and all below 0.00001, is greedy:
    always the best token, the one with the lowest id among equals."""

    top_k: int = Field(0, ge=0, le=2**31 - 1, strict=True)
    """Only the k best tokens (and those equal to the k-th) can be chosen; 0, or more than the vocabulary: all."""

    top_p: float = Field(1.0, gt=0, le=1, allow_inf_nan=False, strict=True)
    """Only the best tokens that together reach this probability can be chosen (Holtzman et al. 2020); 1: all."""

    min_p: float = Field(0.0, ge=0, le=1, allow_inf_nan=False, strict=True)
    """Only tokens at least this many times as probable as the best one (Nguyen et al. 2024); 0: all, 1: the best."""

    repetition_penalty: float = Field(1.0, ge=0.1, le=10, allow_inf_nan=False, strict=True)
    """Positive scores of tokens that the prompt or reply already holds are divided by it, negative ones multiplied
    (Keskar et al. 2019); 1: off."""

    seed: int | None = Field(None, ge=0, le=MAX_SEED, strict=True)
    """The same seed, prompt and settings give the same reply, whatever else is in the batch. Unset: a new one each
    time."""

    stop: tuple[StopString, ...] = Field((), max_length=MAX_STOP_STRINGS)
    """The reply ends before the first of these strings, which is not shown."""

    @model_validator(mode="after")
    def _min_fits_max(self) -> "SamplingSettings":
        if self.max_tokens is not None and self.min_tokens > self.max_tokens:
            raise ValueError(f"min_tokens {self.min_tokens} is above max_tokens {self.max_tokens}")
        return self

    @property
    def greedy(self) -> bool:
        """Whether the best token is always taken."""
        return self.temperature < GREEDY_BELOW
