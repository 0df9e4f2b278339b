"""The recipe: one TOML file for the whole line, put together from the sections that live beside what they configure."""

from typing import Any

from pydantic import ConfigDict, Field

from lexloom.base.recipe import Settings
from lexloom.data.masking import MaskingSettings
from lexloom.stages.prepare import PrepareSettings
from lexloom.train.settings import TrainSettings


class ModelSettings(Settings):
    """Which model, and how large; every other key of the section is a field of the family's `Config`."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    family: str = "llama"
    """The architecture. Decoders: "gpt" (GPT-2), "llama" (rotary positions, RMSNorm, gated feed-forward), "rnn" (LSTM
    or GRU) or "ngram" (counted, with Kneser-Ney smoothing). Encoders: "bert", "modernbert" (rotary positions, norms
    first, gated, local and global layers) or "elmo" (two-way LSTMs over words that it reads as bytes).
    Encoder-decoders: "transformer" (of 2017) or "t5" (relative positions, RMSNorm)."""
    preset: str | None = None
    """A named size of the family, for example "toy" or "smollm2-135m"; keys given beside it win."""

    @property
    def fields(self) -> dict[str, Any]:
        """The keys meant for the family's `Config`."""
        return dict(self.model_extra or {})


class Recipe(Settings):
    """From raw text to a trained model."""

    objective: str = "causal"
    """What the model learns: "causal" is to foretell the next token; for encoders, "masked" is to find hidden tokens,
    "masked+next" also whether one half of a text follows the other (BERT), "bidirectional" is to foretell words from
    either side (ELMo); for encoder-decoders, "denoise" is to write what was cut out (T5), "prefix" to write the rest of
    a text."""
    prepare: PrepareSettings = Field(default_factory=PrepareSettings)
    """Text in, tokens out."""
    model: ModelSettings = Field(default_factory=ModelSettings)
    """The architecture and its size."""
    masking: MaskingSettings = Field(default_factory=MaskingSettings)
    """What is hidden from the model, for the masked objectives and "denoise"."""
    train: TrainSettings = Field(default_factory=TrainSettings)
    """How long, how fast, in which order."""
