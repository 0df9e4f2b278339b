"""Bag of words: the n-grams of a text without their order, weighed for each label by logistic regression.

Sources: naive-Bayes features, Wang and Manning 2012 (https://aclanthology.org/P12-2018); TF-IDF with sublinear counts,
Salton and Buckley 1988; one logistic regression a label, solved by LIBLINEAR (Fan et al. 2008) inside scikit-learn.
It is learned in one go (`fit`), from whole texts.
Axes: B batch, L length, T tokens (flattened), G n-grams found, E entries (an n-gram of a text and how often it is
there), K features (the n-grams that training kept), C columns of the head, R texts.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lexloom.base.console import Tick
from lexloom.base.errors import DataError, UserError
from lexloom.nn.checks import check_choice, check_length, check_number, check_sizes
from lexloom.nn.published import HARMLESS, Published, head_of, name_labels, read_config, require

KIND = "encoder"
PUBLISHED = False

# ---- config ----

KEY_BITS = 63
"""An n-gram is one number in base vocab_size + 1, kept in a signed 64-bit integer."""
MOST_FEATURES = 1 << 40


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is counted, and how it counts; impossible numbers raise UserError."""

    vocab_size: int
    shortest: int = 1
    """Tokens of the shortest n-grams."""
    longest: int = 2
    """Tokens of the longest n-grams."""
    weighting: str = "naive-bayes"
    """What an n-gram of a text counts: one of WEIGHTINGS."""
    least_texts: int = 1
    """An n-gram is a feature if so many training texts have it."""
    smoothing: float = 1.0
    """What naive Bayes adds to the count of every feature."""
    strength: float = 1.0
    """How much the training texts outweigh the wish for small weights (C of LIBLINEAR)."""
    features: int = 0
    """How many n-grams training kept."""
    head: str = "sequence"
    """What it judges: whole texts."""
    labels: int = 2
    """Columns of the head."""
    context: int = 1 << 24
    """The longest text in tokens: a bag has no need of a bound."""

    def __post_init__(self) -> None:
        check_sizes(self)
        check_choice("head", self.head, tuple(HEADS))
        check_choice("weighting", self.weighting, WEIGHTINGS)
        check_number("features", self.features, 0, MOST_FEATURES)
        check_number("least_texts", self.least_texts, 1, MOST_FEATURES)
        check_number("smoothing", self.smoothing, 1e-9, 1e9)
        check_number("strength", self.strength, 1e-9, 1e9)
        most = int(KEY_BITS / math.log2(self.vocab_size + 1))
        check_number("longest", self.longest, 1, most)
        check_number("shortest", self.shortest, 1, self.longest)

    @property
    def width(self) -> int:
        """Its hidden states are already what is said to each label."""
        return self.labels

    @property
    def scaled(self) -> bool:
        """Whether features have a scale of their own, and texts the length 1."""
        return self.weighting == "tfidf"


WEIGHTINGS = ("counts", "binary", "tfidf", "naive-bayes")
"""How often it is there; 1; 1 + ln(how often), times its rarity, with texts scaled to the length 1; the log of how much
more frequent it is in texts with the label than in others."""
HEADS = {"sequence": "BowForSequenceClassification"}

# ---- blocks ----


def ngrams(ids_T: Tensor, texts_T: Tensor, config: Config) -> tuple[Tensor, Tensor]:
    """All n-grams that lie within a text: their keys and their texts' numbers, (G); within an order as they stand.

    The key of an n-gram is the number whose digits, in base vocab_size + 1, are its ids + 1: no two have the same.
    """
    base, keys_T, found = config.vocab_size + 1, ids_T + 1, []
    for order in range(1, config.longest + 1):
        if order > 1:
            keys_T = keys_T[:-1] * base + ids_T[order - 1 :] + 1
        if order >= config.shortest:
            within = texts_T[: len(keys_T)] == texts_T[order - 1 :]
            found.append((keys_T[within], texts_T[: len(keys_T)][within]))
    keys, texts = zip(*found, strict=True)
    return torch.cat(keys), torch.cat(texts)


def values(counts_E: Tensor, texts_E: Tensor, scale_E: Tensor | None, texts: int, weighting: str) -> Tensor:
    """What each n-gram counts in its text, (E); with `scale_E` every text gets the length 1."""
    if scale_E is None:
        return counts_E.float() if weighting == "counts" else torch.ones_like(counts_E, dtype=torch.float32)
    values_E = (1 + counts_E.float().log()) * scale_E
    squares_R = torch.zeros(texts).to(values_E).index_add_(0, texts_E, values_E.square())
    return values_E / squares_R.sqrt()[texts_E]


class Score(nn.Module):
    """What each feature says to each label, and what is said without any."""

    def __init__(self, features: int, labels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(features, labels))
        self.bias = nn.Parameter(torch.empty(labels))


# ---- model ----


class Model(nn.Module):
    """Ids in; at the first token of each text, what the bag of its n-grams says to each label."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        features, labels = config.features, config.labels
        self.keys_K = nn.Parameter(torch.zeros(features, dtype=torch.int64), requires_grad=False)
        """Ascending."""
        self.scale_K = nn.Parameter(torch.empty(features)) if config.scaled else None
        self.score = Score(features, labels)

    def hidden(
        self,
        ids_BL: Tensor,
        *,
        runs: Sequence[int] | None = None,
        types_BL: Tensor | None = None,
        spots_S: Tensor | None = None,
    ) -> Tensor:
        """The sums of the n-grams' weights, (B, L, C), at the first token of each row or run, zero elsewhere.

        With `spots_S`, places among the flattened tokens, only those, (S, C).
        """
        batch, length = ids_BL.shape
        check_length(length if runs is None else max(runs), self.config.context)
        lengths_R = torch.tensor([length] * batch if runs is None else runs, device=self.keys_K.device)
        texts_T = torch.repeat_interleave(torch.arange(len(lengths_R), device=lengths_R.device), lengths_R)
        says_RC = self._judged(ids_BL.flatten().to(texts_T.device), texts_T, len(lengths_R))
        x_TC = says_RC.new_zeros(batch * length, says_RC.shape[1])
        x_TC[lengths_R.cumsum(0) - lengths_R] = says_RC
        return x_TC.view(batch, length, -1) if spots_S is None else x_TC[spots_S]

    def scores(self, x_SC: Tensor) -> Tensor:
        """Log-odds of the labels, (…, C); of two that exclude one another half of them each."""
        return x_SC + self.score.bias

    def forward(self, ids_BL: Tensor, *, runs: Sequence[int] | None = None, types_BL: Tensor | None = None) -> Tensor:
        return self.scores(self.hidden(ids_BL, runs=runs, types_BL=types_BL))

    def _judged(self, ids_T: Tensor, texts_T: Tensor, texts: int) -> Tensor:
        weight_KC = self.score.weight
        says_RC = weight_KC.new_zeros(texts, weight_KC.shape[1])
        if not len(self.keys_K):
            return says_RC
        keys_G, texts_G = ngrams(ids_T, texts_T, self.config)
        places_G = torch.searchsorted(self.keys_K, keys_G).clamp_(max=len(self.keys_K) - 1)
        known_G = self.keys_K[places_G] == keys_G
        entries_E, counts_E = torch.unique(texts_G[known_G] * len(self.keys_K) + places_G[known_G], return_counts=True)
        texts_E, places_E = entries_E // len(self.keys_K), entries_E % len(self.keys_K)
        scale_E = None if self.scale_K is None else self.scale_K[places_E]
        values_E = values(counts_E, texts_E, scale_E, texts, self.config.weighting)
        return says_RC.index_add(0, texts_E, values_E[:, None] * weight_KC[places_E])


def init_weights(model: Model, seed: int) -> None:
    """Nothing is known before `fit`: zeros, whatever the seed."""
    for parameter in model.parameters():
        parameter.data.zero_()


# ---- learning ----

FIT_ON = "examples"
FIT_SETTINGS = ("class_weights",)


def fit(config: Config, units: Any, tick: Tick, *, scratch: Path, class_weights: Tensor | None = None) -> Model:
    """Learn from labelled examples (`units.encoded`); those without a label are left out.

    A target is a column, or a 0 or 1 for every column. `class_weights` (C) say what errors cost: on texts with the
    label, or in the whole column where a text may have several. The same examples give the same bits. Raises UserError
    without scikit-learn, DataError if the targets are something else, or no n-gram is frequent enough.
    """
    solve = _solver(config)
    known = [(piece.ids, example.target) for example in units.encoded for piece in example.pieces]
    known = [(ids, target) for ids, target in known if target is not None]
    wanted_RC, exclusive = _wanted([target for _, target in known], config.labels)
    costs_RC = None if class_weights is None else _costs(wanted_RC, class_weights, exclusive=exclusive)
    counts = _count([ids for ids, _ in known], config)
    tick(0, f"{len(counts.keys_K):,} n-grams")
    model = Model(replace(config, features=len(counts.keys_K)))
    init_weights(model, 0)
    model.keys_K.data = counts.keys_K
    if model.scale_K is not None:
        model.scale_K.data = counts.rarity_K
    # Of two labels one is the contrary of the other: the softmax of ±s/2 is the sigmoid of s
    contrary = exclusive and config.labels == 2
    columns = [1] if contrary else range(config.labels)
    for column in columns:
        weight_K, bias = solve(counts, wanted_RC[:, column], None if costs_RC is None else costs_RC[:, column])
        model.score.weight.data[:, column], model.score.bias.data[column] = weight_K, bias
        tick((column + 1) / config.labels, f"label {column + 1} of {config.labels}")
    if contrary:
        for parameter in model.score.parameters():
            parameter.data[..., 1] /= 2
            parameter.data[..., 0] = -parameter.data[..., 1]
    return model


@dataclass(frozen=True)
class Counts:
    """Which n-grams are features, and which texts have them how often: entries in the order of features, then texts."""

    texts: int
    keys_K: Tensor  # noqa: N815
    texts_K: Tensor  # noqa: N815
    """How many texts have it."""
    texts_E: Tensor  # noqa: N815
    counts_E: Tensor  # noqa: N815

    @property
    def rarity_K(self) -> Tensor:  # noqa: N802
        """Inverse document frequency, smoothed as in scikit-learn: ln((1 + texts) / (1 + texts that have it)) + 1."""
        return ((1 + self.texts) / (1 + self.texts_K.double())).log().add(1).float()


def _count(texts: Sequence[Sequence[int]], config: Config) -> Counts:
    ids_T = torch.tensor(list(chain.from_iterable(texts)))
    texts_T = torch.repeat_interleave(torch.arange(len(texts)), torch.tensor([len(ids) for ids in texts]))
    keys_G, texts_G = ngrams(ids_T, texts_T, config)
    keys_G, order_G = torch.sort(keys_G, stable=True)  # so the texts of a key stay ascending
    texts_G = texts_G[order_G]
    differs_G = torch.ones(len(keys_G) + 1, dtype=torch.bool)
    differs_G[1:-1] = (keys_G[1:] != keys_G[:-1]) | (texts_G[1:] != texts_G[:-1])
    starts_E = differs_G.nonzero().squeeze(1)
    counts_E, keys_E, texts_E = starts_E.diff(), keys_G[starts_E[:-1]], texts_G[starts_E[:-1]]
    keys_K, texts_K = torch.unique_consecutive(keys_E, return_counts=True)
    kept_K = texts_K >= config.least_texts
    kept_E = torch.repeat_interleave(kept_K, texts_K)
    if not kept_K.any():
        raise DataError(f"no n-gram is in {config.least_texts} texts", fix="Set model.least_texts to 1.")
    return Counts(len(texts), keys_K[kept_K], texts_K[kept_K], texts_E[kept_E], counts_E[kept_E])


def _wanted(targets: Sequence[Any], labels: int) -> tuple[Tensor, bool]:
    """Which texts have which labels (R, C), and whether every text has exactly one."""
    if all(isinstance(target, int) for target in targets):
        wanted_RC = torch.zeros(len(targets), labels, dtype=torch.bool)
        wanted_RC[torch.arange(len(targets)), torch.tensor(targets)] = True
        return wanted_RC, True
    if not all(isinstance(target, list) for target in targets):
        raise DataError("a bag of words learns labels, no numbers", fix='Set task.name = "classify".')
    return torch.tensor(targets) > 0, False


def _costs(wanted_RC: Tensor, weights_C: Tensor, *, exclusive: bool) -> Tensor:
    """What an error on each text costs in each column."""
    costs_R1 = (wanted_RC * weights_C).sum(dim=1, keepdim=True)
    return costs_R1.expand(wanted_RC.shape) if exclusive else weights_C.expand(wanted_RC.shape)


def _solver(config: Config) -> Callable[[Counts, Tensor, Tensor | None], tuple[Tensor, float]]:
    """(counts, which texts have the label, what errors on them cost) → the weights of all features, and the bias."""
    try:
        from scipy import sparse
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        raise UserError("a bag of words needs scikit-learn", fix="pip install 'lexloom[bow]'") from None

    def solve(counts: Counts, wanted_R: Tensor, costs_R: Tensor | None) -> tuple[Tensor, float]:
        if wanted_R.all() or not wanted_R.any():  # nothing to tell apart
            return torch.zeros(len(counts.keys_K)), math.log1p(counts.texts) * (1 if wanted_R.all() else -1)
        scale_K = counts.rarity_K if config.scaled else None
        scale_E = None if scale_K is None else torch.repeat_interleave(scale_K, counts.texts_K)
        values_E = values(counts.counts_E, counts.texts_E, scale_E, counts.texts, config.weighting)
        ratio_K = _log_count_ratios(counts, wanted_R, config) if config.weighting == "naive-bayes" else None
        if ratio_K is not None:
            values_E = values_E * torch.repeat_interleave(ratio_K, counts.texts_K)
        starts = torch.cat([counts.texts_K.new_zeros(1), counts.texts_K.cumsum(0)])
        shape = (counts.texts, len(counts.keys_K))
        matrix = sparse.csc_matrix((values_E.numpy(), counts.texts_E.numpy(), starts.numpy()), shape=shape)
        machine = LogisticRegression(C=config.strength, solver="liblinear")
        machine.fit(matrix.tocsr(), wanted_R.numpy(), sample_weight=None if costs_R is None else costs_R.numpy())
        weight_K = torch.from_numpy(machine.coef_[0]).float()
        return weight_K if ratio_K is None else weight_K * ratio_K, float(machine.intercept_[0])

    return solve


def _log_count_ratios(counts: Counts, wanted_R: Tensor, config: Config) -> Tensor:
    """log((p / ‖p‖₁) / (q / ‖q‖₁)), p and q the smoothed numbers of texts with and without the label that have it."""
    features_E = torch.repeat_interleave(torch.arange(len(counts.texts_K)), counts.texts_K)
    with_K = torch.zeros(len(counts.texts_K)).index_add_(0, features_E, wanted_R[counts.texts_E].float())
    p_K, q_K = with_K + config.smoothing, counts.texts_K - with_K + config.smoothing
    return (p_K / p_K.sum()).log() - (q_K / q_K.sum()).log()


# ---- presets: named shapes, `dataclasses.replace` changes what should differ ----

PRESETS: dict[str, Config] = {
    "toy": Config(vocab_size=1024),
    "words": Config(vocab_size=50_000, longest=1, weighting="tfidf"),
    "nb-bigrams": Config(vocab_size=50_000, longest=2),
    "nb-trigrams": Config(vocab_size=50_000, longest=3),
}

# ---- published names ----

OURS = ("vocab_size", "shortest", "longest", "weighting", "least_texts", "smoothing", "strength", "features", "context")
FIXED: dict[str, tuple[Any, ...]] = {"model_type": ("bow",)}
PREFIX = ""
IGNORED_WEIGHTS = (r"(?!)",)
"""None: nobody else publishes bags of words."""


def from_hugging_face(values: Mapping[str, Any]) -> Config:
    """The Config of a config.json, or UserError naming the setting that we can't compute."""
    require(values, "vocab_size", "features")
    ours = read_config(values, known={name: name for name in OURS}, fixed=FIXED, harmless=HARMLESS)
    return Config(**ours, **head_of(values, HEADS))


def to_hugging_face(config: Config) -> dict[str, Any]:
    """The config.json; its model_type is our own."""
    ours = asdict(config)
    return {
        "architectures": [HEADS[config.head]],
        "model_type": "bow",
        **{name: ours[name] for name in OURS},
        **name_labels(config.head, config.labels),
    }


def tied_copies(config: Config) -> dict[str, str]:
    """No tensor is there twice."""
    return {}


def weights(config: Config) -> dict[str, Published]:
    """Where each of our parameters is in the file."""
    names = {"keys_K": "keys", "score.weight": "score.weight", "score.bias": "score.bias"}
    names |= {"scale_K": "scale"} if config.scaled else {}
    return {ours: Published((theirs,)) for ours, theirs in names.items()}
