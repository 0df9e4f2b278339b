import gzip

import pytest

from lexloom.text.segmentation import words
from lexloom.text.tokenizers import TokenizerSettings, train_tokenizer
from lexloom.text.whole_words import count_words

ENGLISH = "The un believable cat (a cat) sat, it's 3.5 unbelievably old; and the rest."
CHINESE = "我来到北京清华大学。我用Python写词，北京很大"


def train(*texts, size=200, lowercase=False):
    return train_tokenizer(iter(texts), TokenizerSettings(kind="words", vocab_size=size, lowercase=lowercase))


def names(tokenizer, text):
    return [tokenizer.token(number).strip("▁") for number in tokenizer.encode(text)]


def test_words_are_those_of_the_segmentation():
    tokenizer = train(ENGLISH, CHINESE)
    for text in (ENGLISH, CHINESE):
        assert names(tokenizer, text) == words(text)


def test_an_unknown_word_is_one_token_and_never_cut_into_known_ones():
    tokenizer = train(ENGLISH)
    assert names(tokenizer, "unbelievable believab a cats") == ["<|unk|>", "<|unk|>", "a", "<|unk|>"]


def test_unknown_characters_are_one_token_and_take_no_known_word_with_them():
    assert names(train(CHINESE), "北京龘龘清华大学") == ["北京", "<|unk|>", "清华大学"]


def test_the_most_frequent_words_get_the_places():
    letters = "a b c d e f g h i j k l m"
    tokenizer = train(letters, letters[:-2], size=16)
    assert tokenizer.vocab_size == 16
    assert names(tokenizer, "a k l m") == ["a", "k", "<|unk|>", "<|unk|>"]


def test_case_is_folded_only_where_that_is_wanted():
    assert names(train(ENGLISH, lowercase=True), "THE cat") == ["the", "cat"]
    assert names(train(ENGLISH), "THE Cat cat") == ["<|unk|>", "<|unk|>", "cat"]


@pytest.mark.parametrize("lowercase", [True, False])
def test_plain_texts_are_cut_as_the_library_cuts_them_whatever_their_characters(lowercase):
    characters = [chr(number) for number in (*range(0x250), *range(0x2000, 0x2070))]
    texts = [f"{a}{b}{c}" for b in characters for a in ("", "a", "A ", "9_") for c in ("", "É", " z", "!")]
    tokenizer = train(*texts, size=20_000, lowercase=lowercase)
    unseen = [f"q{text}q" for text in texts]
    for text, ids in zip(texts + unseen, tokenizer.encode_batch(texts + unseen), strict=True):
        assert ids == tokenizer.encode_with_starts(text)[0], repr(text)


def test_plain_and_other_texts_are_counted_alike():
    other = f"{ENGLISH} ★"
    alone, joined = (count_words([text], lowercase=False) for text in (ENGLISH, other))
    assert joined == alone | {"★": 1}


@pytest.mark.parametrize("text", [ENGLISH, CHINESE, "用Python写", "cat. The cat, it's (a cat)"])
def test_decoded_text_has_the_spaces_that_people_write(text):
    tokenizer = train(ENGLISH, CHINESE)
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_each_word_says_where_it_stands():
    tokenizer = train(ENGLISH, CHINESE)
    text = "(cat) sat,unbelievably 用Python写北京"
    ((ids, offsets),) = tokenizer.encode_with_offsets([text])
    assert [text[start:end] for start, end in offsets] == words(text)
    assert tokenizer.encode_with_starts(text) == (ids, [start for start, _ in offsets])


def test_the_cuts_agree_with_jieba_on_unseen_text(shared_data):
    data = (shared_data("lm-cluecorpussmall-zh") / "CLUECorpusSmall_sampled.txt.gz").read_bytes()
    lines = gzip.decompress(data).decode().splitlines()
    tokenizer = train(*lines[:1000], size=20_000)
    same = total = 0
    for line in lines[2000:2050]:
        ((_, offsets),) = tokenizer.encode_with_offsets([line])
        starts, place = set(), 0
        for word in words(line):
            place = line.index(word, place)
            starts.add(place)
            place += len(word)
        total += len(starts)
        same += len(starts & {start for start, _ in offsets})
    assert same / total > 0.95
