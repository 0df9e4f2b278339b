"""From a recipe and a prepared folder to the parts of a run; `plan` and `pretrain` share it."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lexloom.base.errors import FolderError, RecipeError, UserError
from lexloom.base.recipe import choose, nearest
from lexloom.data.batches import LEAST_TOKENS, Windows
from lexloom.data.shards import TokenShards, open_split
from lexloom.models import FAMILIES, Family, Kind, new_model
from lexloom.objectives import OBJECTIVES, Objective
from lexloom.objectives.pairs import ends_of
from lexloom.stages.fitting import fit_of, in_one_go
from lexloom.stages.recipe import ModelSettings, Recipe
from lexloom.stages.session import Fit
from lexloom.text.tokenizers import Tokenizer, load_tokenizer
from lexloom.train import engines
from lexloom.train.machine import machine_facts
from lexloom.train.optim import Optimizer
from lexloom.train.settings import TrainSettings


@dataclass(frozen=True, kw_only=True)
class Parts:
    """All that a run is put together from, except its length."""

    recipe: Recipe
    tokenizer: Tokenizer
    objective: Objective
    config: Any
    units: Windows
    validation: Windows | None
    """None if the validation split is empty."""
    tokens_per_byte: float | None
    """Of the validation split, for bits per byte; None where the losses are not those of a code of the text."""
    made_with: dict[str, Any]
    """What decides the run's bits, compared on resume."""

    @property
    def train(self) -> TrainSettings:
        """The settings of the loop."""
        return self.recipe.train

    @property
    def blank(self) -> str | None:
        """The token that stands in a text for what the model is to fill in; None if it writes on."""
        return blank_of(self.objective, self.tokenizer)

    @property
    def fit(self) -> Fit | None:
        """How the model is learned in one go; None: by steps."""
        return fit_of(self.recipe.model.family, self.config, self.train, self.tokenizer, "corpus")

    def build(self) -> tuple[Any, Optimizer]:
        """A model with its first weights, the same every time, and its optimizer."""
        model = new_model(self.recipe.model.family, self.config, seed=self.train.seed)
        return model, Optimizer(model, self.train)


def gather(recipe: Recipe, prepared: Path) -> Parts:
    """Open the data and check that everything fits together; decides engine, replicas and threads.

    Raises RecipeError for settings that can't work, FolderError or DamagedError for a folder that can't be used.
    """
    settings = engines.resolve(recipe.train)
    engines.use(settings)
    recipe = recipe.model_copy(update={"train": settings})
    make_objective = choose(OBJECTIVES, recipe.objective, field="objective")
    tokenizer = load_tokenizer(prepared)
    objective: Objective = make_objective(recipe.masking, tokenizer)
    train = open_split(prepared, "train", tokenizer_sha256=tokenizer.sha256)
    validation = open_split(prepared, "validation", tokenizer_sha256=tokenizer.sha256)
    config = config_of(recipe.model, tokenizer, kind=objective.kind, head=objective.head)
    _check_fit(recipe, config)
    _check_learning(recipe, objective)
    _check_prompts(settings, tokenizer, config, objective)
    return Parts(
        recipe=recipe,
        tokenizer=tokenizer,
        objective=objective,
        config=config,
        units=_windows(train, settings, objective),
        validation=_windows(validation, settings, objective) if validation.total_tokens >= LEAST_TOKENS else None,
        tokens_per_byte=_tokens_per_byte(validation) if objective.kind == "decoder" else None,
        made_with={
            "objective": recipe.objective,
            **({} if objective.kind == "decoder" else {"masking": recipe.masking.model_dump(mode="json")}),
            "model": {"family": recipe.model.family, **dataclasses.asdict(config)},
            "train": settings.model_dump(mode="json", exclude=set(WITHOUT_EFFECT)),
            "data": {"train": train.fingerprint, "validation": validation.fingerprint},
            "tokenizer": tokenizer.sha256,
            "machine": machine_facts(),
        },
    )


WITHOUT_EFFECT = ("checkpoint_every", "keep_checkpoints", "memory_mb", "tensorboard", "threads")
"""Settings that may change on resume: the bits don't depend on them (the threads are among the machine's facts)."""


def config_of(section: ModelSettings, tokenizer: Tokenizer, *, kind: Kind, head: str | None) -> Any:
    """The family's Config: the preset, then the recipe's own keys, then what the tokenizer and the objective decide.

    `kind` and `head` are those that the objective or the task is for. `vocab_size` in the recipe may be larger than the
    tokenizer's, never smaller. Raises RecipeError naming the key.
    """
    family: Family = choose(FAMILIES, section.family, field="model.family")
    _check_kind(section.family, family, kind, head)
    if family.kind != "encoder" and tokenizer.spells_words:
        raise RecipeError(
            f"{section.family} writes, and the bytes of words are for reading",
            where="prepare.tokenizer.kind",
            fix='Choose another kind, such as "bpe".',
        )
    vocab_size = tokenizer.vocab_size
    decided = DECIDED[kind](tokenizer, head)
    for name in decided:
        if name in section.fields:
            raise RecipeError("what is learned decides it", where=f"model.{name}", fix="Leave it out.")
    fields = {"vocab_size": vocab_size, **section.fields, **decided}
    known = [field.name for field in dataclasses.fields(family.config)]
    for name in fields:
        if name not in known:
            raise RecipeError(f"unknown key; {nearest(name, known)}", where=f"model.{name}")
    try:
        config = _from_preset(family, section, fields)
    except UserError as error:
        raise RecipeError(error.what, where=f"model.{error.where}" if error.where else "model", fix=error.fix) from None
    if config.vocab_size < vocab_size:
        raise RecipeError(
            f"{config.vocab_size} is less than the tokenizer's {vocab_size} tokens", where="model.vocab_size"
        )
    return config


def _from_preset(family: Family, section: ModelSettings, fields: dict[str, Any]) -> Any:
    if section.preset is not None:
        return dataclasses.replace(choose(family.presets, section.preset, field="model.preset"), **fields)
    needed = [field.name for field in dataclasses.fields(family.config) if field.default is dataclasses.MISSING]
    missing = [name for name in needed if name not in fields]
    if missing:
        raise RecipeError(
            f"has no {', '.join(missing)}", where="model", fix=f"Set them, or a preset: {', '.join(family.presets)}."
        )
    return family.config(**fields)


def _ends(tokenizer: Tokenizer, head: str | None) -> dict[str, Any]:
    ends = ends_of(tokenizer)
    return {"start_id": ends.start_id, "pad_id": ends.start_id}


DECIDED: dict[Kind, Callable[[Tokenizer, str | None], dict[str, Any]]] = {
    "encoder": lambda tokenizer, head: {"head": head},
    "decoder": lambda tokenizer, head: {},
    "encoder-decoder": _ends,
}
"""What is not the recipe's to say, by the kind of family."""

KINDS = {"encoder": "an encoder", "decoder": "a decoder", "encoder-decoder": "an encoder-decoder"}
FITTING = {"encoder": '"masked" or "bidirectional"', "decoder": '"causal"', "encoder-decoder": '"denoise" or "prefix"'}
"""The objectives of each kind of family."""


def _check_kind(name: str, family: Family, kind: Kind, head: str | None) -> None:
    if family.kind != kind:
        families = ", ".join(other for other, of in FAMILIES.items() if of.kind == kind)
        raise RecipeError(
            f"{name} is {KINDS[family.kind]}, and the objective is for {KINDS[kind]}",
            where="model.family",
            fix=f"Choose {families}; or the objective {FITTING[family.kind]}.",
        )
    if head is not None and head not in family.heads:
        raise RecipeError(f"{name} has no head for this objective", where="objective")


def _windows(shards: TokenShards, settings: TrainSettings, objective: Objective) -> Windows:
    return Windows(
        shards, objective.window_tokens(settings.context), boundaries=settings.boundaries, past=settings.carried_tokens
    )


def _tokens_per_byte(shards: TokenShards) -> float:
    return shards.total_tokens / max(1, int(shards.documents[:, 1].sum()))


def _check_fit(recipe: Recipe, config: Any) -> None:
    if recipe.train.context > config.context:
        raise RecipeError(
            f"{recipe.train.context} tokens are more than the model's context of {config.context}",
            where="train.context",
            fix="Raise model.context, or lower train.context.",
        )
    if recipe.train.carried_tokens and not FAMILIES[recipe.model.family].remembers:
        remembering = ", ".join(name for name, family in FAMILIES.items() if family.remembers)
        raise RecipeError(
            f"{recipe.model.family} remembers nothing of what it has read before",
            where="train.carried_tokens",
            fix=f"Leave it out, or choose {remembering}; a longer train.context lets other models see more.",
        )
    if recipe.train.compile is True and recipe.train.boundaries:
        raise RecipeError(
            "every batch with boundaries has another shape, which would be compiled anew",
            where="train.compile",
            fix='Set train.compile to false or "auto", or train.boundaries to false.',
        )


def _check_learning(recipe: Recipe, objective: Objective) -> None:
    if objective.in_one_go and not in_one_go(recipe.model.family, "corpus"):
        raise RecipeError(
            f"{recipe.model.family} is learned by steps, which {recipe.objective!r} has none of",
            where="objective",
            fix=f"Choose the objective {FITTING[objective.kind]}.",
        )


def _check_prompts(settings: TrainSettings, tokenizer: Tokenizer, config: Any, objective: Objective) -> None:
    """A sample that can't be written would end the run hours later."""
    blank = blank_of(objective, tokenizer)
    added_tokens = settings.context - objective.window_tokens(settings.context)
    if settings.sample_every is not None and objective.kind == "encoder" and blank is None:
        raise RecipeError(
            "a model that learns this objective can't write", where="train.sample_every", fix="Leave it out."
        )
    for prompt in settings.sample_prompts:
        if blank is not None and settings.sample_every is not None and blank not in prompt:
            raise RecipeError(
                f"{prompt[:20]!r} has no {blank} for the model to fill",
                where="train.sample_prompts",
                fix=f"Write {blank} in place of words, or unset train.sample_every.",
            )
        tokens = len(tokenizer.encode(prompt)) + added_tokens
        if tokens + 1 >= config.context:
            raise RecipeError(
                f"{prompt[:20]!r}… has {tokens} tokens, no room is left in a context of {config.context}",
                where="train.sample_prompts",
                fix="Shorten it.",
            )


def blank_of(objective: Objective, tokenizer: Tokenizer) -> str | None:
    """How the token is spelled that stands for what the model is to fill in."""
    return None if objective.blank_id is None else tokenizer.token(objective.blank_id)


def check_prepared(prepared: Path) -> None:
    """Raise FolderError with the command that makes one, if `prepared` is not a prepared folder."""
    if not (prepared / "train").is_dir():
        raise FolderError("is not a prepared folder", where=str(prepared), fix="Run `lexloom prepare` first.")
