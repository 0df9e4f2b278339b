"""ELMo: words read as bytes, a two-way LSTM language model over words, and the mix of its layers that a task learns.

Characters become a word's vector by convolutions, highways and a projection; two stacks of LSTMs with projections read
the words from both ends. To a task every layer is a feature: it learns how to weigh them, and may put a two-way LSTM
of its own upon them.
Sources: Peters et al. 2018, arXiv:1802.05365; the language model is that of Józefowicz et al. 2016, arXiv:1602.02410,
character convolutions with highways those of Kim et al. 2015, arXiv:1508.06615. As in AllenNLP, but for the states,
which AllenNLP carries from one batch to the next, so that what it says of a text depends on the texts before it.
Axes: B batch, L length in tokens, T = B·L, W words, U different words, C characters of a word, F filters, P projection,
D width, S spots, V vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lexloom.base.errors import UserError
from lexloom.nn.checks import (
    check_choice,
    check_flag,
    check_length,
    check_list,
    check_multiple,
    check_number,
    check_size,
    check_sizes,
)
from lexloom.nn.dropout import Dropout
from lexloom.nn.init import fill
from lexloom.nn.layers import Embedding
from lexloom.nn.linear import Linear, linear
from lexloom.nn.projected import ProjectedLSTM
from lexloom.nn.published import HARMLESS, LABELLED, Published, head_of, name_labels, read_config, require
from lexloom.nn.recurrent import TwoWay
from lexloom.nn.steps import Steps, steps_of
from lexloom.text.word_bytes import CHARACTERS, FILLER_ID, ROW, WORDS_SHARE, characters_of, words_of

KIND = "encoder"
PUBLISHED = False
Ids = NDArray[np.int64]

# ---- config ----


@dataclass(frozen=True, kw_only=True)
class Config:
    """The shape of an ELMo; impossible numbers raise UserError."""

    vocab_size: int
    """Tokens of a tokenizer of the kind "word-bytes"; behind bytes and special tokens, the words it foretells."""
    char_width: int
    """Of the vectors of characters."""
    filters: tuple[int, ...]
    """How many filters look at 1, 2, 3 … characters side by side."""
    highways: int = 2
    """Layers behind the filters."""
    projection: int
    """Width of word vectors, and of the states of each direction."""
    cell_width: int
    """Of the LSTMs."""
    layers: int = 2
    context: int = 4096
    """The longest text in tokens (bytes)."""
    cell_clip: float = 3.0
    """Cells stay between −cell_clip and cell_clip."""
    projection_clip: float = 3.0
    """Projected states stay between these bounds."""
    activation: str = "relu"
    """Behind the filters: relu or tanh."""
    head: str = "bidirectional"
    """What stands on the language model: one of HEADS."""
    labels: int = 2
    """Columns of the heads `sequence` and `token`."""
    frozen: bool = True
    """Whether tasks (`sequence`, `token`) take the language model's states as features and leave its weights alone."""
    task_width: int | None = None
    """Width of the two-way LSTM that tasks put upon the mixed layers, both directions together; None: there is none,
    and `sequence` is judged by the first word's state, which knows the text from its end."""
    dropout: float = 0.1
    """Share of each LSTM's inputs and of what foretells words that is dropped in training; none where it is frozen."""
    task_dropout: float = 0.5
    """Share of the mixed layers, and of the task's LSTM's states, that is dropped in training."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "filters", check_list("filters", self.filters))
        for name in ("layers", "projection"):  # what `width` stands on
            check_size(name, getattr(self, name))
        check_sizes(self)
        _check_filters(self.filters)
        if self.task_width is not None:
            check_multiple("task_width", self.task_width, "directions", 2)
        check_choice("activation", self.activation, tuple(ACTIVATIONS))
        check_choice("head", self.head, tuple(HEADS))
        check_flag("frozen", self.frozen)
        for name in ("cell_clip", "projection_clip"):
            check_number(name, getattr(self, name), 1e-3, 1e9)
        for name in ("dropout", "task_dropout"):
            check_number(name, getattr(self, name), 0.0, 0.99)

    @property
    def has_features(self) -> bool:
        """Whether there is a task, which mixes the layers."""
        return self.head in LABELLED

    @property
    def words_share(self) -> float:
        """Of the tokens: as many words are computed."""
        return WORDS_SHARE

    @property
    def layers_width(self) -> int:
        """Of all layers side by side, word vectors among them, both directions."""
        return (self.layers + 1) * 2 * self.projection

    @property
    def width(self) -> int:
        """Of the hidden states: all layers side by side, or the task's own LSTM."""
        return self.task_width if self.has_features and self.task_width is not None else self.layers_width


def _check_filters(filters: Sequence[int]) -> None:
    known = all(type(count) is int and 1 <= count <= MOST_FILTERS for count in filters)
    if not known or not 1 <= len(filters) <= ROW:
        raise UserError(f"{filters!r:.80} doesn't say how many filters look at 1, 2, 3 … characters", where="filters")


MOST_FILTERS = 1 << 17
HEADS = {
    "none": "ElmoModel",
    "bidirectional": "ElmoForBidirectionalLM",
    "sequence": "ElmoForSequenceClassification",
    "token": "ElmoForTokenClassification",
}
ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh}

# ---- blocks ----


class Highway(nn.Module):
    """g · x + (1 − g) · relu(W x), with a gate g = σ(V x); W and V as one matrix product. (arXiv:1505.00387.)"""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.both = Linear(width, width, width, bias=True)

    def forward(self, x_UF: Tensor) -> Tensor:
        new_UF, gate_UF = self.both(x_UF).chunk(2, dim=-1)
        return torch.lerp(torch.relu(new_UF), x_UF, torch.sigmoid(gate_UF))


class WordEncoder(nn.Module):
    """The characters of a word → its vector, whatever its context."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[config.activation]
        self.characters = Embedding(CHARACTERS, config.char_width)
        widths = enumerate(config.filters, start=1)
        self.filters = nn.ModuleList(Linear(width * config.char_width, count, bias=True) for width, count in widths)
        self.highways = nn.ModuleList(Highway(sum(config.filters)) for _ in range(config.highways))
        self.projection = Linear(sum(config.filters), config.projection, bias=True)

    def forward(self, rows_WC: Ids) -> Tensor:
        """Rows of character ids → (W, P); words that occur twice are computed once."""
        different, back_W = np.unique(_as_keys(rows_WC), return_index=True, return_inverse=True)[1:]
        rows_UC = torch.from_numpy(_cropped(rows_WC[different], len(self.filters)))
        device = self.projection.weight.device
        x_UCK = self.characters(rows_UC.to(device))
        found = [filters(_windows(x_UCK, width)).amax(1) for width, filters in enumerate(self.filters, start=1)]
        x_UF = self.activation(torch.cat(found, dim=-1))
        for highway in self.highways:
            x_UF = highway(x_UF)
        x_WP: Tensor = self.projection(x_UF).index_select(0, torch.from_numpy(back_W).to(device))
        return x_WP


def _as_keys(rows_WC: Ids) -> NDArray[np.void]:
    """Each row as one value that can be sorted."""
    short_WC = np.ascontiguousarray(rows_WC, dtype=np.uint16)
    return short_WC.view(np.dtype((np.void, short_WC.strides[0])))[:, 0]


def _cropped(rows_UC: Ids, widest: int) -> Ids:
    """Without filler that changes nothing: every filter still sees as much of it as it can see at once, if it did."""
    longest = int((rows_UC != FILLER_ID).sum(1).max())
    return rows_UC[:, : min(ROW, longest + widest)]


def _windows(x_UCK: Tensor, width: int) -> Tensor:
    """All stretches of `width` characters, their vectors side by side."""
    return x_UCK.unfold(1, width, 1).transpose(2, 3).flatten(2)


class Block(nn.Module):
    """A layer of each direction; both know nothing of one another."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.rightward, self.leftward = (
            ProjectedLSTM(
                config.projection,
                config.cell_width,
                config.projection,
                cell_clip=config.cell_clip,
                clip=config.projection_clip,
            )
            for _ in range(2)
        )


class Mix(nn.Module):
    """γ Σ sⱼ hⱼ over the layers, with s the softmax of learned weights: equation 1 of the paper."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.layers = layers
        self.weights = nn.Parameter(torch.empty(layers))
        self.gamma = nn.Parameter(torch.empty(1))

    def forward(self, x: Tensor) -> Tensor:
        """All layers side by side (…, layers · 2P) → (…, 2P)."""
        shares = torch.softmax(self.weights, dim=0)[:, None]
        y: Tensor = (torch.unflatten(x, -1, (self.layers, -1)) * shares).sum(-2) * self.gamma
        return y


# ---- model ----


class Model(nn.Module):
    """An encoder of words: ids in, at every token the state of its word out, and what `config.head` makes of it."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.words = WordEncoder(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        frozen = config.frozen and config.has_features
        self.dropout = Dropout(0.0 if frozen else config.dropout)
        if frozen:
            self.requires_grad_(requires_grad=False)
        self.foretold = (
            Linear(config.projection, config.vocab_size, bias=True) if config.head == "bidirectional" else None
        )
        self.mix = Mix(config.layers + 1) if config.has_features else None
        self.task_dropout = Dropout(config.task_dropout)
        mixed = 2 * config.projection
        has_task = config.has_features and config.task_width is not None
        self.task = TwoWay("lstm", mixed, config.width) if has_task else None
        scored = config.width if has_task else mixed
        self.score = Linear(scored, config.labels, bias=True) if config.has_features else None

    def hidden(
        self,
        ids_BL: Tensor,
        *,
        runs: Sequence[int] | None = None,
        types_BL: Tensor | None = None,
        spots_S: Tensor | None = None,
    ) -> Tensor:
        """The state of each token's word, (B, L, D), or those at `spots_S`, places among the flattened tokens, (S, D).

        `runs` are the lengths of the texts packed in the flattened B·L tokens; types are none of its business. Raises
        UserError if a text is longer than the context.
        """
        batch, length = ids_BL.shape
        runs = [length] * batch if runs is None else list(runs)
        check_length(max(runs), self.config.context)
        ids_T = ids_BL.flatten().cpu().numpy()
        words = words_of(ids_T, runs)
        x_WP = self.words(characters_of(ids_T, words))
        steps = steps_of(words.runs, x_WP.device)
        x_WD = steps.unpack(self._packed(x_WP, steps))
        if self.task is not None and self.config.head == "sequence":
            x_WD = _largest(x_WD, words.runs)
        words_T = torch.from_numpy(words.words_T)
        if spots_S is not None:
            return x_WD.index_select(0, words_T[spots_S.cpu()].to(x_WD.device))
        return x_WD.index_select(0, words_T.to(x_WD.device)).view(batch, length, -1)

    def _packed(self, x_WP: Tensor, steps: Steps) -> Tensor:
        """Word vectors → the hidden states, packed step by step."""
        x_WD = torch.cat(self.layers(steps.pack(x_WP), steps), dim=-1)
        if self.task is None:
            return x_WD
        assert self.mix is not None, "a task mixes the layers"
        y_WD: Tensor = self.task(self.task_dropout(self.mix(x_WD)), steps)
        return y_WD

    def layers(self, x_WP: Tensor, steps: Steps) -> list[Tensor]:
        """Packed word vectors → every layer, (W, 2P) each: the vectors, twice, and what both directions say."""
        right_WP, left_WP = x_WP, steps.flipped(x_WP)
        found = [torch.cat([x_WP, x_WP], dim=-1)]
        for number, block in enumerate(self.blocks):
            assert isinstance(block, Block), "the list holds nothing else"
            ways = ((block.rightward, self.dropout(right_WP)), (block.leftward, self.dropout(left_WP)))
            right_WP, left_WP = (way(x, steps)[0] + (x if number else 0.0) for way, x in ways)
            found.append(torch.cat([right_WP, steps.flipped(left_WP)], dim=-1))
        return found

    def scores(self, x_SD: Tensor) -> Tensor:
        """States at the spots that the caller picked → the head's scores, (…, labels).

        Of `bidirectional`, (…, 2V): what the next word is, as the words before it tell, then what the one before is.
        """
        if self.score is not None:
            x_SD = self.mix(x_SD) if self.task is None and self.mix is not None else x_SD
            y_SC: Tensor = self.score(self.task_dropout(x_SD))
            return y_SC
        assert self.head_weight_VD is not None, "a model without a head has no scores"
        return linear(self.features(x_SD), self.head_weight_VD, self.head_bias_V).flatten(-2)

    def features(self, x_SD: Tensor) -> Tensor:
        """What is multiplied with `head_weight_VD` to foretell the next word and the one before, (…, 2, P)."""
        y_S2P: Tensor = torch.unflatten(self.dropout(x_SD[..., -2 * self.config.projection :]), -1, (2, -1))
        return y_S2P

    @property
    def head_weight_VD(self) -> nn.Parameter | None:  # noqa: N802
        """The matrix that makes word scores out of features; None without the head `bidirectional`."""
        return None if self.foretold is None else self.foretold.weight

    @property
    def head_bias_V(self) -> nn.Parameter | None:  # noqa: N802
        """What is added to the word scores."""
        return None if self.foretold is None else self.foretold.bias

    def forward(self, ids_BL: Tensor, *, runs: Sequence[int] | None = None, types_BL: Tensor | None = None) -> Tensor:
        x_BLD = self.hidden(ids_BL, runs=runs)
        return x_BLD if self.config.head == "none" else self.scores(x_BLD)


def _largest(x_WD: Tensor, runs: Sequence[int]) -> Tensor:
    """At each word the largest values of its text (max-pooling)."""
    return torch.cat([run.amax(0, keepdim=True).expand(len(run), -1) for run in torch.split(x_WD, list(runs))])


CHARACTER_STD = 0.5
CARRIED = 2.0
"""Highways begin by carrying σ(2) = 88 % of what comes in, as in the published training code, bilm-tf."""
REMEMBERED = 1.0
"""Bias of forget gates: LSTMs begin by remembering (Józefowicz et al. 2015)."""


def init_weights(model: Model, seed: int) -> None:
    """Fill all parameters: matrices normal with deviation 1 / √inputs, so that what passes them keeps its size."""
    inputs = {name: p.shape[-1] for name, p in model.named_parameters()}
    fill(
        model,
        seed=seed,
        std_of=lambda name: CHARACTER_STD if name == "words.characters.weight" else inputs[name] ** -0.5,
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name == "mix.gamma":
                parameter.fill_(1.0)
            elif name.startswith("words.highways.") and name.endswith("bias"):
                parameter[len(parameter) // 2 :] = CARRIED
            elif name.startswith("blocks.") and name.endswith("bias"):
                parameter[len(parameter) // 4 : len(parameter) // 2] = REMEMBERED


# ---- presets: named shapes, `dataclasses.replace` changes what should differ ----

_PAPER = (32, 32, 64, 128, 256, 512, 1024)
PRESETS: dict[str, Config] = {
    "toy": Config(vocab_size=1024, char_width=8, filters=(16, 32, 64), highways=1, projection=32, cell_width=128),
    "small": Config(
        vocab_size=8192, char_width=16, filters=(32, 32, 64, 128), highways=1, projection=128, cell_width=512,
        task_width=256,
    ),
    "elmo-small": Config(
        vocab_size=8192, char_width=16, filters=_PAPER, highways=1, projection=128, cell_width=1024
    ),
    "elmo": Config(vocab_size=8192, char_width=16, filters=_PAPER, highways=2, projection=512, cell_width=4096),
}  # fmt: skip

# ---- names in files: our own, for nobody publishes this shape in safetensors ----

KEYS = {
    name: name
    for name in (
        "vocab_size", "char_width", "filters", "highways", "projection", "cell_width", "layers", "context", "cell_clip",
        "projection_clip", "activation", "frozen", "task_width", "dropout", "task_dropout",
    )
}  # fmt: skip
FIXED: dict[str, tuple[Any, ...]] = {"model_type": ("elmo",)}
PREFIX = ""
IGNORED_WEIGHTS = ()


def from_hugging_face(values: Mapping[str, Any]) -> Config:
    """The Config of a config.json, or UserError naming the setting that we can't compute."""
    require(values, "vocab_size", "char_width", "filters", "projection", "cell_width")
    ours = read_config(values, known=KEYS, fixed=FIXED, harmless=HARMLESS)
    return Config(**ours, **head_of(values, HEADS))


def to_hugging_face(config: Config) -> dict[str, Any]:
    """The config.json; transformers knows no such architecture."""
    ours = asdict(config)
    return {
        "architectures": [HEADS[config.head]],
        "model_type": "elmo",
        **{key: ours[key] for key in KEYS},
        "filters": list(config.filters),
        **name_labels(config.head, config.labels),
    }


def tied_copies(config: Config) -> dict[str, str]:
    """No tensor repeats another one."""
    return {}


def weights(config: Config) -> dict[str, Published]:
    """Every parameter stands under our own name."""
    with torch.device("meta"):
        return {name: Published((name,)) for name, _ in Model(config).named_parameters()}
