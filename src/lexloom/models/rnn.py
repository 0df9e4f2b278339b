"""A recurrent language model: LSTM or GRU layers, one matrix for embedding and scores, dropout as Gal and Merity do it.

Sources: Mikolov et al. 2010 (recurrent language model); Sundermeyer et al. 2012, Zaremba et al. 2014, arXiv:1409.2329
(LSTM); Gal & Ghahramani 2016, arXiv:1512.05287 (the same dropped values at all steps); Press & Wolf 2017,
arXiv:1608.05859 (tied matrices); Merity et al. 2017, arXiv:1708.02182 (dropped recurrent weights, dropped words).
Axes: B batch, L length, T tokens step by step (see nn/steps.py), D width, V vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from lexloom.nn.checks import check_choice, check_flag, check_length, check_number, check_sizes
from lexloom.nn.dropout import VariationalDropout, WordDropout
from lexloom.nn.forks import Forks
from lexloom.nn.layers import Embedding
from lexloom.nn.linear import Linear, linear
from lexloom.nn.published import HARMLESS, Published, read_config, require
from lexloom.nn.recurrent import CELLS, Recurrent, States, fill_recurrent
from lexloom.nn.state_cache import StateCache
from lexloom.nn.steps import Steps, steps_of

KIND = "decoder"
PUBLISHED = False
REMEMBERS = True

# ---- config ----


@dataclass(frozen=True, kw_only=True)
class Config:
    """The shape of a recurrent language model; impossible numbers raise UserError."""

    vocab_size: int
    width: int
    """Of the embedding and of every layer's state."""
    layers: int
    context: int
    """The longest text in tokens. Nothing in the model depends on it; it bounds what is remembered of each token."""
    cell: str = "lstm"
    """"lstm" or "gru"."""
    tied: bool = True
    """Whether the embedding matrix also makes the scores."""
    dropout: float = 0.0
    """Share of each layer's outputs dropped in training, the same ones at all steps of a text."""
    embedding_dropout: float = 0.0
    """Share of the embeddings' outputs dropped in training, the same ones at all steps of a text."""
    word_dropout: float = 0.0
    """Share of the vocabulary whose embedding is dropped in training, wherever the word stands."""
    recurrent_dropout: float = 0.0
    """Share of the weights between a layer's state and its next one dropped in training."""

    def __post_init__(self) -> None:
        check_sizes(self)
        check_choice("cell", self.cell, tuple(CELLS))
        check_flag("tied", self.tied)
        for name in ("dropout", "embedding_dropout", "word_dropout", "recurrent_dropout"):
            check_number(name, getattr(self, name), 0.0, 0.99)


# ---- model ----


class Model(nn.Module):
    """A decoder: ids in, a score for every next word out."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.tokens = Embedding(config.vocab_size, width)
        self.word_dropout = WordDropout(config.word_dropout, config.vocab_size)
        self.embedding_dropout = VariationalDropout(config.embedding_dropout)
        layers = [Recurrent(config.cell, width, width, config.recurrent_dropout) for _ in range(config.layers)]
        self.blocks = nn.ModuleList(layers)
        self.dropout = VariationalDropout(config.dropout)
        self.head = None if config.tied else Linear(width, config.vocab_size, bias=False)

    @property
    def head_weight_VD(self) -> nn.Parameter:  # noqa: N802
        """The matrix that makes scores out of hidden states."""
        return self.tokens.weight if self.head is None else self.head.weight

    # torch's kernel is compiled already, and a loop over steps would be unrolled
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def hidden(
        self,
        ids_BL: Tensor,
        *,
        runs: Sequence[int] | None = None,
        cache: StateCache | Forks | None = None,
        past: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """What the last layer says of every token, (B, L, D).

        Every row begins with nothing remembered, or every one of the packed `runs`, or with what its row of `cache`
        remembers, which is advanced; or with what is left of `past`, the ids before each row, read without a gradient
        (truncated back-propagation, Williams & Peng 1990).
        Raises UserError if a text is longer than the context or the cache.
        """
        batch, length = ids_BL.shape
        ids_T = ids_BL.to(self.tokens.weight.device).flatten()
        if isinstance(cache, Forks):
            return self._over_forks(ids_T, cache).view(batch, length, -1)
        check_length(length if runs is None else max(runs), self.config.context)
        steps = steps_of((length,) * batch if runs is None else runs, ids_T.device)
        if cache is None:
            return self._read(ids_T, steps, None if past is None else self._left_of(past)).view(batch, length, -1)
        cache.reserve(batch, length)
        x_TD, after = self._remember(ids_T, steps, [cache.before(layer) for layer in range(self.config.layers)])
        for layer, states in enumerate(after):
            cache.store(layer, tuple(state_TD.view(batch, length, -1) for state_TD in states))
        cache.advance(length)
        return x_TD.view(batch, length, -1)

    def _read(self, ids_T: Tensor, steps: Steps, before: Sequence[States] | None) -> Tensor:
        """What the last layer says, (T, D); `before` is what each layer remembers of each text, None: nothing."""
        packed_T = ids_T[steps.places_T]
        x_TD = self.word_dropout(self.tokens(packed_T), packed_T)
        x_TD = self.embedding_dropout(x_TD, steps.text_T)
        for number, block in enumerate(self.blocks):
            first = None if before is None else _sorted(before[number], steps)
            x_TD = self.dropout(block(x_TD, steps, first), steps.text_T)
        return steps.unpack(x_TD)

    def _left_of(self, past: Sequence[Tensor]) -> list[States]:
        """What each layer remembers of these texts, some of which may be empty."""
        rows = [row for row, ids_N in enumerate(past) if len(ids_N)]
        blank, device = self._blank(len(past)), self.tokens.weight.device
        if not rows:
            return blank
        ends = torch.tensor([len(past[row]) for row in rows], device=device).cumsum(0) - 1
        steps = steps_of([len(past[row]) for row in rows], device)
        _, after = self._remember(torch.cat([past[row] for row in rows]).to(device), steps, self._blank(len(rows)))
        places = torch.tensor(rows, device=device)
        return [
            tuple(zeros_RD.index_copy(0, places, state_TD[ends]) for zeros_RD, state_TD in zip(*both, strict=True))
            for both in zip(blank, after, strict=True)
        ]

    @torch.no_grad()
    def _remember(self, ids_T: Tensor, steps: Steps, before: Sequence[States]) -> tuple[Tensor, list[States]]:
        """The same, going on from what each layer remembers of each text, and what it remembers after each token."""
        x_TD, after = self.tokens(ids_T[steps.places_T]), []
        for block, states in zip(self._layers, before, strict=True):
            after.append(block.remember(x_TD, steps, _sorted(states, steps)))
            x_TD = after[-1][0]
        return steps.unpack(x_TD), [tuple(map(steps.unpack, states)) for states in after]

    def _over_forks(self, ids_T: Tensor, forks: Forks) -> Tensor:
        """Read all trunks, then all branches, each from where its trunk ends."""
        said_TD, after = self.tokens.weight.new_empty(len(ids_T), self.config.width), self._blank(0)
        if forks.trunks:
            steps = steps_of(forks.trunks, ids_T.device)
            said_TD[~forks.of_branch_T], after = self._remember(
                ids_T[~forks.of_branch_T], steps, self._blank(len(forks.trunks))
            )
        if forks.branches:
            lengths, ends = zip(*forks.branches, strict=True)
            before = [_after(states, blank, ends) for states, blank in zip(after, self._blank(1), strict=True)]
            steps = steps_of(lengths, ids_T.device)
            said_TD[forks.of_branch_T], _ = self._remember(ids_T[forks.of_branch_T], steps, before)
        return said_TD

    @property
    def _layers(self) -> list[Recurrent]:
        return cast(list[Recurrent], list(self.blocks))

    def _blank(self, texts: int) -> list[States]:
        """What each layer remembers before the first token."""
        return [block.blank(texts) for block in self._layers]

    def scores(self, x: Tensor) -> Tensor:
        """Hidden states (…, D) → scores (…, V) of the next word."""
        return linear(x, self.head_weight_VD)

    def forward(self, ids_BL: Tensor, *, runs: Sequence[int] | None = None, cache: StateCache | None = None) -> Tensor:
        return self.scores(self.hidden(ids_BL, runs=runs, cache=cache))

    def new_cache(self, batch: int, tokens: int) -> StateCache:
        """An empty cache for `batch` rows of up to `tokens` tokens, or UserError if that exceeds the context."""
        check_length(tokens, self.config.context)
        return StateCache(first=self._blank(batch), tokens=tokens)


def _sorted(states: States, steps: Steps) -> States:
    return tuple(state_RD[steps.order_R] for state_RD in states)


def _after(states: States, blank: States, tokens: Sequence[int]) -> States:
    """What is remembered after so many tokens; nothing after none."""
    return tuple(
        torch.cat([blank_1D, state_TD])[list(tokens)] for blank_1D, state_TD in zip(blank, states, strict=True)
    )


def init_weights(model: Model, seed: int) -> None:
    """Fill all parameters: tables normal with deviation 0.1, the layers as `fill_recurrent` says."""
    fill_recurrent(model, seed=seed)


# ---- presets: named shapes, `dataclasses.replace` changes what should differ ----

PRESETS: dict[str, Config] = {
    "toy": Config(width=128, layers=2, context=256, vocab_size=1024),
    # Zaremba et al. 2014, section 4.1: the medium and the large model of the Penn Treebank
    "medium": Config(width=650, layers=2, context=1024, vocab_size=10000, dropout=0.5, embedding_dropout=0.5),
    "large": Config(width=1500, layers=2, context=1024, vocab_size=10000, dropout=0.65, embedding_dropout=0.65),
}

# ---- published names: no library publishes such models; the tensors are those of torch.nn.LSTM and torch.nn.GRU ----

KEYS = {
    "vocab_size": "vocab_size",
    "hidden_size": "width",
    "num_hidden_layers": "layers",
    "max_position_embeddings": "context",
    "cell": "cell",
    "tie_word_embeddings": "tied",
    "dropout": "dropout",
    "embedding_dropout": "embedding_dropout",
    "word_dropout": "word_dropout",
    "recurrent_dropout": "recurrent_dropout",
}
FIXED: dict[str, tuple[Any, ...]] = {"model_type": ("rnn",)}
PREFIX = "model."
IGNORED_WEIGHTS = ()


def from_hugging_face(values: Mapping[str, Any]) -> Config:
    """The Config of a config.json, or UserError naming the setting that we can't compute."""
    require(values, "vocab_size", "hidden_size", "num_hidden_layers", "max_position_embeddings")
    return Config(**read_config(values, known=KEYS, fixed=FIXED, harmless=HARMLESS))


def to_hugging_face(config: Config) -> dict[str, Any]:
    """The config.json that describes the same model."""
    ours = asdict(config)
    return {
        "architectures": ["RecurrentLM"],
        "model_type": "rnn",
        **{theirs: ours[field] for theirs, field in KEYS.items()},
    }


def tied_copies(config: Config) -> dict[str, str]:
    """Published tensors that repeat another one, and which."""
    return {"lm_head.weight": "model.embedding.weight"} if config.tied else {}


def weights(config: Config) -> dict[str, Published]:
    """Where each of our parameters is found in a file."""
    table = {"tokens.weight": Published(("model.embedding.weight",))}
    if not config.tied:
        table["head.weight"] = Published(("lm_head.weight",))
    for layer in range(config.layers):
        for ours, theirs in (("inputs", "ih"), ("recurrent", "hh")):
            for kind in ("weight", "bias"):
                table[f"blocks.{layer}.{ours}.{kind}"] = Published((f"model.rnn.{kind}_{theirs}_l{layer}",))
    return table
