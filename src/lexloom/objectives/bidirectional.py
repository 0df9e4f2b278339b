"""The two-way objective of ELMo: foretell every word from those before it, and again from those behind it.

Words are foretold, not bytes: those that the tokenizer's vocabulary holds, and `<unk>` for all others. A text's end is
foretold as a word is, and from the other side its beginning. A batch is one row of tokens, cut into runs; nothing is
padded. Source: Peters et al. 2018, arXiv:1802.05365, section 3.1.
Axes: T tokens, W words of a run, S words of all runs, P projection.
"""

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lexloom.base.errors import RecipeError
from lexloom.data.batches import IGNORE, Windows
from lexloom.data.masking import MaskingSettings
from lexloom.data.sequences import Sequences
from lexloom.nn.loss import vocabulary_loss
from lexloom.objectives.contract import Batch, Loss, Objective, RowGenerator
from lexloom.text.tokenizers import Tokenizer
from lexloom.text.word_bytes import BYTES, MARK_ID, WORDS_SHARE, vocabulary_of, words_of

Ids = NDArray[np.int64]


def bidirectional(settings: MaskingSettings, tokenizer: Tokenizer) -> Objective:
    """Foretell words; there is nothing to set. Raises RecipeError for a tokenizer that doesn't spell words, or has none
    in its vocabulary."""
    sequences = Sequences(tokenizer, paired=False)
    return Objective(
        partial(_make_batch, sequences, WordIds(tokenizer)),
        loss,
        kind="encoder",
        head="bidirectional",
        window_tokens=sequences.window_tokens,
        scored_share=2 * WORDS_SHARE,
    )


def loss(model: Any, batch: Batch) -> Loss:
    """The sum of −log p(word) in nats, over both directions."""
    x_SD = model.hidden(batch.ids_BL, runs=batch.runs, spots_S=batch.spots_S)
    x_NP = model.features(x_SD).flatten(0, 1)
    total = vocabulary_loss(x_NP, model.head_weight_VD, batch.targets.flatten(), bias=model.head_bias_V)
    return Loss(total, batch.count)


class WordIds:
    """Which words a text holds, as ids of the vocabulary."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Raises RecipeError, see `bidirectional`."""
        words = vocabulary_of(tokenizer.token, tokenizer.vocab_size) if tokenizer.spells_words else {}
        if not words or tokenizer.unk_id is None:
            raise RecipeError(
                "the tokenizer has no words to foretell",
                where="objective",
                fix='Prepare with prepare.tokenizer.kind = "word-bytes".',
            )
        self._ids, self._unk_id = words, tokenizer.unk_id

    def __call__(self, ids_T: Ids) -> tuple[Ids, Ids]:
        """Where each word of a single text begins, and which it is, (W) both: IGNORE for one that was cut in two."""
        first_W = words_of(ids_T, [len(ids_T)]).first_W
        found = [self._id(word_T) for word_T in np.split(ids_T, first_W[1:])]
        return first_W, np.array(found, np.int64)

    def _id(self, word_T: Ids) -> int:
        first = int(word_T[0])
        if first >= BYTES:
            return first
        spelled = bytes(word_T[1:].astype(np.uint8))
        return self._ids.get(spelled, self._unk_id) if first == MARK_ID and _is_whole(spelled) else IGNORE


def _is_whole(spelled: bytes) -> bool:
    """Whether a word's bytes are characters; the end of a window may fall into one."""
    try:
        return bool(spelled.decode())
    except UnicodeDecodeError:
        return False


def _make_batch(
    sequences: Sequences, word_ids: WordIds, windows: Windows, indices: list[int], rng: RowGenerator
) -> Batch:
    texts = [
        np.array(sequence.ids) for row, index in enumerate(indices) for sequence in sequences(windows, index, rng(row))
    ]
    starts = np.cumsum([0, *(len(ids_T) for ids_T in texts[:-1])])
    words = [word_ids(ids_T) for ids_T in texts]
    targets_S2 = np.concatenate([_neighbours(ids_W) for _, ids_W in words])
    spots_S = np.concatenate([start + first_W for start, (first_W, _) in zip(starts, words, strict=True)])
    return Batch(
        ids_BL=torch.from_numpy(np.concatenate(texts))[None],
        targets=torch.from_numpy(targets_S2),
        runs=tuple(map(len, texts)),
        count=int(np.count_nonzero(targets_S2 != IGNORE)),
        spots_S=torch.from_numpy(spots_S),
    )


def _neighbours(ids_W: Ids) -> Ids:
    """For each word of a text the next one and the one before, (W, 2); an empty text foretells nothing."""
    targets_W2 = np.full((len(ids_W), 2), IGNORE, np.int64)
    if len(ids_W) > EMPTY_WORDS:
        targets_W2[:-1, 0] = ids_W[1:]
        targets_W2[1:, 1] = ids_W[:-1]
    return targets_W2


EMPTY_WORDS = 2
"""An empty text is its beginning and its end."""
