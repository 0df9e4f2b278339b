"""The recipe of a comparison: named models, what all of them learn from, and the budget that each of them has."""

import re
from typing import Any, ClassVar

from pydantic import Field, field_validator

from lexloom.base.errors import RecipeError
from lexloom.base.recipe import Settings, check
from lexloom.generate.settings import SamplingSettings
from lexloom.stages.finetune_recipe import DataSection, FinetuneRecipe, TaskSection
from lexloom.stages.prepare import PrepareSettings
from lexloom.stages.recipe import Recipe

NAME = re.compile(r"[^\W_][\w .+×-]*")

Section = dict[str, Any]


class Budget(Settings):
    """What each model may spend; it becomes the budget of its `[train]` section."""

    rivals: ClassVar[tuple[str, ...]] = ("minutes", "tokens")

    minutes: float | None = Field(default=None, gt=0)
    """Minutes of training."""
    tokens: int | None = Field(default=None, gt=0)
    """Tokens read in training."""


class SamplesSection(SamplingSettings):
    """What the generating models write, each from the same beginnings."""

    beginnings: tuple[str, ...] = ("",)
    """Texts to be continued."""
    max_tokens: int | None = Field(default=80, ge=1, strict=True)
    """The length of each continuation."""
    seed: int | None = Field(default=0, ge=0, strict=True)
    """The same for every model."""


class CompareRecipe(Settings):
    """Named models × one corpus × one budget: language models of a text, or, with a `[task]`, models that do it."""

    prepared: str | None = None
    """A prepared folder that all language models learn from; unset: one is made as `[prepare]` says."""
    prepare: PrepareSettings = Field(default_factory=PrepareSettings)
    """Text in, tokens out, once for all models."""
    task: TaskSection | None = None
    """What is to be learned from labelled examples; unset: language models are compared."""
    data: DataSection = Field(default_factory=DataSection)
    """The labelled examples, split once for all models."""
    shares: tuple[float, ...] = (0.1, 0.3, 1.0)
    """The shares of the labelled training examples that every model is trained on."""
    budget: Budget = Field(default_factory=Budget)
    """What each model may spend; unset: what the models' own `[train]` sections say."""
    train: Section = Field(default_factory=dict)
    """Settings of training that all models share; a model's own win."""
    samples: SamplesSection = Field(default_factory=lambda: SamplesSection.model_validate({}))
    """What the language models write."""
    models: dict[str, Section] = Field(default_factory=dict)
    """By name, in the order of history: the sections `model`, `train`, … of an ordinary recipe."""

    @field_validator("shares")
    @classmethod
    def _shares_ascend_to_all(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if not shares or not all(0 < share <= 1 for share in shares) or list(shares) != sorted(set(shares)):
            raise ValueError("shares are numbers above 0 up to 1, ascending")
        return shares

    @property
    def labelled(self) -> bool:
        """Whether the models do a task."""
        return self.task is not None


def check_names(recipe: CompareRecipe) -> None:
    """Raise RecipeError unless there are models, with names that can be those of folders."""
    if not recipe.models:
        raise RecipeError("names no models", where="models", fix="Add a section [models.NAME] for each.")
    for name in recipe.models:
        if not NAME.fullmatch(name):
            raise RecipeError(f"{name!r} can't be the name of a folder", where="models", fix="Begin with a letter.")


def pretraining_recipe(recipe: CompareRecipe, name: str) -> Recipe:
    """The ordinary recipe of one of the language models. Raises RecipeError."""
    return check(Recipe, _sections(recipe, name), where=f"models.{name}")


def finetuning_recipe(recipe: CompareRecipe, name: str) -> FinetuneRecipe:
    """The ordinary recipe of one of the models that do the task. Raises RecipeError."""
    assert recipe.task is not None, "only a task can be learned from labelled examples"
    shared = {"task": recipe.task.model_dump(), "data": recipe.data.model_dump()}
    return check(FinetuneRecipe, {**shared, **_sections(recipe, name)}, where=f"models.{name}")


def _sections(recipe: CompareRecipe, name: str) -> Section:
    own = recipe.models[name]
    budget = recipe.budget.model_dump(exclude_none=True)
    return {**own, "train": {**recipe.train, **budget, **own.get("train", {})}}
