"""Windows as pairs of a source and a target: corner cases of real corpora."""

import numpy as np
import pytest

from lexloom.base.errors import RecipeError
from lexloom.data.batches import IGNORE, Windows
from lexloom.data.masking import MaskingSettings
from lexloom.objectives import OBJECTIVES
from lexloom.objectives.pairs import ends_of
from lexloom.text.tokenizers import Tokenizer, with_sentinels
from tests.fakes import FakeEncoderDecoder
from tests.small import wordpiece_tokenizer

TOKENIZER = with_sentinels(wordpiece_tokenizer(60), 4)
START, END = TOKENIZER.pad_id, TOKENIZER.eos_id
SENTINELS = TOKENIZER.sentinel_ids

every_objective = pytest.mark.parametrize("name", ["denoise", "prefix"])


class Corpus:
    """Documents of these many tokens, all different from END, each ended by it."""

    def __init__(self, *sizes: int) -> None:
        ends = np.cumsum([size + 1 for size in sizes])
        self._tokens = 5 + np.arange(ends[-1]) % 50
        self._tokens[ends - 1] = END
        self.documents = np.stack([ends, ends, ends], axis=1)
        self.total_tokens = int(ends[-1])

    def tokens(self, start, stop):
        return self._tokens[start:stop]


def batch_of(name, windows, indices, **settings):
    objective = OBJECTIVES[name](MaskingSettings(**settings), TOKENIZER)
    return objective.make_batch(windows, indices, lambda row: np.random.default_rng(row))


def parts(row_BL, runs):
    return [part.tolist() for part in row_BL[0].split(list(runs))]


def pairs(batch):
    """Sources and targets, text by text."""
    return list(zip(parts(batch.source_BL, batch.source_runs), parts(batch.targets, batch.runs), strict=True))


def text_of(source, target):
    """The text that a pair was made of."""
    source, target = source[:-1], target[:-1]
    if not set(source) & set(SENTINELS):
        return source + target
    spans, current = {}, None
    for token in target:
        if token in SENTINELS:
            current = spans[token] = []
        else:
            current.append(token)
    return [token for kept in source for token in spans.get(kept, [kept])]


@every_objective
@pytest.mark.parametrize("boundaries", [False, True])
def test_every_pair_is_a_text_and_every_token_is_in_one(name, boundaries):
    corpus = Corpus(30, 7, 2, 40, 5)
    windows = Windows(corpus, 16, boundaries=boundaries)
    batches = [batch_of(name, windows, [index]) for index in range(len(windows))]
    found = [token for batch in batches for pair in pairs(batch) for token in text_of(*pair)]
    tokens = corpus.tokens(0, corpus.total_tokens - 1).tolist()
    if boundaries:
        assert found == [token for token in tokens if token != END]
    else:
        assert found == tokens


@every_objective
def test_inputs_are_targets_moved_on_by_one_behind_the_start(name):
    batch = batch_of(name, Windows(Corpus(28, 7, 22), 16, boundaries=True), [0, 1, 2])
    for ids, target in zip(parts(batch.ids_BL, batch.runs), parts(batch.targets, batch.runs), strict=True):
        assert ids == [START, *target[:-1]]
        assert target[-1] == END
    assert all(source[-1] == END for source, _ in pairs(batch))
    assert batch.count == batch.targets.numel()


@every_objective
@pytest.mark.parametrize("tokens", [2, 3, 4])
def test_windows_of_few_tokens_have_something_to_write(name, tokens):
    batch = batch_of(name, Windows(Corpus(20), tokens, boundaries=False), [0, 1])
    for source, target in pairs(batch):
        assert len(text_of(source, target)) == tokens
        assert len(target) >= 2


@every_objective
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (0, 0, 0, 0, 1)])
def test_texts_of_one_token_or_none_are_read_and_nothing_is_written(name, sizes):
    batch = batch_of(name, Windows(Corpus(*sizes), 4, boundaries=True), [0])
    assert batch.count == 0
    assert set(batch.targets.flatten().tolist()) == {IGNORE}
    assert set(batch.ids_BL.flatten().tolist()) == {START}
    objective, model = OBJECTIVES[name](MaskingSettings(), TOKENIZER), FakeEncoderDecoder(64)
    loss = objective.loss(model, batch)
    assert (float(loss.sum.detach()), loss.count) == (0.0, 0)


def test_a_rate_of_nearly_all_leaves_one_token():
    batch = batch_of("denoise", Windows(Corpus(40), 10, boundaries=False), [0, 1], rate=0.999, span=2.0)
    for source, target in pairs(batch):
        assert len(source) == 3  # the token, one sentinel, the end
        assert len(target) == 11


def test_a_document_s_end_inside_of_a_window_is_a_token_as_any_other():
    windows = Windows(Corpus(3, 3, 3, 3, 3), 15, boundaries=False)
    objective = OBJECTIVES["denoise"](MaskingSettings(rate=0.5), TOKENIZER)
    hidden = kept = 0
    for seed in range(40):
        batch = objective.make_batch(windows, [0], lambda row, seed=seed: np.random.default_rng(seed))
        ((source, target),) = pairs(batch)
        hidden, kept = hidden + target[:-1].count(END), kept + source[:-1].count(END)
        assert source[:-1].count(END) + target[:-1].count(END) == 3
    assert min(hidden, kept) > 20


def test_prefixes_are_cut_anywhere_equally_often():
    windows = Windows(Corpus(9), 6, boundaries=False)
    objective = OBJECTIVES["prefix"](MaskingSettings(), TOKENIZER)
    lengths = [
        objective.make_batch(windows, [0], lambda row, seed=seed: np.random.default_rng(seed)).source_runs[0] - 1
        for seed in range(2000)
    ]
    counts = np.bincount(lengths, minlength=6)[1:6]
    assert set(lengths) == {1, 2, 3, 4, 5}
    assert ((counts - 400) ** 2 / 400).sum() < 20


def test_a_tokenizer_that_begins_or_ends_nothing_is_refused():
    for missing in ("pad", "eos"):
        config = {key: value for key, value in TOKENIZER.config.items() if key != f"{missing}_token"}
        config = {key: value for key, value in config.items() if missing == "pad" or key != "sep_token"}
        with pytest.raises(RecipeError, match="names no pad token"):
            ends_of(Tokenizer(TOKENIZER.to_bytes(), config))
