import numpy as np
import pytest

from lexloom.text.segmentation import words
from lexloom.text.tokenizers import TokenizerSettings, train_tokenizer
from lexloom.text.words import WordStarts
from tests.small import wordpiece_tokenizer

TEXT = "我来到北京清华大学。It's unbelievable, 2024年! 的士\U00020000🙂"


def spelled(tokenizer, text):
    """The tokens of a text, joined where no new word begins."""
    ids = np.array(tokenizer.encode(text))
    joined = []
    for number, starts in zip(ids.tolist(), WordStarts(tokenizer)(ids), strict=True):
        if starts:
            joined.append([])
        joined[-1].append(number)
    return [tokenizer.decode(word).strip() for word in joined]


@pytest.mark.parametrize("kind", ["bpe", "wordpiece", "unigram", "characters", "words"])
def test_every_token_that_begins_a_word_is_found_for_every_kind(kind):
    letters = "unbelievably he said 我来到北京大学 " * 3
    settings = TokenizerSettings(kind=kind, vocab_size=330, sentinels=0)
    tokenizer = train_tokenizer(iter([letters, "believe"]), settings)
    ids = np.array(tokenizer.encode("believe 北京"))
    starts = WordStarts(tokenizer)(ids)
    assert starts[0]
    assert starts.sum() >= 2
    assert len(starts) == len(ids)


def test_pieces_and_chinese_characters_belong_to_the_word_before_them():
    tokenizer = wordpiece_tokenizer(64)
    assert spelled(tokenizer, "the moons sings, 明月光。") == ["the", "moons", "sings", ",", "明月光", "。"]


def test_characters_join_to_words_whatever_the_script():
    tokenizer = train_tokenizer(iter([TEXT] * 2), TokenizerSettings(kind="characters", vocab_size=80))
    assert [word for word in spelled(tokenizer, TEXT) if word] == words(TEXT)


def test_a_special_token_stands_alone_and_ends_a_word():
    tokenizer = wordpiece_tokenizer(64)
    sep, mask, moon, plural = (tokenizer.id(token) for token in ("[SEP]", "[MASK]", "moon", "##s"))
    starts = WordStarts(tokenizer)(np.array([sep, mask, moon, plural, sep, sep, plural]))
    assert starts.tolist() == [True, True, True, False, True, True, True]


def test_a_sequence_cut_within_a_character_is_read_too():
    tokenizer = train_tokenizer(iter(["abc"]), TokenizerSettings(kind="bpe", vocab_size=270))
    ids = np.array(tokenizer.encode("床前"))
    assert len(ids) == 6
    assert len(WordStarts(tokenizer)(ids[1:5])) == 4
