"""Static vectors as an encoder: a token's state is its row of a table, whatever stands around it.

Shared by the families that learn such tables (models/word2vec.py, models/glove.py).
Axes: B batch, L length, T tokens (flattened), R texts, S spots, D width, C columns of the head.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from lexloom.base.errors import UserError
from lexloom.nn.checks import check_choice, check_length, check_sizes
from lexloom.nn.init import fill
from lexloom.nn.layers import Embedding, picked
from lexloom.nn.linear import Linear
from lexloom.nn.published import HARMLESS, LABELLED, Published, head_of, name_labels, read_config, require


@dataclass(frozen=True, kw_only=True)
class StaticConfig:
    """The shape of a table and of what stands on it; impossible numbers raise UserError."""

    vocab_size: int
    width: int = 100
    context: int = 1 << 24
    """The longest text in tokens: a table has no need of a bound."""
    head: str = "none"
    """What stands on the vectors: none, sequence (on a text's mean, as fastText classifies) or token."""
    labels: int = 2
    """Columns of the heads `sequence` and `token`."""

    def __post_init__(self) -> None:
        check_sizes(self)
        check_choice("head", self.head, STATIC_HEADS)
        for field in fields(self):
            if type(field.default) is int and type(getattr(self, field.name)) is not int:
                raise UserError(f"{getattr(self, field.name)!r} is not a whole number", where=field.name)


STATIC_HEADS = ("none", "sequence", "token")


class StaticVectors(nn.Module):
    """Ids in, the table's rows out; with the head `sequence`, a text's mean at its first token and zeros behind it."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.tokens = Embedding(config.vocab_size, config.width)
        self.score = Linear(config.width, config.labels, bias=True) if config.head in LABELLED else None

    def embed(self, ids_BL: Tensor, *, runs: Sequence[int] | None = None, types_BL: Tensor | None = None) -> Tensor:
        """The rows of the tokens, (B, L, D)."""
        check_length(ids_BL.shape[1] if runs is None else max(runs), self.config.context)
        x_BLD: Tensor = self.tokens(ids_BL.to(self.tokens.weight.device))
        return x_BLD

    def encode(self, x_BLD: Tensor, *, runs: Sequence[int] | None = None, spots_S: Tensor | None = None) -> Tensor:
        """Rows to states, (B, L, D), or those at `spots_S`, (S, D)."""
        return picked(_means(x_BLD, runs) if self.config.head == "sequence" else x_BLD, spots_S)

    def hidden(
        self,
        ids_BL: Tensor,
        *,
        runs: Sequence[int] | None = None,
        types_BL: Tensor | None = None,
        spots_S: Tensor | None = None,
    ) -> Tensor:
        """The states, (B, L, D), or those at `spots_S`, (S, D): `encode` of `embed`."""
        return self.encode(self.embed(ids_BL, runs=runs), runs=runs, spots_S=spots_S)

    def scores(self, x_SD: Tensor) -> Tensor:
        """States at the spots that the caller picked, (…, D) → (…, C): first tokens for `sequence`."""
        assert self.score is not None, "vectors without a head have no scores"
        y_SC: Tensor = self.score(x_SD)
        return y_SC

    def forward(self, ids_BL: Tensor, *, runs: Sequence[int] | None = None, types_BL: Tensor | None = None) -> Tensor:
        x_BLD = self.hidden(ids_BL, runs=runs)
        return x_BLD if self.score is None else self.scores(x_BLD)


def _means(x_BLD: Tensor, runs: Sequence[int] | None) -> Tensor:
    batch, length, width = x_BLD.shape
    lengths_R = torch.tensor([length] * batch if runs is None else runs, device=x_BLD.device)
    texts_T = torch.repeat_interleave(torch.arange(len(lengths_R), device=x_BLD.device), lengths_R)
    sums_RD = x_BLD.new_zeros(len(lengths_R), width).index_add(0, texts_T, x_BLD.flatten(0, 1))
    starts_R = lengths_R.cumsum(0) - lengths_R
    means_TD = x_BLD.new_zeros(batch * length, width).index_copy(0, starts_R, sums_RD / lengths_R[:, None])
    return means_TD.view(batch, length, width)


def init_static(model: StaticVectors, seed: int) -> None:
    """Small random rows, no bias: where a classifier without ready vectors begins (fastText: ±1/width)."""
    deviation = 1.0 / model.config.width
    fill(model, seed=seed, std_of=lambda name: deviation)


# ---- published names ----


def static_heads(name: str) -> dict[str, str]:
    """Our heads and the names of their classes in a config.json, as transformers would form them."""
    return {
        "none": f"{name}Model",
        "sequence": f"{name}ForSequenceClassification",
        "token": f"{name}ForTokenClassification",
    }


def read_static(values: Mapping[str, Any], fields: Sequence[str], heads: Mapping[str, str], model_type: str) -> Any:
    """The fields of a Config from a config.json, or UserError naming the setting that isn't known."""
    require(values, "vocab_size", "width")
    fixed = {"model_type": (model_type,)}
    return {**read_config(values, known={name: name for name in fields}, fixed=fixed, harmless=HARMLESS),
            **head_of(values, heads)}  # fmt: skip


def write_static(config: Any, heads: Mapping[str, str], model_type: str) -> dict[str, Any]:
    """The config.json; its model_type is our own."""
    ours = asdict(config)
    return {
        "architectures": [heads[config.head]],
        "model_type": model_type,
        **{name: value for name, value in ours.items() if name not in ("head", "labels")},
        **name_labels(config.head, config.labels),
    }


def static_weights(config: Any) -> dict[str, Published]:
    """Where each parameter is in the file: under our own names."""
    names = ["tokens.weight", *(["score.weight", "score.bias"] if config.head in LABELLED else [])]
    return {name: Published((name,)) for name in names}
