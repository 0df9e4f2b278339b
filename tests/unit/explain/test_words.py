"""Tokens come back as the words they stand for: each token in one word, Chinese by characters."""

import pytest

from lexloom.explain.explanation import answer
from lexloom.explain.targets import EXPLAINABLE
from lexloom.explain.words import text_tokens, words_of, written_words
from lexloom.text.tokenizers import TokenizerSettings, train_tokenizer
from tests.understanding import EXAMPLES, model_for, setting_of, tokenizer

every_task = pytest.mark.parametrize("name", EXPLAINABLE)


def read(name, example, setting):
    answered = answer(model_for(name, setting), name, example, setting)
    how = EXPLAINABLE[name]
    texts = how.texts(example, setting.tokenizer)
    words = words_of(answered.encoded.pieces, how.reads(answered), [tokens for _, tokens in texts], setting.tokenizer)
    return answered.encoded.pieces, [text for text, _ in texts], words


def squeezed(text):
    return text.replace(" ", "").lower()


@every_task
@pytest.mark.parametrize("max_tokens", [64, 24])
def test_every_token_but_the_special_ones_stands_in_one_word_that_reads_like_it(name, max_tokens):
    windows = {"long_texts": "windows"} if name in ("classify", "regress") else {}
    setting = setting_of(name, max_tokens=max_tokens, **windows)
    for example in EXAMPLES[name]:
        pieces, texts, words = read(name, example, setting)
        places = [place for word in words for place in word.tokens]
        framing = {token for token, _ in setting.tokenizer.frame(2).slots}
        rows = [(number, place, token) for number, piece in enumerate(pieces) for place, token in enumerate(piece.ids)]
        everything = [(number, place) for number, place, token in rows if token not in framing]
        assert sorted(places) == everything
        for word in words:
            written = texts[word.text][word.start : word.end]
            for number, piece in enumerate(pieces):
                ids = [piece.ids[place] for owner, place in word.tokens if owner == number]
                known = setting.tokenizer.unk_id not in ids
                # A window may begin or end inside of a word
                assert not known or squeezed(setting.tokenizer.decode(ids)).strip("#") in squeezed(written)


def test_chinese_is_told_by_characters_and_english_by_words():
    text = "Anna 住在北京, unbelievable!"
    spans = text_tokens(text, tokenizer()).spans
    assert [text[start:end] for start, end in spans] == ["Anna", "住", "在", "北", "京", ",", "unbelievable", "!"]


def test_characters_that_share_a_token_stay_together():
    pieces = train_tokenizer(
        iter(["床前明月光" * 9, "明月光 moon"] * 20), TokenizerSettings(kind="unigram", vocab_size=280, sentinels=0)
    )
    text = "床前明月光"
    read = text_tokens(text, pieces)
    assert len(read.spans) < len(text)
    assert "".join(text[start:end] for start, end in read.spans) == text
    assert len(read.words_T) == len(read.ids)


@pytest.mark.parametrize("text", ["", " ", "\u200b"])
def test_a_text_without_words_has_one_stretch(text):
    assert len(text_tokens(text, tokenizer()).spans) == 1


def test_tokens_come_back_as_the_words_they_write():
    ids = [*tokenizer().encode_batch(["Anna 住在北京, unbelievable!"])[0], 3]
    found = written_words(ids, tokenizer())
    assert [word for word, _ in found] == ["Anna", "住", "在", "北", "京", ",", "unbelievable", "[UNK]", "[SEP]"]
    assert [place for _, places in found for place in places] == list(range(len(ids)))


def test_bytes_and_spaces_of_their_own_belong_to_the_word_that_they_begin():
    pieces = train_tokenizer(iter(["床前明月光 a man plays football"] * 20), TokenizerSettings(vocab_size=330))
    ids = pieces.encode_batch(["  A man 床前, Fußball 😀!"])[0]
    found = written_words([*ids, ids[-2]], pieces)
    assert [word for word, _ in found[:-1]] == ["A", "man", "床", "前", ",", "Fußball", "😀", "!"]
    assert found[-1][0] == "\ufffd"  # a part of a character
    assert [place for _, places in found for place in places] == list(range(len(ids) + 1))
    assert written_words([], pieces) == []
