"""The recurrent encoder–decoder: a text is read from both ends, and a decoder writes what it makes of it.

With `attention`, each word looks at all states of the source: "bahdanau" before the decoder's step, by an additive
score of the state before; "luong" and "luong-dot" after it, by a product with the state itself. With "none" it knows
the source only by the state that it begins with.
Sources: Sutskever et al. 2014, arXiv:1409.3215; Bahdanau et al. 2014, arXiv:1409.0473; Luong et al. 2015,
arXiv:1508.04025; the words' last layer as Sennrich et al. 2017 (Nematus), arXiv:1703.04357.
Axes: B batch, L length, T target tokens step by step (see nn/steps.py), S source tokens, R texts, M the longest source
text, Q queries, H = 1 head, D width, V vocabulary.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from lexloom.nn.checks import check_choice, check_id, check_length, check_multiple, check_number, check_sizes
from lexloom.nn.dropout import VariationalDropout
from lexloom.nn.layers import Embedding
from lexloom.nn.linear import Linear, linear
from lexloom.nn.published import HARMLESS, Published, read_config, require
from lexloom.nn.recurrent import CELLS, Recurrent, States, TwoWay, each_step, fill_recurrent
from lexloom.nn.source import (
    Gaze,
    Source,
    attend_source,
    gaze_of,
    record_source_attention,
    records_source_attention,
    source_of,
)
from lexloom.nn.state_cache import SourceStateCache
from lexloom.nn.steps import Steps, steps_of

KIND = "encoder-decoder"
PUBLISHED = False

# ---- config ----

ATTENTION = ("bahdanau", "luong", "luong-dot", "none")


@dataclass(frozen=True, kw_only=True)
class Config:
    """The shape of a recurrent encoder–decoder; impossible numbers raise UserError."""

    vocab_size: int
    width: int
    """Of the embedding and of every layer's state; each way of the encoder has a half."""
    layers: int
    """Of the encoder."""
    context: int
    """The longest source text, and the longest target text, in tokens."""
    decoder_layers: int | None = None
    """As many as the encoder's if not given."""
    cell: str = "lstm"
    """"lstm" or "gru"."""
    attention: str = "bahdanau"
    """How the decoder looks at the source: one of ATTENTION."""
    start_id: int = 0
    """The token that stands before every target text."""
    pad_id: int = 0
    """The token that others fill short rows with; Lexloom computes no padding."""
    dropout: float = 0.2
    """Share of the embeddings and of each layer's outputs dropped in training, the same at all steps of a text."""
    recurrent_dropout: float = 0.0
    """Share of the weights between a layer's state and its next one dropped in training."""

    def __post_init__(self) -> None:
        check_sizes(self)
        check_multiple("width", self.width, "ways", 2)
        check_choice("cell", self.cell, tuple(CELLS))
        check_choice("attention", self.attention, ATTENTION)
        for name in ("start_id", "pad_id"):
            check_id(name, getattr(self, name), self.vocab_size)
        for name in ("dropout", "recurrent_dropout"):
            check_number(name, getattr(self, name), 0.0, 0.99)

    @property
    def writing_layers(self) -> int:
        """Layers of the decoder, given or not."""
        return self.layers if self.decoder_layers is None else self.decoder_layers


# ---- blocks ----


class Additive(nn.Module):
    """Bahdanau's attention: weights softmax(vᵀ tanh(W s + U h)) of the source's states h for a decoder's state s."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = Linear(width, width, bias=False)
        self.key = Linear(width, width, bias=False)
        self.weigh = Linear(width, 1, bias=False)

    def keys_values(self, states_SD: Tensor) -> tuple[Tensor, Tensor]:
        """U h and h of every source token, (S, 1, D)."""
        return self.key(states_SD)[:, None], states_SD[:, None]

    def weights(self, q_RHQD: Tensor, k_RHMD: Tensor, mask: Tensor | None) -> Tensor:
        """How much each query takes of each key, (R, H, Q, M)."""
        sums_RHQMD = q_RHQD.unsqueeze(3) + k_RHMD.unsqueeze(2)
        scores_RHQM = self.weigh(torch.tanh(sums_RHQMD)).squeeze(-1)
        if mask is not None:
            scores_RHQM = scores_RHQM.masked_fill(~mask, -torch.inf)
        return torch.softmax(scores_RHQM, dim=-1)

    def forward(self, q_RHQD: Tensor, k_RHMD: Tensor, v_RHMD: Tensor, mask: Tensor | None) -> Tensor:
        """The weighed values, (R, H, Q, D)."""
        return self.weights(q_RHQD, k_RHMD, mask) @ v_RHMD


class Multiplicative(nn.Module):
    """Luong's attention: weights softmax(sᵀ W h), or softmax(sᵀ h), of the source's states h for a state s."""

    def __init__(self, width: int, *, general: bool) -> None:
        super().__init__()
        self.key = Linear(width, width, bias=False) if general else None

    def keys_values(self, states_SD: Tensor) -> tuple[Tensor, Tensor]:
        """W h and h of every source token, (S, 1, D)."""
        keys_SD = states_SD if self.key is None else self.key(states_SD)
        return keys_SD[:, None], states_SD[:, None]

    def forward(self, x_BLD: Tensor, gaze: Gaze) -> Tensor:
        """The weighed states of the source, (B, L, D)."""
        return attend_source(x_BLD.unsqueeze(2), self.keys_values, gaze).squeeze(2)


Look = Callable[[Tensor], Tensor]
"""The states (R, D) of the first texts → what each takes of its source, (R, D)."""

# ---- model ----


class Model(nn.Module):
    """An encoder–decoder: source ids to states, and with them target ids to a score for every next word."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        width, cell, share = config.width, config.cell, config.recurrent_dropout
        additive, looks = config.attention == "bahdanau", config.attention != "none"
        self.tokens = Embedding(config.vocab_size, width)
        self.dropout = VariationalDropout(config.dropout)
        self.encoder = nn.ModuleList(TwoWay(cell, width, width, share) for _ in range(config.layers))
        self.bridge = Linear(width, *[width] * (config.writing_layers * CELLS[cell].states), bias=True)
        inputs = [2 * width if additive else width, *[width] * (config.writing_layers - 1)]
        self.decoder = nn.ModuleList(Recurrent(cell, size, width, share) for size in inputs)
        self.attention: Additive | Multiplicative | None = None
        if looks:
            general = config.attention == "luong"
            self.attention = Additive(width) if additive else Multiplicative(width, general=general)
        self.readout = Linear((3 if additive else 2) * width, width, bias=True) if looks else None
        self.head_bias_V = nn.Parameter(torch.empty(config.vocab_size))

    @property
    def head_weight_VD(self) -> nn.Parameter:  # noqa: N802
        """The matrix that makes vocabulary scores out of features: the embedding."""
        return self.tokens.weight

    def encode(self, ids_BL: Tensor, *, runs: Sequence[int] | None = None) -> Tensor:
        """The encoder's states of source texts, (B, L, D): of rows, or of the packed `runs`.

        Raises UserError if a text is longer than the context.
        """
        steps, x_TD = self._embed(ids_BL, runs)
        for block in self.encoder:
            x_TD = self.dropout(block(x_TD, steps), steps.text_T)
        return steps.unpack(x_TD).view(*ids_BL.shape, -1)

    def hidden(
        self,
        ids_BL: Tensor,
        *,
        source: Source | None = None,
        runs: Sequence[int] | None = None,
        cache: SourceStateCache | None = None,
    ) -> Tensor:
        """What is to foretell the next words of target texts, (B, L, D); row or run i looks at text i of `source`.

        `cache` continues what it holds, source included, and is advanced. Raises UserError if a text is longer than the
        context or the cache.
        """
        batch, length = ids_BL.shape
        gaze = gaze_of(batch, length, runs, source, cache, scale=1.0)
        steps, x_TD = self._embed(ids_BL, runs)
        if cache is None:
            assert source is not None, "gaze_of asks for one of both"
            return self._write(x_TD, steps, self._first(source), gaze, None).view(batch, length, -1)
        cache.reserve(batch, length)
        after: list[States] = []
        before = [cache.before(layer) for layer in range(self.config.writing_layers)]
        y_TD = self._write(x_TD, steps, before, gaze, after)
        for layer, states in enumerate(after):
            cache.store(layer, tuple(steps.unpack(state_TD).view(batch, length, -1) for state_TD in states))
        cache.advance(length)
        return y_TD.view(batch, length, -1)

    def _embed(self, ids_BL: Tensor, runs: Sequence[int] | None) -> tuple[Steps, Tensor]:
        batch, length = ids_BL.shape
        ids_T = ids_BL.to(self.tokens.weight.device).flatten()
        texts = (length,) * batch if runs is None else tuple(runs)
        check_length(max(texts), self.config.context)
        steps = steps_of(texts, ids_T.device)
        return steps, self.dropout(self.tokens(ids_T[steps.places_T]), steps.text_T)

    def _first(self, source: Source) -> list[States]:
        """What each of the decoder's layers begins with: made of what either way of the encoder said last, (R, D)."""
        ends_R = torch.tensor(source.runs, device=source.states_SD.device).cumsum(0)
        starts_R = ends_R - torch.tensor(source.runs, device=source.states_SD.device)
        half = self.config.width // 2
        last_RD = torch.cat([source.states_SD[ends_R - 1, :half], source.states_SD[starts_R, half:]], dim=-1)
        states = torch.split(torch.tanh(self.bridge(last_RD)), self.config.width, dim=1)
        count = CELLS[self.config.cell].states
        return [tuple(states[place : place + count]) for place in range(0, len(states), count)]

    def _write(
        self, x_TD: Tensor, steps: Steps, before: Sequence[States], gaze: Gaze, after: list[States] | None
    ) -> Tensor:
        """Packed embeddings → what foretells, in the tokens' own order; `after` receives what layers remember."""
        first, *others = [tuple(state_RD[steps.order_R] for state_RD in states) for states in before]
        block, *blocks = cast(list[Recurrent], list(self.decoder))
        seen_TD: Tensor | None = None
        if isinstance(self.attention, Additive):
            h_TD, seen_TD = self._look_and_step(self.attention, block, x_TD, steps, first, gaze, after)
        else:
            h_TD = _run(block, x_TD, steps, first, after)
        h_TD = self.dropout(h_TD, steps.text_T)
        for block, states in zip(blocks, others, strict=True):
            h_TD = self.dropout(_run(block, h_TD, steps, states, after), steps.text_T)
        if self.readout is None:
            return steps.unpack(h_TD)
        if seen_TD is not None:
            return steps.unpack(self._said(torch.cat([h_TD, seen_TD, x_TD], dim=-1), steps))
        assert isinstance(self.attention, Multiplicative), "one of ATTENTION"
        own_TD = steps.unpack(h_TD)
        own_BLD = own_TD.view(1 if gaze.cache is None else len(steps.lengths), -1, own_TD.shape[1])
        seen_TD = self.attention(own_BLD, gaze).reshape(own_TD.shape)
        return steps.unpack(self._said(torch.cat([h_TD, steps.pack(seen_TD)], dim=-1), steps))

    def _said(self, x_TX: Tensor, steps: Steps) -> Tensor:
        assert self.readout is not None, "what looks at its source has a readout"
        y_TD: Tensor = self.dropout(torch.tanh(self.readout(x_TX)), steps.text_T)
        return y_TD

    def _look_and_step(
        self,
        attention: Additive,
        block: Recurrent,
        x_TD: Tensor,
        steps: Steps,
        states: States,
        gaze: Gaze,
        after: list[States] | None,
    ) -> tuple[Tensor, Tensor]:
        """Step by step: look at the source with the state before, then read the word and what was seen."""
        weights: list[Tensor] | None = [] if records_source_attention() else None
        look = self._look(attention, steps, gaze, weights)
        remembered, seen = [], []
        for x_RD in each_step(x_TD, steps.sizes):
            states = tuple(state_RD[: len(x_RD)] for state_RD in states)
            seen.append(look(states[0]))
            states = block.step(torch.cat([x_RD, seen[-1]], dim=-1), states)
            remembered.append(states)
        if weights is not None:
            _record(torch.cat(weights), steps, gaze)
        whole = tuple(torch.cat(step) for step in zip(*remembered, strict=True))
        if after is not None:
            after.append(whole)
        return whole[0], torch.cat(seen)

    def _look(self, attention: Additive, steps: Steps, gaze: Gaze, weights: list[Tensor] | None) -> Look:
        cache, source = gaze.cache, gaze.source
        if cache is not None:
            return lambda s_RD: cache.look(0, attention.query(s_RD)[:, None, None], None, attention)[:, 0, 0]
        assert source is not None, "gaze_of asks for one of both"
        k_RHMD, v_RHMD, mask = _beside(attention, source, steps.order_R)

        def look(s_RD: Tensor) -> Tensor:
            rows = len(s_RD)
            weights_RHQM = attention.weights(attention.query(s_RD)[:, None, None], k_RHMD[:rows], mask[:rows])
            if weights is not None:
                weights.append(weights_RHQM[:, 0, 0].detach())
            return (weights_RHQM @ v_RHMD[:rows])[:, 0, 0]

        return look

    def features(self, x: Tensor) -> Tensor:
        """What is multiplied with `head_weight_VD`, (…, D) → (…, D): here the states themselves."""
        return x

    def scores(self, x: Tensor) -> Tensor:
        """The decoder's states (…, D) → scores (…, V) of the next word."""
        return linear(self.features(x), self.head_weight_VD, self.head_bias_V)

    def forward(self, ids_BL: Tensor, *, source_BL: Tensor | None = None, runs: Sequence[int] | None = None) -> Tensor:
        """Scores of the texts as translations of `source_BL`, row by row, or of themselves if there is none."""
        source_BL, source_runs = (ids_BL, runs) if source_BL is None else (source_BL, None)
        source = source_of(self.encode(source_BL, runs=source_runs), source_runs)
        return self.scores(self.hidden(ids_BL, source=source, runs=runs))

    def new_cache(self, batch: int, tokens: int, *, source: Source) -> SourceStateCache:
        """A cache for `batch` rows of up to `tokens` tokens, row i looking at text i of `source`.

        Raises UserError if that exceeds the context.
        """
        check_length(tokens, self.config.context)
        assert batch == len(source.runs), f"{batch} rows for {len(source.runs)} source texts"
        keys_values = [] if self.attention is None else [self.attention.keys_values(source.states_SD)]
        return SourceStateCache(first=self._first(source), tokens=tokens, keys_values=keys_values, runs=source.runs)


def _run(block: Recurrent, x_TD: Tensor, steps: Steps, before: States, after: list[States] | None) -> Tensor:
    """What a layer says; what it remembers of all tokens goes to `after`."""
    if after is None:
        y_TD: Tensor = block(x_TD, steps, before)
        return y_TD
    after.append(block.remember(x_TD, steps, before))
    return after[-1][0]


def _beside(attention: Additive, source: Source, order_R: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Keys and values of the texts in this order side by side, (R, 1, M, D), and which of them are tokens."""
    keys_values = attention.keys_values(source.states_SD)
    k_RHMD, v_RHMD = (
        pad_sequence(list(torch.split(x_SHD, list(source.runs))), batch_first=True)[order_R].transpose(1, 2)
        for x_SHD in keys_values
    )
    lengths_R = torch.tensor(source.runs, device=order_R.device)[order_R]
    mask_RM = torch.arange(k_RHMD.shape[2], device=order_R.device) < lengths_R[:, None]
    return k_RHMD, v_RHMD, mask_RM[:, None, None]


def _record(weights_TM: Tensor, steps: Steps, gaze: Gaze) -> None:
    assert gaze.source is not None, "attention over a cache is not recorded"
    lengths = torch.tensor(steps.lengths)[steps.sorted_R.cpu()].tolist()
    pairs = zip(torch.split(steps.unpack(weights_TM), lengths), gaze.source.runs, strict=True)
    record_source_attention([weights_LM[None, :, :read] for weights_LM, read in pairs])


def init_weights(model: Model, seed: int) -> None:
    """Fill all parameters: tables normal with deviation 0.1, the layers as `fill_recurrent` says."""
    fill_recurrent(model, seed=seed)


# ---- presets: named shapes, `dataclasses.replace` changes what should differ ----

PRESETS: dict[str, Config] = {
    "toy": Config(width=64, layers=1, context=128, vocab_size=1024),
    "tiny": Config(width=256, layers=1, context=256, vocab_size=10000, dropout=0.3),
    "small": Config(width=512, layers=2, context=256, vocab_size=16000),
}

# ---- published names: no library publishes such models; the layers' tensors are those of torch.nn.LSTM ----

KEYS = {
    "vocab_size": "vocab_size",
    "hidden_size": "width",
    "encoder_layers": "layers",
    "decoder_layers": "decoder_layers",
    "max_position_embeddings": "context",
    "cell": "cell",
    "attention": "attention",
    "decoder_start_token_id": "start_id",
    "pad_token_id": "pad_id",
    "dropout": "dropout",
    "recurrent_dropout": "recurrent_dropout",
}
FIXED: dict[str, tuple[Any, ...]] = {"model_type": ("rnn-attention",), "is_encoder_decoder": (True,)}
PREFIX = "model."
IGNORED_WEIGHTS = ()


def from_hugging_face(values: Mapping[str, Any]) -> Config:
    """The Config of a config.json, or UserError naming the setting that we can't compute."""
    require(values, "vocab_size", "hidden_size", "encoder_layers", "max_position_embeddings")
    require(values, "decoder_start_token_id", "pad_token_id")
    return Config(**read_config(values, known=KEYS, fixed=FIXED, harmless=HARMLESS))


def to_hugging_face(config: Config) -> dict[str, Any]:
    """The config.json that describes the same model."""
    ours = asdict(config)
    return {
        "architectures": ["RecurrentSeq2Seq"],
        **{key: choices[0] for key, choices in FIXED.items()},
        **{theirs: ours[field] for theirs, field in KEYS.items()},
    }


def tied_copies(config: Config) -> dict[str, str]:
    """Published tensors that repeat another one, and which: none."""
    return {}


def weights(config: Config) -> dict[str, Published]:
    """Where each of our parameters is found in a file."""
    table = {"tokens.weight": Published(("model.embedding.weight",)), "head_bias_V": Published(("lm_head.bias",))}
    for layer in range(config.layers):
        for way, ending in (("rightward", ""), ("leftward", "_reverse")):
            table |= _layer(f"encoder.{layer}.{way}", "model.encoder", f"l{layer}{ending}")
    for layer in range(config.writing_layers):
        table |= _layer(f"decoder.{layer}", "model.decoder", f"l{layer}")
    own = ["bridge.weight", "bridge.bias", *PARTS[config.attention]]
    return table | {name: Published((f"model.{name}",)) for name in own}


def _layer(ours: str, theirs: str, ending: str) -> dict[str, Published]:
    return {
        f"{ours}.{part}.{kind}": Published((f"{theirs}.{kind}_{short}_{ending}",))
        for part, short in (("inputs", "ih"), ("recurrent", "hh"))
        for kind in ("weight", "bias")
    }


READOUT = ("readout.weight", "readout.bias")
PARTS: dict[str, tuple[str, ...]] = {
    "bahdanau": ("attention.query.weight", "attention.key.weight", "attention.weigh.weight", *READOUT),
    "luong": ("attention.key.weight", *READOUT),
    "luong-dot": READOUT,
    "none": (),
}
