import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexloom.text.stream import TextStream
from lexloom.text.tokenizers import KINDS, TokenizerSettings, train_tokenizer

WRITTEN = [kind for kind in KINDS if kind != "word-bytes"]
"""What a text may be written in: the bytes of words are for reading."""
TEXTS = ["the cat sat on the mat, the end. ", "我爱北京天安门，天安门上太阳升。", "naïve café 😀 hello"] * 20


@pytest.fixture(scope="module")
def tokenizers():
    return {kind: train_tokenizer(iter(TEXTS), TokenizerSettings(kind=kind, vocab_size=600)) for kind in WRITTEN}


def pieces_of(tokenizer, ids):
    stream = TextStream(tokenizer)
    return [*(stream.push(token) for token in ids), stream.flush()]


@pytest.mark.parametrize("kind", WRITTEN)
@given(seed=st.integers(0, 2**32), length=st.integers(0, 40))
@settings(max_examples=150, deadline=None)
def test_the_pieces_together_are_the_whole_text_for_any_ids(tokenizers, kind, seed, length):
    tokenizer = tokenizers[kind]
    draw = random.Random(seed)
    ids = [draw.randrange(tokenizer.vocab_size) for _ in range(length)]
    assert "".join(pieces_of(tokenizer, ids)) == tokenizer.decode(ids)


@pytest.mark.parametrize("kind", WRITTEN)
@given(text=st.text(alphabet="the cat我爱，。😀👩\u200d👧é\u0301\n ", max_size=40))
@settings(max_examples=150, deadline=None)
def test_the_pieces_together_are_the_whole_text_for_any_text(tokenizers, kind, text):
    tokenizer = tokenizers[kind]
    ids = tokenizer.encode(text)
    pieces = pieces_of(tokenizer, ids)
    assert "".join(pieces) == tokenizer.decode(ids)
    assert not any("\ufffd" in piece for piece in pieces), "half a character was shown"


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_a_character_appears_only_when_all_its_bytes_have_come(tokenizers, kind):
    tokenizer = tokenizers[kind]
    ids = tokenizer.encode("𓀀")
    assert len(ids) == 4, "the test needs a character that is spelled in bytes"
    pieces = pieces_of(tokenizer, ids)
    assert pieces[:3] == ["", "", ""]
    assert "".join(pieces) == "𓀀"


def test_special_tokens_give_no_text_and_don_t_take_a_space_away(tokenizers):
    tokenizer = tokenizers["wordpiece"]
    ids = [tokenizer.bos_id, *tokenizer.encode("the cat"), tokenizer.eos_id, *tokenizer.encode("sat")]
    assert "".join(pieces_of(tokenizer, ids)) == "the cat sat"


@pytest.mark.parametrize("kind", WRITTEN)
def test_the_work_for_a_token_does_not_grow_with_the_text(tokenizers, kind, monkeypatch):
    tokenizer, decoded = tokenizers[kind], [0]
    decode = type(tokenizer).decode

    def counted(self, ids):
        decoded.append(len(ids))
        return decode(self, ids)

    monkeypatch.setattr(type(tokenizer), "decode", counted)
    stream = TextStream(tokenizer)
    for token in tokenizer.encode("the cat 我爱北京 " * 300):
        stream.push(token)
    assert max(decoded) <= 1 + len("我爱北京".encode())  # a token before it, and the bytes of what isn't known
