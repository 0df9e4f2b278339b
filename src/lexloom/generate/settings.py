"""How a text is written: every field bounded, every bound with its meaning."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from lexloom.base.recipe import Settings

DEFAULT_REPLY_TOKENS = 256
MAX_REPLY_TOKENS = 1_000_000
MAX_STOP_STRINGS = 16
MAX_STOP_CHARACTERS = 1_000
MAX_SEED = 2**63 - 1
MAX_NGRAM = 1_000
MAX_BEAMS = 256
MAX_LENGTH_PENALTY = 10.0
MAX_RATIO = 1_000.0
RATIO_EXTRA_TOKENS = 10  # besides `max_ratio`, so that the shortest source has room for an answer
GREEDY_BELOW = 1e-5  # a smaller temperature divides float32 scores into a one-hot distribution anyway

DRAWN = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "seed", "stop")
"""Settings that only matter where tokens are drawn one by one."""

StopString = Annotated[str, Field(min_length=1, max_length=MAX_STOP_CHARACTERS, strict=True)]


class LengthSettings(Settings):
    """How long a text may become, and what it may repeat, however its tokens are chosen."""

    max_tokens: int | None = Field(None, ge=1, le=MAX_REPLY_TOKENS, strict=True)
    """At most so many new tokens; a prompt and reply longer than the model's context are refused. Unset: 256, or as
    many as the context has room for."""

    min_tokens: int = Field(0, ge=0, le=MAX_REPLY_TOKENS, strict=True)
    """The end-of-text token can't be chosen before so many new tokens; stop strings are obeyed all the same."""

    no_repeat_ngram: int = Field(0, ge=0, le=MAX_NGRAM, strict=True)
    """No sequence of so many tokens that the prompt or reply already holds is written again; 0: all may be."""

    @model_validator(mode="after")
    def _min_fits_max(self) -> Self:
        if self.max_tokens is not None and self.min_tokens > self.max_tokens:
            raise ValueError(f"min_tokens {self.min_tokens} is above max_tokens {self.max_tokens}")
        return self


class SamplingSettings(LengthSettings):
    """What happens between the scores of the vocabulary and the next token.

    The filters act in the order of transformers: repetition penalty, `no_repeat_ngram`, `min_tokens`, temperature,
    top-k, top-p, min-p. Numbers outside the bounds, NaN, infinities and booleans are refused by name.
    """

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

    @property
    def greedy(self) -> bool:
        """Whether the best token is always taken."""
        return self.temperature < GREEDY_BELOW


class BeamSettings(LengthSettings):
    """How a beam search (Sutskever et al. 2014) looks for the most probable text.

    It ends when no running beam can overtake the worst of `beams` finished ones at its present length, which is what
    transformers does unless told to stop early.
    """

    beams: int = Field(4, ge=1, le=MAX_BEAMS, strict=True)
    """How many beginnings are continued side by side; 1: always the best token."""

    n_best: int = Field(1, ge=1, le=MAX_BEAMS, strict=True)
    """How many of the finished texts are returned, at most `beams`."""

    length_penalty: float = Field(1.0, ge=-MAX_LENGTH_PENALTY, le=MAX_LENGTH_PENALTY, allow_inf_nan=False, strict=True)
    """A text's score is its log-probability divided by its tokens to this power: 0 compares probabilities, 1 those of
    the mean token, more favours long texts (as transformers has it, after Wu et al. 2016)."""

    @model_validator(mode="after")
    def _beams_hold_the_best(self) -> Self:
        if self.n_best > self.beams:
            raise ValueError(f"n_best {self.n_best} is above beams {self.beams}")
        return self


class GenerateSettings(BeamSettings, SamplingSettings):
    """Either of the two: `beams` above 1 search, 1 samples; what only the other could obey is refused by name."""

    beams: int = Field(1, ge=1, le=MAX_BEAMS, strict=True)
    """How many beginnings are continued side by side for the most probable text; 1: tokens are sampled."""

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Self:
        if self.beams > 1:
            given = [name for name in DRAWN if getattr(self, name) != type(self).model_fields[name].default]
            if given:
                raise ValueError(f"a search with {self.beams} beams has no use for {', '.join(given)}")
        return self


class FormedSettings(GenerateSettings):
    """The same, and the form that the text must keep; at most one, and only where tokens are drawn."""

    choices: tuple[Annotated[str, Field(min_length=1, strict=True)], ...] = ()
    """The text is one of these."""

    regex: Annotated[str, Field(min_length=1, strict=True)] | None = None
    """The whole text fits this regular expression, in Rust's syntax."""

    json_schema: str | None = None
    """A file with a JSON schema; the text is JSON that it allows."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        given = [name for name in ("choices", "regex", "json_schema") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"a text has one form, not {' and '.join(given)}")
        if given and self.beams > 1:
            raise ValueError(f"a search with {self.beams} beams has no use for {given[0]}")
        return self


class WritingSettings(GenerateSettings):
    """How a text is written from another one; without any setting always with the best token."""

    temperature: float = Field(0.0, ge=0, le=100, allow_inf_nan=False, strict=True)
    """As in sampling; 0, the default, always takes the best token."""

    max_ratio: float | None = Field(None, gt=0, le=MAX_RATIO, allow_inf_nan=False, strict=True)
    """At most so many new tokens for each token of the source, and ten more; unset: `max_tokens` is the limit, or 256
    if that is unset too."""

    stop: tuple[StopString, ...] = Field((), max_length=0)
    """Has no use here: a text ends with the end-of-text token or at its limit."""
