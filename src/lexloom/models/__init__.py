"""The families of models. A new family is one file and one line here."""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, Literal

import torch
from torch import nn

from lexloom.models import (
    bert,
    birnn,
    bow,
    elmo,
    glove,
    gpt,
    llama,
    modernbert,
    ngram,
    rnn,
    rnn_attention,
    t5,
    transformer,
    word2vec,
)
from lexloom.nn.checks import check_choice
from lexloom.nn.published import LABELLED, Published

Kind = Literal["encoder", "decoder", "encoder-decoder"]


@dataclass(frozen=True)
class Family:
    """What a model file offers."""

    kind: Kind
    """Whether it reads (encoder), writes on (decoder), or writes what it makes of a text read (encoder-decoder)."""
    config: type[Any]
    """A frozen dataclass; raises UserError for impossible numbers."""
    model: type[nn.Module]
    """Built from a config; its parameters are unfilled."""
    init_weights: Callable[[Any, int], None]
    """(model, seed): fills the parameters for training from nothing."""
    presets: Mapping[str, Any]
    """Named shapes: configs, to be changed by `dataclasses.replace`."""
    heads: Mapping[str, str]
    """What an encoder's `config.head` may be → the class of transformers; empty for others, which write."""
    from_hugging_face: Callable[[Mapping[str, Any]], Any]
    to_hugging_face: Callable[[Any], dict[str, Any]]
    settle: Callable[[Any, Set[str]], Any]
    """(config, names of the stored tensors without prefix) → the config, with what config.json leaves open."""
    weights: Callable[[Any], dict[str, Published]]
    """Our parameters' names → where they are in published files."""
    tied_copies: Callable[[Any], dict[str, str]]
    """Published tensors that may repeat another one → that other one."""
    ignored_weights: tuple[str, ...]
    """Patterns of published tensors (without prefix) that the model has no use for, unless its config implies them."""
    old_names: Mapping[str, str]
    """Parts of names in old files → how they are spelled today."""
    prefix: str
    """What the encoder's or decoder's published names begin with, and what some published files leave out."""
    published: bool
    """Whether transformers knows the family, so that it loads the folder."""
    remembers: bool
    """Whether `hidden` takes the tokens before each row as `past`, reads them without a gradient, and goes on."""
    fit: Callable[..., Any] | None
    """How a model is learned in one go, counted or solved; None: by gradient steps.

    `fit(config, units, tick, *, scratch, **settings) -> model`: `units` are the `Windows` of a prepared corpus or the
    `EncodedExamples` of a task (see `fit_on`), `tick(share_done, note="")` shows the progress and raises Interrupted
    after a signal, `scratch` is an empty folder for what memory can't hold, `settings` the values of `fit_settings`.
    """
    fit_on: Literal["corpus", "examples"]
    """What `fit` learns from; from the other one the model is trained by steps, if at all."""
    fit_settings: tuple[str, ...]
    """The keys of a recipe's `[train]` section that `fit` takes, `seed` among them if it draws anything; `tokenizer`
    is that of the units, `class_weights` is a weight for each column of the head, (C), or None."""


def _family(file: ModuleType) -> Family:
    return Family(
        kind=file.KIND,
        config=file.Config,
        model=file.Model,
        init_weights=file.init_weights,
        presets=file.PRESETS,
        heads=getattr(file, "HEADS", {}),
        from_hugging_face=file.from_hugging_face,
        to_hugging_face=file.to_hugging_face,
        settle=getattr(file, "settle", lambda config, names: config),
        weights=file.weights,
        tied_copies=file.tied_copies,
        ignored_weights=file.IGNORED_WEIGHTS,
        old_names=getattr(file, "OLD_NAMES", {}),
        prefix=file.PREFIX,
        published=getattr(file, "PUBLISHED", True),
        remembers=getattr(file, "REMEMBERS", False),
        fit=getattr(file, "fit", None),
        fit_on=getattr(file, "FIT_ON", "corpus"),
        fit_settings=getattr(file, "FIT_SETTINGS", ()),
    )


FAMILIES: dict[str, Family] = {
    "gpt": _family(gpt),
    "llama": _family(llama),
    "ngram": _family(ngram),
    "rnn": _family(rnn),
    "bert": _family(bert),
    "modernbert": _family(modernbert),
    "transformer": _family(transformer),
    "t5": _family(t5),
    "rnn-attention": _family(rnn_attention),
    "word2vec": _family(word2vec),
    "glove": _family(glove),
    "elmo": _family(elmo),
    "birnn": _family(birnn),
    "bow": _family(bow),
}

MODEL_TYPES = {
    "gpt2": "gpt",
    "llama": "llama",
    "qwen3": "llama",
    "ngram": "ngram",
    "rnn": "rnn",
    "bert": "bert",
    "modernbert": "modernbert",
    "marian": "transformer",
    "t5": "t5",
    "mt5": "t5",
    "rnn-attention": "rnn-attention",
    "word2vec": "word2vec",
    "glove": "glove",
    "elmo": "elmo",
    "birnn": "birnn",
    "bow": "bow",
}
"""`model_type` of a published config.json → our family."""


def family_of(model: Any) -> str:
    """The name of a model's family."""
    return next(name for name, family in FAMILIES.items() if isinstance(model, family.model))


def new_model(family: str, config: Any, *, seed: int) -> Any:
    """A model with the first weights of a training run, the same for the same seed."""
    model = allocate(meta_model(FAMILIES[family], config))
    FAMILIES[family].init_weights(model, seed)
    return model


def with_head(model: Any, head: str, labels: int, *, seed: int) -> tuple[Any, list[str]]:
    """The same encoder under another head, and the names of the parameters that had to be drawn from `seed`.

    `labels` counts the columns of the heads `sequence` and `token`; others have theirs. The head's last layer is kept
    only if head and columns stay what they are; what no head uses is left behind. The tensors are copies. Raises
    UserError for a head that the family doesn't have.
    """
    old, family = model.config, FAMILIES[family_of(model)]
    check_choice("head", head, tuple(family.heads))
    config = replace(old, head=head, labels=labels if head in LABELLED else type(old).labels)
    config = family.settle(config, set())
    new = new_model(family_of(model), config, seed=seed).to(next(model.parameters()).device)
    same_head = (config.head, config.labels) == (old.head, old.labels)
    known = dict(model.named_parameters())
    fresh = []
    with torch.no_grad():
        for name, parameter in new.named_parameters():
            if name in known and (same_head or not name.startswith(LAST_LAYER)):
                parameter.copy_(known[name])
            else:
                fresh.append(name)
    return new.train(model.training), fresh


LAST_LAYER = "score."
"""Every family's name of the layer that a task's head ends with."""


def meta_model(family: Family, config: Any) -> Any:
    """A model without memory for its parameters, to count and compare them."""
    with torch.device("meta"):
        return family.model(config)


def allocate(model: Any) -> Any:
    """Give a meta model memory, unfilled: on the GPU if torch sees one, else in main memory."""
    return model.to_empty(device="cuda" if torch.cuda.is_available() else "cpu")
