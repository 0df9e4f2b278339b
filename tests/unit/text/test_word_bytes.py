"""Words as bytes: the vocabulary is AllenNLP's, and whatever a text holds becomes rows of fifty characters."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexloom.labelled.examples import Tagged
from lexloom.tasks.words import words_and_tokens
from lexloom.text.tokenizers import Tokenizer, TokenizerSettings, config_for, train_tokenizer
from lexloom.text.word_bytes import NAMES, characters_of, vocabulary_of, word_bytes, words_of

TEXT = "the moon sings，床前明月光 2003年 MBA 😀 the moon"
TOKENIZER = train_tokenizer(iter([TEXT]), TokenizerSettings(kind="word-bytes", vocab_size=275))
TOKENISED = Tokenizer(word_bytes(list(NAMES.values()), marks_apart=False).to_str().encode(), config_for(NAMES))


def as_allennlp(word):
    """ELMoCharacterMapper.convert_word_to_char_ids, before 1 is added for the mask."""
    spelled = {"<S>": [256], "</S>": [257]}.get(word, list(word.encode()[:48]))
    return ([258, *spelled, 259] + [260] * 50)[:50]


def rows_of(ids, runs=None):
    ids_T = np.array(ids)
    words = words_of(ids_T, runs or [len(ids)])
    return words, characters_of(ids_T, words).tolist()


@given(words=st.lists(st.text(st.characters(exclude_categories=["Cs", "Z", "Cc"]), min_size=1, max_size=60)))
@settings(max_examples=200, deadline=None)
def test_rows_of_characters_are_those_of_allennlp(words):
    words = " ".join(words).split()
    ids, _, _ = TOKENISED.frame(1).fill([TOKENISED.encode(" ".join(words))])
    assert rows_of(ids)[1] == [as_allennlp(word) for word in ("<S>", *words, "</S>")]


def test_a_word_of_ten_thousand_bytes_is_one_row():
    ids = TOKENISED.encode("a" * 10_000 + " b")
    assert rows_of(ids)[1] == [as_allennlp("a" * 48), as_allennlp("b")]


def test_chinese_characters_and_marks_are_words_of_their_own():
    ids = TOKENIZER.encode(TEXT)
    expected = ["the", "moon", "sings", "，", *"床前明月光", "2003", "年", "MBA", "😀", "the", "moon"]
    assert rows_of(ids)[1] == [as_allennlp(word) for word in expected]
    assert TOKENIZER.decode(ids) == "the moon sings ， 床前明月光 2003 年 MBA 😀 the moon"


def test_the_vocabulary_holds_the_frequent_words_which_no_text_is_encoded_to():
    words = vocabulary_of(TOKENIZER.token, TOKENIZER.vocab_size)
    assert {b"the", b"moon"} < words.keys()
    assert len(words) == TOKENIZER.vocab_size - 264
    assert max(TOKENIZER.encode(TEXT)) < 256
    assert TOKENIZER.spells_words


def test_texts_without_a_word_have_no_tokens():
    assert [TOKENIZER.encode(text) for text in ("", " ", "\n\t ")] == [[], [], []]


@pytest.mark.parametrize("ids", [[5], [32], [32, 32, 32], [256, 257], [300, 7, 32, 7, 261, 261], [7] * 500])
def test_any_ids_are_words(ids):
    words, rows = rows_of(ids)
    assert words.first_W[0] == 0
    assert sum(words.runs) == len(rows) == words.words_T[-1] + 1
    assert all(len(row) == 50 and row[0] == 258 and 259 in row for row in rows)


def test_a_run_begins_a_word_whatever_it_begins_with():
    words, rows = rows_of([32, 97, 98, 99], [2, 2])
    assert words.runs == [1, 1]
    assert rows == [as_allennlp("a"), as_allennlp("bc")]


def test_every_tagged_word_begins_with_a_mark_and_becomes_a_word():
    text = "住2003年MBA"
    example = Tagged("t:1", {}, text, tuple((place, place + 1) for place in range(len(text))), ())
    ((ids, offsets),) = TOKENIZER.encode_with_offsets([text])
    ids, first_W = words_and_tokens(ids, offsets, example, TOKENIZER)
    assert rows_of(ids)[1] == [as_allennlp(letter) for letter in text]
    assert first_W == words_of(np.array(ids), [len(ids)]).first_W.tolist()
