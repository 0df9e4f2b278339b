"""The `[train]` section of a recipe for fine-tuning. Reading it needs no torch."""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from lexloom.base.recipe import Settings
from lexloom.train.settings import LoopSettings


class LoraSettings(Settings):
    """Low-rank adaptation: the matrices stay as they are, and a product of two thin ones is learned for each.

    Source: Hu et al. 2021, arXiv:2106.09685. The products are added to the matrices before the model is saved.
    """

    rank: int = Field(default=8, gt=0)
    """The inner width of the product."""
    alpha: float = Field(default=16.0, gt=0)
    """The product counts alpha / rank times, so that another rank needs no other learning rate."""
    layers: Literal["attention", "all"] = "all"
    """Which matrices of the blocks: those of attention, or those of the feed-forward layers too."""


class AugmentSettings(Settings):
    """Training examples told a little differently in each epoch, for little data (Wei and Zou 2019, arXiv:1901.11196).

    For classify, regress and similarity; other tasks need every word at its place and read examples as they are.
    """

    deleted: float = Field(default=0.1, ge=0, lt=1)
    """Share of the words left out."""
    swapped: float = Field(default=0.1, ge=0, lt=1)
    """Share of the words that change places with the next one."""


class FinetuneSettings(LoopSettings):
    """Fine-tuning: the portions, and what suits small data."""

    default_epochs: ClassVar[float] = 3.0

    batch_size: int = Field(default=32, gt=0)
    """Examples of one optimizer step."""
    max_tokens: int | None = Field(default=None, gt=0)
    """Longest piece in tokens, special ones included; unset: what the model was made for, at most 512. Nothing is
    padded, so a high limit costs time only where texts are long."""
    micro_batch_tokens: int = Field(default=4096, gt=0)
    """Tokens that may pass through the model at once; a step accumulates as many micro-batches as it needs."""

    lr: float = Field(default=5e-5, gt=0, allow_inf_nan=False)
    """Peak learning rate of AdamW or SGD."""
    betas: tuple[float, float] = (0.9, 0.999)
    """AdamW's decay rates of the first and second moment."""
    weight_decay: float = Field(default=0.01, ge=0, allow_inf_nan=False)
    """Decoupled decay of matrices; vectors (biases, gains) never decay."""
    schedule: Literal["constant", "cosine", "linear", "wsd", "inverse_sqrt"] = "linear"
    """Course of the learning rate after the warm-up; `wsd` is warm-up, stable, decay; `inverse_sqrt` falls with the
    root of the steps, towards `final_lr_share` but never so far."""
    warmup_share: float = Field(default=0.1, ge=0, le=1)
    """Share of all steps spent on the warm-up."""
    final_lr_share: float = Field(default=0.0, ge=0, le=1)
    """Learning rate at the end of the schedule, as a share of its peak; the end is after the last step."""
    evaluate_every: int | None = Field(default=None, gt=0)
    """Steps between measurements on the validation split; unset: one after each epoch. The last step is always
    measured."""

    class_weights: Literal["balanced"] | dict[str, float] | None = None
    """What errors on each label cost: "balanced" is inverse to how often it occurs; or a table of labels, the others
    cost 1."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target that is spread evenly over all labels (Szegedy et al. 2016, arXiv:1512.00567)."""
    augment: AugmentSettings | None = None
    """Leave out and swap some words of the training examples, others in each epoch; unset: read them as they are."""
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    """The learning rate of each layer as a share of the one above it; 1: the same for all (Howard and Ruder 2018,
    arXiv:1801.06146)."""
    freeze_layers: int | None = Field(default=None, ge=0)
    """Leave the embeddings and so many blocks, from the lowest, as they are; unset: train all."""
    lora: LoraSettings | None = None
    """Train thin products instead of whole matrices; the head is trained whole."""
    seeds: int = Field(default=1, gt=0)
    """How many runs, with the seeds seed, seed + 1, …; the best on the validation split gives the model."""

    @model_validator(mode="after")
    def _one_way_to_freeze(self) -> "FinetuneSettings":
        if self.lora is not None and self.freeze_layers is not None:
            raise ValueError("lora freezes all layers by itself; name it or freeze_layers")
        return self

    @property
    def batch_units(self) -> int:
        """Examples of one optimizer step."""
        return self.batch_size

    @property
    def micro_tokens(self) -> int:
        """Tokens that may pass through the model at once."""
        return self.micro_batch_tokens
