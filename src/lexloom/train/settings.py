"""The `[train]` section of a recipe: what every kind of training has, and what pre-training adds.

Reading it needs no torch. Fine-tuning's own settings are in train/finetuning.py.
"""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from lexloom.base.recipe import Settings

BUDGETS = ("steps", "tokens", "epochs", "minutes")

STEPPING = (
    *BUDGETS,
    *("optimizer", "lr", "muon_lr", "betas", "momentum", "weight_decay", "grad_clip"),
    *("schedule", "warmup_steps", "warmup_share", "decay_share", "final_lr_share"),
    *("evaluate_every", "patience", "checkpoint_every", "keep_checkpoints", "max_skipped_steps"),
    *("engine", "replicas", "batch_tokens", "batch_size", "compile"),
    *("class_weights", "label_smoothing", "augment", "layer_decay", "freeze_layers", "lora", "seeds"),
)
"""What only training by steps asks for. A model that is learned in one go names those that it uses."""
FITTING = ("memory_mb",)
"""What only such a model asks for."""

Compile = bool | Literal["auto"]


class LoopSettings(Settings):
    """How long and by which rule to train. A unit is what the data is counted in: a window, an example."""

    rivals: ClassVar[tuple[str, ...]] = BUDGETS
    default_epochs: ClassVar[float] = 1.0
    """The budget where none is named."""

    steps: int | None = Field(default=None, gt=0)
    """Budget in optimizer steps. Name at most one of steps, tokens, epochs and minutes; none means one epoch of
    pre-training, or three of fine-tuning."""
    tokens: int | None = Field(default=None, gt=0)
    """Budget in tokens read."""
    epochs: float | None = Field(default=None, gt=0)
    """Budget in passes over the training split."""
    minutes: float | None = Field(default=None, gt=0)
    """Budget in minutes of training; the plan turns it into steps once, before the first one."""

    optimizer: Literal["adamw", "sgd", "muon"] = "adamw"
    """`muon` orthogonalises the updates of hidden matrices and leaves the rest to AdamW."""
    lr: float = Field(default=3e-4, gt=0, allow_inf_nan=False)
    """Peak learning rate of AdamW or SGD."""
    muon_lr: float = Field(default=0.02, gt=0, allow_inf_nan=False)
    """Peak learning rate of the hidden matrices under `muon`."""
    betas: tuple[float, float] = (0.9, 0.95)
    """AdamW's decay rates of the first and second moment."""
    momentum: float = Field(default=0.95, ge=0, lt=1)
    """Momentum of SGD and Muon."""
    weight_decay: float = Field(default=0.1, ge=0, allow_inf_nan=False)
    """Decoupled decay of matrices; vectors (biases, gains) never decay."""
    grad_clip: float | None = Field(default=1.0, gt=0)
    """Largest norm of the whole gradient; unset: none."""

    schedule: Literal["constant", "cosine", "linear", "wsd", "inverse_sqrt"] = "cosine"
    """Course of the learning rate after the warm-up; `wsd` is warm-up, stable, decay; `inverse_sqrt` falls with the
    root of the steps, towards `final_lr_share` but never so far."""
    warmup_steps: int | None = Field(default=None, ge=0)
    """Steps of linear warm-up; unset: `warmup_share` of all steps."""
    warmup_share: float = Field(default=0.02, ge=0, le=1)
    """Share of all steps spent on the warm-up."""
    decay_share: float = Field(default=0.2, ge=0, le=1)
    """Share of all steps in which `wsd` decays."""
    final_lr_share: float = Field(default=0.1, ge=0, le=1)
    """Learning rate at the end of the schedule, as a share of its peak."""

    evaluate_every: int | None = Field(default=250, gt=0)
    """Steps between measurements on the validation split; unset: one after each epoch. The last step is always
    measured."""
    patience: int | None = Field(default=None, gt=0)
    """Stop after so many measurements in a row without a better one, and keep the best weights; unset: never."""
    checkpoint_every: int = Field(default=500, gt=0)
    """Steps between checkpoints; the last step always has one."""
    keep_checkpoints: int = Field(default=2, ge=2)
    """How many checkpoints stay; one would leave nothing while the next is being written."""
    max_skipped_steps: int = Field(default=10, gt=0)
    """Stop after so many non-finite steps in a row."""

    seed: int = Field(default=0, ge=0)
    """Names every random choice: weights, order, dropout."""
    threads: int | None = Field(default=None, gt=0)
    """Threads for torch; unset: the cores this process may use."""
    engine: Literal["auto", "torch", "numpy", "bfloat16"] = "auto"
    """What multiplies matrices: torch's own library (MKL), the OpenBLAS inside numpy, or torch in bfloat16 with sums in
    float32, which is fast only where the processor has it. `auto`: torch on Intel and on GPUs, else numpy."""
    replicas: int | None = Field(default=None, gt=0)
    """Python threads that share the units of a step, each with its share of `threads`; unset: one for each thread."""
    tensorboard: bool = False
    """Also write TensorBoard events; needs the extra `lexloom[tensorboard]`."""

    @model_validator(mode="after")
    def _one_budget(self) -> "LoopSettings":
        named = [name for name in BUDGETS if getattr(self, name) is not None]
        if len(named) > 1:
            raise ValueError(f"{' and '.join(named)} are both budgets; name one of {', '.join(BUDGETS)}")
        return self

    @model_validator(mode="after")
    def _sensible_rates(self) -> "LoopSettings":
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas {self.betas} must lie in [0, 1)")
        if self.warmup_steps is None and self.schedule == "wsd" and self.warmup_share + self.decay_share > 1:
            raise ValueError("warmup_share and decay_share together are more than the whole run")
        return self

    @property
    def worker_threads(self) -> int:
        """Python threads that compute gradients: `replicas`, or one where it isn't decided."""
        return 1 if self.replicas is None else self.replicas

    @property
    def batch_units(self) -> int:
        """Units of one optimizer step."""
        raise NotImplementedError

    @property
    def micro_tokens(self) -> int:
        """Tokens that may pass through the model at once; a step accumulates as many micro-batches as it needs."""
        raise NotImplementedError

    @property
    def compiling(self) -> Compile:
        """Whether to compile the model: never where each micro-batch has another shape."""
        return False


class TrainSettings(LoopSettings):
    """Pre-training: in what portions to read a prepared corpus."""

    context: int = Field(default=256, ge=2)
    """Length of a window, in tokens."""
    batch_tokens: int = Field(default=8192, gt=0)
    """Tokens of one optimizer step; a multiple of `context`."""
    micro_batch: int = Field(default=8, gt=0)
    """Windows that pass through the model at once; a step accumulates as many micro-batches as it needs."""
    boundaries: bool = False
    """Keep attention inside each document of a packed window."""

    carried_tokens: int = Field(default=0, ge=0)
    """Tokens of the text before each window that a recurrent model reads first, without a gradient: what it remembers
    is carried over, and the gradient is truncated to the window. Not together with `boundaries`."""

    evaluate_windows: int | None = Field(default=None, gt=0)
    """Windows of the validation split to measure, evenly spread; unset: all of it."""

    sample_every: int | None = Field(default=None, gt=0)
    """Steps between samples of text; unset: none."""
    sample_prompts: tuple[str, ...] = ("",)
    """Beginnings for the model to continue."""

    memory_mb: int = Field(default=2000, gt=0)
    """For models that are counted ("ngram"): what counting may hold in memory, in megabytes; the rest waits on the
    disk."""
    compile: bool | Literal["auto"] = "auto"
    """Compile the model; `auto` measures both ways where a compiler is present and the run is long enough."""

    @model_validator(mode="after")
    def _whole_windows(self) -> "TrainSettings":
        if self.batch_tokens % self.context:
            near = max(1, round(self.batch_tokens / self.context)) * self.context
            raise ValueError(
                f"batch_tokens {self.batch_tokens} is not a multiple of context {self.context}; nearest is {near}"
            )
        return self

    @model_validator(mode="after")
    def _one_way_to_begin(self) -> "TrainSettings":
        if self.carried_tokens and self.boundaries:
            raise ValueError(
                "boundaries let every document begin anew, so there is nothing for carried_tokens to carry"
            )
        return self

    @property
    def batch_units(self) -> int:
        """Windows of one optimizer step."""
        return self.batch_tokens // self.context

    @property
    def micro_tokens(self) -> int:
        """Tokens that pass through the model at once."""
        return self.micro_batch * self.context

    @property
    def compiling(self) -> Compile:
        """Whether to compile the model; with boundaries only on request, since then every batch has another shape."""
        return False if self.compile == "auto" and self.boundaries else self.compile
