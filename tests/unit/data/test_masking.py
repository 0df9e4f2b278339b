import numpy as np
import pytest

from lexloom.base.errors import RecipeError
from lexloom.data.masking import Masker, MaskingSettings
from lexloom.text.tokenizers import TokenizerSettings, train_tokenizer
from lexloom.text.words import WordStarts
from tests.small import wordpiece_tokenizer

TOKENIZER = wordpiece_tokenizer(600)
MASK = TOKENIZER.names["mask"]
ORDINARY = sorted(set(range(600)) - TOKENIZER.special_ids)


def many(masker, rounds=300, size=100):
    """Sequences before and after masking, with their spots."""
    rng = np.random.default_rng(0)
    before = [rng.choice(ORDINARY, size=size) for _ in range(rounds)]
    return [(ids, *masker(ids, np.random.default_rng(number))) for number, ids in enumerate(before)]


@pytest.mark.parametrize("rate", [0.05, 0.15, 0.4])
@pytest.mark.parametrize("whole_words", [False, True])
def test_the_rate_is_kept(rate, whole_words):
    found = many(Masker(MaskingSettings(rate=rate, whole_words=whole_words), TOKENIZER))
    assert np.mean([len(spots) for _, _, spots in found]) == pytest.approx(100 * rate, rel=0.04, abs=0.6)


def test_eight_of_ten_are_masked_one_is_random_one_stays():
    found = many(Masker(MaskingSettings(), TOKENIZER))
    before = np.concatenate([ids[spots] for ids, _, spots in found])
    after = np.concatenate([hidden[spots] for _, hidden, spots in found])
    masked, kept = np.mean(after == MASK), np.mean(after == before)
    assert masked == pytest.approx(0.8, abs=0.02)
    assert kept == pytest.approx(0.1, abs=0.02)
    replaced = after[(after != MASK) & (after != before)]
    assert len(replaced) / len(after) == pytest.approx(0.1, abs=0.02)
    assert not set(replaced.tolist()) & TOKENIZER.special_ids
    assert len(set(replaced.tolist())) > 250


def test_only_chosen_places_change_and_the_input_stays_as_it_is():
    for ids, hidden, spots in many(Masker(MaskingSettings(), TOKENIZER), rounds=20):
        assert MASK not in ids
        others = np.setdiff1d(np.arange(len(ids)), spots)
        assert (hidden[others] == ids[others]).all()
        assert (np.diff(spots) > 0).all()


@pytest.mark.parametrize("whole_words", [False, True])
def test_special_tokens_are_never_chosen_and_one_ordinary_token_always_is(whole_words):
    masker = Masker(MaskingSettings(whole_words=whole_words, rate=0.3), TOKENIZER)
    special = sorted(TOKENIZER.special_ids)
    for number in range(50):
        ids = np.array([*special, ORDINARY[3], *special])
        _, spots = masker(ids, np.random.default_rng(number))
        assert spots.tolist() == [len(special)]
    hidden, spots = masker(np.array(special), np.random.default_rng(0))
    assert len(spots) == 0
    assert hidden.tolist() == special


def test_whole_words_are_hidden_or_left_whole():
    ids = np.array(TOKENIZER.encode("the moons sing, 明月光。the river sings 床前明月光。" * 4))
    starts = WordStarts(TOKENIZER)(ids)
    word_of = np.cumsum(starts)
    masker = Masker(MaskingSettings(whole_words=True, rate=0.3), TOKENIZER)
    for number in range(50):
        _, spots = masker(ids, np.random.default_rng(number))
        assert np.isin(word_of, word_of[spots]).sum() == len(spots)


def test_each_generator_masks_in_its_own_way_and_always_alike():
    masker, ids = Masker(MaskingSettings(), TOKENIZER), np.array(ORDINARY[:100])
    one, again, other = (masker(ids, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (one.ids_T == again.ids_T).all()
    assert (one.ids_T != other.ids_T).any()


def test_a_tokenizer_without_a_mask_is_refused_with_what_to_do():
    tokenizer = train_tokenizer(iter(["some text"]), TokenizerSettings(kind="bpe", vocab_size=300))
    with pytest.raises(RecipeError, match="no mask token") as caught:
        Masker(MaskingSettings(), tokenizer)
    assert "wordpiece" in str(caught.value)
