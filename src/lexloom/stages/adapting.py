"""From a recipe and labelled examples to the parts of a fine-tuning run."""

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from lexloom.base.console import say
from lexloom.base.errors import DataError, RecipeError
from lexloom.base.ledger import Ledger
from lexloom.base.recipe import nearest
from lexloom.labelled.split import by_hash
from lexloom.models.folder import ModelFolder
from lexloom.objectives.contract import Objective
from lexloom.stages.beginning import config_under_head, first_model, open_base
from lexloom.stages.finetune_recipe import FinetuneRecipe
from lexloom.stages.fitting import fit_of, in_one_go, note_without_effect
from lexloom.stages.session import Fit
from lexloom.tasks import Encoded, Setting, Task, Weighing, fit_setting
from lexloom.tasks.augment import Augmentation
from lexloom.tasks.batches import EncodedExamples, objective
from lexloom.tasks.encoding import CUT, STAGE, UNKNOWN_LABEL
from lexloom.tasks.losses import balanced_weights
from lexloom.train import engines
from lexloom.train.finetuning import FinetuneSettings
from lexloom.train.layers import choose_trained, layer_rates
from lexloom.train.machine import machine_facts
from lexloom.train.optim import Optimizer

MOST_TOKENS = 512
"""The longest piece where nothing is said: every step pays for it. What is learned in one go reads whole texts."""
COLLATED_AT_ONCE = 1000
WITHOUT_EFFECT = ("checkpoint_every", "keep_checkpoints", "tensorboard", "threads")
"""Settings that may change on resume: the bits don't depend on them (the threads are among the machine's facts)."""


@dataclass(frozen=True)
class Data:
    """The examples of each split, and what was counted while they were read."""

    train: Sequence[Any]
    validation: Sequence[Any]
    test: Sequence[Any]
    ledger: Ledger


def read_data(recipe: FinetuneRecipe) -> Data:
    """Read all splits; where none is named for validation or test, shares of the training data are held out by content.

    Raises DataError for data that can't be used, naming its line.
    """
    task, settings = recipe.task.resolved()
    ledger, data = Ledger(), recipe.data
    train, validation, test = (
        _read(task, settings, sources, ledger) for sources in (data.train, data.validation, data.test)
    )
    if not test and data.test_share > 0:
        train, test = _held_out(train, data.test_share, "test")
    if not validation and data.validation_share > 0 and data.folds is None:
        # Of what is left, whose hashes are all above the test's share
        tested = 0.0 if data.test else data.test_share
        train, validation = _held_out(train, tested + data.validation_share * (1 - tested), "validation")
    return Data(train, validation, test, ledger)


@dataclass(frozen=True, kw_only=True)
class Adapting:
    """All that a fine-tuning run is put together from, except its length."""

    recipe: FinetuneRecipe
    """Resolved: engine, replicas and threads are decided."""
    task: Task
    setting: Setting
    base: ModelFolder
    data: Data
    units: EncodedExamples
    validation: EncodedExamples
    test: EncodedExamples
    weighing: Weighing
    made_with: dict[str, Any]

    @property
    def train(self) -> FinetuneSettings:
        """The settings of the loop."""
        return self.recipe.train

    @cached_property
    def objective(self) -> Objective:
        """What training minimises."""
        wanted = self.train.augment
        augmentation = None if wanted is None else Augmentation(wanted.deleted, wanted.swapped)
        return objective(self.task, self.setting, self.weighing, augmentation=augmentation)

    @cached_property
    def plain_objective(self) -> Objective:
        """What is measured: the same without weights, smoothing and augmentation."""
        return objective(self.task, self.setting)

    @property
    def fit(self) -> Fit | None:
        """How the model is learned in one go; None: by steps."""
        config = config_under_head(self.base, self.task, self.setting)
        weights_C = self.weighing.labels_C
        return fit_of(self.base.family, config, self.train, self.setting.tokenizer, "examples", weights_C)

    def build(self) -> tuple[Any, Optimizer]:
        """The model under the task's head with its first weights, the same every time, and its optimizer."""
        model, _ = first_model(self.base, self.task, self.setting, self.recipe)
        choose_trained(model, self.train)
        return model, Optimizer(model, self.train, layer_rates(model, self.train.layer_decay))


def gather(recipe: FinetuneRecipe, data: Data, run: Path) -> Adapting:
    """Open the model, encode the examples, check that everything fits together; decides engine, replicas and threads.

    `run` keeps the tokenizer of a model that begins from nothing. Raises RecipeError for settings that can't work,
    DataError for examples that can't be learned from, FolderError or DamagedError for a folder that can't be used.
    """
    wanted = recipe.train
    settings = engines.resolve(_with_fitting_batch(wanted, len(data.train)))
    engines.use(settings)
    recipe = recipe.model_copy(update={"train": settings})
    base = open_base(recipe, data.train, run)
    note_without_effect(base.family, wanted, "examples")
    task, setting = fitted(recipe, data.train, base)
    ledger = Ledger()
    ledger.add(data.ledger)
    train, validation, test = (task.encode(part, setting, ledger) for part in (data.train, data.validation, data.test))
    data = dataclasses.replace(data, ledger=ledger)
    fingerprints = {"train": _fingerprint_of_data(train), "validation": _fingerprint_of_data(validation)}
    _say_what_there_is(data, train, setting)
    if task.prepare is not None:
        say("Asking the model what it thinks before training")
        train, validation, test = (task.prepare(base.model, part, setting) for part in (train, validation, test))
    if settings.augment is not None and not task.augmentable:
        say(f"Note: {recipe.task.name} needs every word at its place; train.augment changes nothing")
    return Adapting(
        recipe=recipe,
        task=task,
        setting=setting,
        base=base,
        data=data,
        units=EncodedExamples(train),
        validation=EncodedExamples(validation),
        test=EncodedExamples(test),
        weighing=_weighing(task, setting, settings, train),
        made_with={
            "task": {"name": recipe.task.name, **setting.settings.model_dump(mode="json")},
            "labels": list(setting.labels),
            "max_tokens": setting.max_tokens,
            "model": {**recipe.model.model_dump(mode="json", exclude={"folder"}), "weights": _fingerprint(base.model)},
            "train": settings.model_dump(mode="json", exclude={*WITHOUT_EFFECT, "seeds"}),
            "data": fingerprints,
            "tokenizer": setting.tokenizer.sha256,
            **({} if recipe.model.folder else {"tokenizer_settings": recipe.tokenizer.model_dump(mode="json")}),
            "machine": machine_facts(),
        },
    )


def fitted(recipe: FinetuneRecipe, train: Sequence[Any], base: ModelFolder) -> tuple[Task, Setting]:
    """The task, and what it learns from the training examples before training."""
    task, settings = recipe.task.resolved()
    assert base.tokenizer is not None, "the folder was checked to have one"
    max_tokens = _max_tokens(recipe.train, base)
    return task, fit_setting(task, settings, train, tokenizer=base.tokenizer, max_tokens=max_tokens)


def _read(task: Task, settings: Any, sources: Sequence[str], ledger: Ledger) -> Sequence[Any]:
    if not sources:
        return []
    examples = task.read(sources, settings, ledger)
    if not examples:
        raise DataError("there are no examples", where=", ".join(sources))
    return examples


def _held_out(examples: Sequence[Any], share: float, split: str) -> tuple[Sequence[Any], Sequence[Any]]:
    try:
        return by_hash(examples, share)
    except DataError as error:
        fix = f"Name data.{split}, or set data.{split}_share to 0 to hold nothing out."
        raise DataError(error.what, where=error.where, fix=fix) from None


def _with_fitting_batch(settings: FinetuneSettings, examples: int) -> FinetuneSettings:
    """A batch of more examples than there are would put several epochs into one step."""
    if settings.batch_size <= examples:
        return settings
    say(f"There are {examples} examples, so a batch has {examples} instead of {settings.batch_size}")
    return settings.model_copy(update={"batch_size": examples})


def _max_tokens(settings: FinetuneSettings, base: ModelFolder) -> int:
    context: int = base.model.config.context
    if settings.max_tokens is None:
        return context if in_one_go(base.family, "examples") else min(context, MOST_TOKENS)
    if settings.max_tokens > context:
        raise RecipeError(
            f"{settings.max_tokens} tokens are more than the model's context of {context}", where="train.max_tokens"
        )
    return settings.max_tokens


def _weighing(task: Task, setting: Setting, settings: FinetuneSettings, train: Sequence[Encoded]) -> Weighing:
    wanted = settings.class_weights
    if wanted is None:
        return Weighing(None, settings.label_smoothing)
    if not setting.labels:
        raise RecipeError("the task has no labels to weigh", where="train.class_weights")
    if wanted == "balanced":
        chunks = [train[at : at + COLLATED_AT_ONCE] for at in range(0, len(train), COLLATED_AT_ONCE)]
        targets = torch.cat([task.collate(chunk, setting).targets for chunk in chunks])
        return Weighing(balanced_weights(targets, len(setting.labels)), settings.label_smoothing)
    assert isinstance(wanted, dict), "the settings allow nothing else"
    for label in wanted:
        if label not in setting.labels:
            raise RecipeError(
                f"there is no label {label!r}; {nearest(label, setting.labels)}", where="train.class_weights"
            )
    weights_C = torch.tensor([float(wanted.get(label, 1.0)) for label in setting.labels])
    return Weighing(weights_C, settings.label_smoothing)


def _say_what_there_is(data: Data, train: Sequence[Encoded], setting: Setting) -> None:
    lengths = [len(piece.ids) for example in train for piece in example.pieces]
    labels = f"{len(setting.labels)} labels, " if setting.labels else ""
    say(
        f"data       {len(data.train):,} examples to train on, {len(data.validation):,} for validation, "
        f"{len(data.test):,} for the test; {labels}{sum(lengths) / len(lengths):.0f} tokens on average, "
        f"{max(lengths)} at most, nothing padded"
    )
    if len(setting.labels) == 1:
        say(f"Warning: the training data knows one label only, {setting.labels[0]!r}; there is nothing to tell apart")
    examples = len(data.train) + len(data.validation) + len(data.test)
    cut, unknown = data.ledger[STAGE, CUT], data.ledger[STAGE, UNKNOWN_LABEL]
    if cut.documents:
        windows = ' or task.long_texts = "windows"' if hasattr(setting.settings, "long_texts") else ""
        say(
            f"Warning: {cut.documents:,} texts are cut at {setting.max_tokens} tokens, in {examples:,} examples; "
            f"{cut.characters:,} characters are lost (first: {cut.examples[0]}). A larger train.max_tokens{windows} "
            "keeps more."
        )
    if unknown.documents:
        say(
            f"Warning: {unknown.documents:,} examples have a label that is not in the training data, and count as "
            f"errors (first: {unknown.examples[0]})"
        )


def _fingerprint(model: Any) -> str:
    digest = hashlib.sha256()
    for name, parameter in model.named_parameters():
        digest.update(name.encode())
        digest.update(parameter.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()


def _fingerprint_of_data(encoded: Sequence[Encoded]) -> str:
    digest = hashlib.sha256()
    for example in encoded:
        digest.update(repr(([(piece.ids, piece.types) for piece in example.pieces], example.target)).encode())
    return digest.hexdigest()
