"""The recipe for fine-tuning: a task, labelled data, a model to begin with, and how to train."""

from typing import Any

from pydantic import ConfigDict, Field, field_validator

from lexloom.base.errors import RecipeError
from lexloom.base.recipe import Settings, check, choose, nearest
from lexloom.tasks import TASKS, Task
from lexloom.text.tokenizers import TokenizerSettings
from lexloom.train.finetuning import FinetuneSettings


class TaskSection(Settings):
    """What is to be learned; every other key of the section is one of the task's own settings."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    name: str = "classify"
    """For encoders classify, regress, tag, relation, span, similarity or choice; for decoders chat or preference; for
    encoder-decoders text2text."""

    def resolved(self) -> tuple[Task, Settings]:
        """The task and its settings, or RecipeError naming the key."""
        task: Task = choose(TASKS, self.name, field="task.name")
        return task, check(task.settings, dict(self.model_extra or {}), where="task")


class DataSection(Settings):
    """Where the labelled examples are."""

    train: tuple[str, ...] = ()
    """Files, folders or patterns to train on."""
    validation: tuple[str, ...] = ()
    """To measure on while training; unset: a share of the training data, chosen by its content."""
    test: tuple[str, ...] = ()
    """To measure on at the end, and for nothing else."""
    validation_share: float = Field(default=0.1, ge=0, lt=1)
    """The share of the training data that is held out where no validation data is named; 0: none."""
    test_share: float = Field(default=0.0, ge=0, lt=1)
    """The share of the training data that is held out for the test where no test data is named, chosen by its content
    as well; 0: none."""
    folds: int | None = Field(default=None, ge=2)
    """Cross-validation: every example is foretold once by a model that hasn't seen it; then all are trained on."""

    @field_validator("train", "validation", "test", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class ModelSection(Settings):
    """What to begin with: a folder; or a family, and then every other key of the section is a field of its `Config`."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    folder: str | None = None
    """A model folder: a published model, one that `pretrain` made, or an earlier run's `model`."""
    family: str | None = None
    """The architecture of a new model, such as "transformer", "t5" or "bert", instead of a folder."""
    preset: str | None = None
    """A named size of the family; keys given beside it win."""
    vectors: str | None = None
    """Word vectors with which a new model's embeddings begin: a file of word2vec or GloVe, or the folder of a model
    that has some. `train.freeze_layers = 0` keeps them as they are."""
    from_nothing: bool = False
    """Take the folder's shape and tokenizer, and draw new weights: what pre-training is worth."""
    dropout: float | None = Field(default=None, ge=0, lt=1)
    """Share of outputs dropped in training; unset: as the folder says."""
    attention_dropout: float | None = Field(default=None, ge=0, lt=1)
    """Share of attention weights dropped in training; unset: as the folder says."""

    @property
    def begins_anew(self) -> bool:
        """Whether the first weights are drawn."""
        return self.from_nothing or self.folder is None

    @property
    def dropouts(self) -> dict[str, float]:
        """The shares that are set."""
        return self.model_dump(include={"dropout", "attention_dropout"}, exclude_none=True)

    @property
    def shape(self) -> dict[str, Any]:
        """The keys meant for the family's `Config`."""
        return {**(self.model_extra or {}), **self.dropouts}


class FinetuneRecipe(Settings):
    """From labelled examples and a pre-trained model to one that does a task."""

    task: TaskSection = Field(default_factory=TaskSection)
    """What is to be learned."""
    data: DataSection = Field(default_factory=DataSection)
    """Labelled examples."""
    model: ModelSection = Field(default_factory=ModelSection)
    """What to begin with."""
    tokenizer: TokenizerSettings = Field(default_factory=TokenizerSettings)
    """The tokenizer of a new model, learned from the training texts; one folder's model brings its own."""
    train: FinetuneSettings = Field(default_factory=FinetuneSettings)
    """How long, how fast, and what suits small data."""


def check_recipe(recipe: FinetuneRecipe) -> None:
    """Raise RecipeError for what can be known to fail before anything is read."""
    recipe.task.resolved()
    _check_model(recipe.model)
    if not recipe.data.train:
        raise RecipeError("names no training data", where="data.train", fix="Set data.train=FILE.")
    if recipe.data.folds is not None and recipe.train.seeds > 1:
        raise RecipeError("folds and seeds don't go together", where="data.folds", fix="Set train.seeds to 1.")
    if recipe.data.folds is not None and recipe.data.validation:
        raise RecipeError("the folds are the validation data", where="data.validation", fix="Leave it out.")


def _check_model(section: ModelSection) -> None:
    if (section.folder is None) == (section.family is None):
        what = "names neither a folder nor a family" if section.folder is None else "names both a folder and a family"
        fix = (
            "Set model.folder=FOLDER to begin with a trained model, or model.family=transformer to begin from nothing."
        )
        raise RecipeError(what, where="model", fix=fix)
    if section.folder is not None and section.vectors is not None:
        raise RecipeError("the model has embeddings already", where="model.vectors", fix="Leave it out.")
    if section.folder is not None and section.model_extra:
        known = list(ModelSection.model_fields)
        name = next(iter(section.model_extra))
        raise RecipeError(f"unknown key; {nearest(name, known)}", where=f"model.{name}")
