"""Which words of its source a model looked at while it wrote: attention to the source, from word to word.

Attention shows what is read, not what decides; of a model that translates it is often, not always, the word's own
translation (Bahdanau et al. 2015; how far to trust it: Ding et al. 2019).
Axes: N layers, H heads, L target tokens, M source tokens, T target words, S source words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lexloom.base.errors import UserError
from lexloom.explain.explanation import answer
from lexloom.explain.words import written_words
from lexloom.nn.source import recorded_source_attention, source_of
from lexloom.tasks import Prediction, Setting
from lexloom.text.tokenizers import Tokenizer

Floats = NDArray[np.float32]
Groups = Sequence[Sequence[int]]
"""For each word the places of its tokens."""


@dataclass(frozen=True)
class SourceMaps:
    """What each word of a target took of each word of its source."""

    source: tuple[str, ...]
    """The words that were read, and the special tokens among them."""
    target: tuple[str, ...]
    """The words that were written, and the token that ended them."""
    special_S: tuple[bool, ...]  # noqa: N815
    """Which of the words that were read are special tokens."""
    special_T: tuple[bool, ...]  # noqa: N815
    weights_NHTS: Floats  # noqa: N815
    """[layer, head, t, s]: how much the model took of source word s when it wrote word t; the rows sum to 1."""

    @property
    def mean_TS(self) -> Floats:  # noqa: N802
        """The mean of all layers and heads, (T, S); its rows sum to 1 as well."""
        mean_TS: Floats = self.weights_NHTS.mean(axis=(0, 1))
        return mean_TS

    @property
    def looked_at(self) -> list[int | None]:
        """For each word written the number of the word read that it took most of; special tokens are no words."""
        if all(self.special_S):
            return [None] * len(self.target)
        most_T = np.where(self.special_S, -1, self.mean_TS).argmax(axis=1)
        return [None if special else int(place) for special, place in zip(self.special_T, most_T, strict=True)]


@dataclass(frozen=True)
class Translation:
    """What a model wrote to a source, and what it looked at meanwhile."""

    source: str
    prediction: Prediction
    maps: SourceMaps


def explain_translation(model: Any, task: str, example: Any, setting: Setting) -> Translation:
    """Let the model answer an example of a task that writes about a source, such as text2text, and watch it write.

    Raises UserError for a source without a word, and for a model without attention.
    """
    if not example.source.strip():
        raise UserError("there is no word in it, so nothing to explain", where=example.where)
    answered = answer(model, task, example, setting)
    best = answered.outputs[0][0]
    maps = source_maps(model, answered.encoded.pieces[0].ids, best.ids, setting.tokenizer)
    return Translation(example.source, answered.prediction, maps)


def source_maps(model: Any, source: Sequence[int], target: Sequence[int], tokenizer: Tokenizer) -> SourceMaps:
    """Let the model write `target` to `source` (token ids, as they were encoded and written) and keep its attention.

    A word's share of the source is the sum over its tokens there, and the mean over its tokens in the target.
    """
    sources, targets = written_words(source, tokenizer), written_words(target, tokenizer)
    weights_NHLM = source_attention(model, source, target)
    return SourceMaps(
        source=tuple(word for word, _ in sources),
        target=tuple(word for word, _ in targets),
        special_S=tuple(_is_special(source[places[0]], tokenizer) for _, places in sources),
        special_T=tuple(_is_special(target[places[0]], tokenizer) for _, places in targets),
        weights_NHTS=_by_words(weights_NHLM, [places for _, places in targets], [places for _, places in sources]),
    )


def source_attention(model: Any, source: Sequence[int], target: Sequence[int]) -> Floats:
    """How much of each source token every layer's heads took when they wrote each target token, (N, H, L, M).

    Raises UserError for a model without attention.
    """
    model.eval()
    written = torch.tensor([[model.config.start_id, *target[:-1]]])
    with torch.no_grad():
        read = source_of(model.encode(torch.tensor([list(source)])))
        with recorded_source_attention() as layers:
            model.hidden(written, source=read)
    if not layers:
        raise UserError("the model knows its source by one state alone; it has no attention to show")
    weights_NHLM: Floats = torch.stack([pairs[0] for pairs in layers]).float().cpu().numpy()
    return weights_NHLM


def _is_special(token: int, tokenizer: Tokenizer) -> bool:
    """An unknown word is a word."""
    return token in tokenizer.special_ids and token != tokenizer.unk_id


def _by_words(weights_NHLM: Floats, targets: Groups, sources: Groups) -> Floats:
    rows_NHTM = np.stack([weights_NHLM[:, :, list(places)].mean(axis=2) for places in targets], axis=2)
    return np.stack([rows_NHTM[..., list(places)].sum(axis=-1) for places in sources], axis=-1)
