"""What fine-tuning begins with: the folder of a model, or a new model with a tokenizer of its own."""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lexloom.base import files
from lexloom.base.console import say
from lexloom.base.errors import FolderError, RecipeError
from lexloom.base.recipe import choose
from lexloom.labelled.views import view
from lexloom.models import FAMILIES, LAST_LAYER, Family, new_model, with_head
from lexloom.models.folder import ModelFolder, load_model
from lexloom.nn.published import LABELLED
from lexloom.stages.building import config_of
from lexloom.stages.finetune_recipe import FinetuneRecipe
from lexloom.stages.prepare import make_tokenizer
from lexloom.stages.ready_vectors import lay_in, read_table, width_of
from lexloom.stages.recipe import ModelSettings
from lexloom.stages.session import CHECKPOINTS
from lexloom.tasks import Setting, Task
from lexloom.text.tokenizers import Tokenizer, ending_texts, load_tokenizer, write_tokenizer
from lexloom.train import checkpoint
from lexloom.train.parallel import rank_and_size

TOKENIZER = "tokenizer"
"""The folder in a run that keeps the tokenizer of a model that begins from nothing."""


def open_base(recipe: FinetuneRecipe, train: Sequence[Any], run: Path) -> ModelFolder:
    """The folder that the recipe names; or a new model, whose tokenizer is learned from the texts of `train`.

    The tokenizer stays in `run`, so that whoever goes on has the same. Raises FolderError or RecipeError if the model
    can't serve the task.
    """
    return _opened(recipe) if recipe.model.folder is not None else _new(recipe, train, run)


def first_model(base: ModelFolder, task: Task, setting: Setting, recipe: FinetuneRecipe) -> tuple[Any, list[str]]:
    """The model, an encoder under the task's head, and the names of the parameters that were drawn.

    The head of a model that was fine-tuned before is kept if its labels are the same ones in the same order.
    """
    columns, seed, old = task.columns(setting.labels), recipe.train.seed, base.model
    for name, share in recipe.model.dropouts.items():
        if not hasattr(old.config, name):
            raise RecipeError(f"{base.family} has no such setting", where=f"model.{name}")
        old.config = dataclasses.replace(old.config, **{name: share})
    if not FAMILIES[base.family].heads:
        return _without_head(base, seed, from_nothing=recipe.model.begins_anew)
    if recipe.model.begins_anew:
        model = new_model(base.family, config_under_head(base, task, setting), seed=seed)
        if recipe.model.vectors is not None:
            with torch.no_grad():
                model.tokens.weight.copy_(old.tokens.weight)
        return model, [name for name, _ in model.named_parameters()]
    model, fresh = with_head(old, task.head, columns, seed=seed)
    if task.head in LABELLED and _labels_of(base) != list(setting.labels):
        drawn = dict(new_model(base.family, model.config, seed=seed).named_parameters())
        again = [name for name in drawn if name.startswith(LAST_LAYER)]
        with torch.no_grad():
            for name in again:
                model.get_parameter(name).copy_(drawn[name])
        fresh = sorted({*fresh, *again})
    return model, fresh


def config_under_head(base: ModelFolder, task: Task, setting: Setting) -> Any:
    """The model's config, with the head that the task asks of an encoder."""
    config = base.model.config
    if not FAMILIES[base.family].heads:
        return config
    labels = task.columns(setting.labels) if task.head in LABELLED else type(config).labels
    return dataclasses.replace(config, head=task.head, labels=labels)


# ---- a folder ----


def _opened(recipe: FinetuneRecipe) -> ModelFolder:
    folder = str(recipe.model.folder)
    base = load_model(Path(folder))
    problem = _misfit(recipe, base.family)
    if problem is not None:
        what, fitting = problem
        raise FolderError(f"holds a {what}", where=folder, fix=f"Name the folder of a {fitting}.")
    if base.tokenizer is None:
        raise FolderError("has no tokenizer.json", where=folder)
    return base


def _misfit(recipe: FinetuneRecipe, family: str) -> tuple[str, str] | None:
    """What is wrong with a family for the task, and which ones would do; None if it can do it."""
    kind, needs = FAMILIES[family].kind, recipe.task.resolved()[0].needs
    if kind in needs:
        return None
    fitting = " or ".join(name for name, other in FAMILIES.items() if other.kind in needs)
    return f"{family}, which is {_kinds([kind])}; {recipe.task.name} needs {_kinds(needs)}", fitting


def _kinds(kinds: Sequence[str]) -> str:
    return " or ".join(f"a{'n' if kind.startswith('e') else ''} {kind}" for kind in kinds)


def _without_head(base: ModelFolder, seed: int, *, from_nothing: bool) -> tuple[Any, list[str]]:
    model = new_model(base.family, base.model.config, seed=seed)
    if from_nothing:
        return model, [name for name, _ in model.named_parameters()]
    model.load_state_dict(base.model.state_dict())
    return model, []


def _labels_of(base: ModelFolder) -> list[str] | None:
    """The labels of the head that came along, none for a head that gives a number; None if nobody has said."""
    task = base.facts.get("task")
    if task is not None:
        return list(task["labels"])
    return None if base.labels is None else list(base.labels)


# ---- from nothing ----


def _new(recipe: FinetuneRecipe, train: Sequence[Any], run: Path) -> ModelFolder:
    section, task = recipe.model, recipe.task.resolved()[0]
    assert section.family is not None, "a recipe names a folder or a family (see check_recipe)"
    family: Family = choose(FAMILIES, section.family, field="model.family")
    problem = _misfit(recipe, section.family)
    if problem is not None:
        what, fitting = problem
        raise RecipeError(f"is a {what}", where="model.family", fix=f"Choose {fitting}.")
    tokenizer = _tokenizer(recipe, train, run)
    table = None if section.vectors is None else read_table(Path(section.vectors))
    widths = {} if table is None or not hasattr(family.config, "table_width") else {"embedding_width": width_of(table)}
    shape = ModelSettings(family=section.family, preset=section.preset, **{**widths, **section.shape})
    head = task.head if family.kind == "encoder" else None
    config = config_of(shape, tokenizer, kind=family.kind, head=head)
    model = new_model(section.family, config, seed=recipe.train.seed).eval()
    if table is not None:
        lay_in(model, tokenizer, table, where=str(section.vectors))
    return ModelFolder(model, tokenizer, section.family, facts={}, generation={})


def _tokenizer(recipe: FinetuneRecipe, train: Sequence[Any], run: Path) -> Tokenizer:
    """The run's own tokenizer; made, the same every time, where there is none, or only that of a run that never began.

    A run that has begun keeps its own; that nothing else has changed is checked as everything else is.
    """
    folder, texts = run / TOKENIZER, [text for example in train for text in view(example).texts]
    made_of = {"settings": recipe.tokenizer.model_dump(mode="json"), "texts": _digest(texts)}
    if folder.is_dir():
        manifest = files.verify_folder(folder)
        if manifest.get("made_of") == made_of or checkpoint.complete_steps(run / CHECKPOINTS):
            return load_tokenizer(folder)
    tokenizer = make_tokenizer(texts, recipe.tokenizer)
    if FAMILIES[str(recipe.model.family)].kind == "encoder-decoder":
        tokenizer = ending_texts(tokenizer)
    say(f"tokenizer  {tokenizer.vocab_size:,} tokens, learned from the training texts")
    if rank_and_size()[0] == 0:
        with files.new_folder(folder, facts={"kind": "tokenizer", "made_of": made_of}, replace=True) as new:
            write_tokenizer(new, tokenizer)
    return tokenizer


def _digest(texts: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()
