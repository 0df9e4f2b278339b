"""The pieces of a reply are its whole text: no half character, no stop string, whatever the tokens are."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers.pre_tokenizers import ByteLevel

from lexloom.base.errors import UserError
from lexloom.generate.prompts import prompt_ids
from lexloom.generate.settings import SamplingSettings
from lexloom.generate.text import collect, first_stop, generate_text
from lexloom.text.tokenizer_kinds import byte_level_bpe
from lexloom.text.tokenizers import Tokenizer, config_for
from tests.scripted import scripted

MATERIAL = "😀𠮷é春ab\nSTOP停。"
LETTERS = [MATERIAL[i : i + 1] for i in range(len(MATERIAL))]
LONGEST_TOKEN_BYTES = 6
EOS = "<eos>"


def letters_of_bytes():
    """GPT-2's letter for each byte."""
    alphabet = sorted(ByteLevel.alphabet())
    visible = {chr(b) for b in (*range(33, 127), *range(161, 173), *range(174, 256))}
    hidden = iter(sorted(set(alphabet) - visible, key=ord))
    return [chr(b) if chr(b) in visible else next(hidden) for b in range(256)]


BYTE_LETTERS = letters_of_bytes()


def name_of(data: bytes) -> str:
    return "".join(BYTE_LETTERS[byte] for byte in data)


def make_tokenizer(tokens: list[bytes]) -> Tokenizer:
    """Byte-level, with a token for each byte and for each of `tokens`, wherever they cut a character."""
    names = dict.fromkeys([*BYTE_LETTERS, *map(name_of, tokens)])
    inner = byte_level_bpe({name: number for number, name in enumerate(names)}, [], split_digits=False)
    inner.add_special_tokens([EOS])
    return Tokenizer(inner.to_str().encode(), config_for({"eos": EOS, "bos": EOS}))


@st.composite
def cut_texts(draw):
    """The bytes of a text, some of them invalid, cut into tokens anywhere."""
    text = "".join(draw(st.lists(st.sampled_from(LETTERS), max_size=14)))
    data = bytearray(text.encode())
    for _ in range(draw(st.integers(0, 2))):
        data.insert(draw(st.integers(0, len(data))), draw(st.sampled_from([0x80, 0xFF, 0xF0, 0xE6])))
    tokens = []
    while data:
        length = draw(st.integers(1, LONGEST_TOKEN_BYTES))
        tokens.append(bytes(data[:length]))
        del data[:length]
    return tokens


stop_strings = st.lists(st.text(st.sampled_from(LETTERS), min_size=1, max_size=4), max_size=3).map(tuple)


def cut_at_first_stop(text: str, stops: tuple[str, ...]) -> tuple[str, bool]:
    """The definition, letter by letter."""
    for end in range(len(text) + 1):
        complete = [stop for stop in stops if text[:end].endswith(stop)]
        if complete:
            return text[: end - max(map(len, complete))], True
    return text, False


@settings(max_examples=400)
@given(tokens=cut_texts(), stops=stop_strings, ends=st.booleans())
def test_the_sum_of_the_pieces_is_the_text_before_the_first_stop_string(tokens, stops, ends):
    tokenizer = make_tokenizer(tokens)
    eos = tokenizer.eos_id
    script = [tokenizer.id(name_of(token)) for token in tokens] + ([eos] if ends else [])
    if not script:
        return
    model = scripted(script, prompt_tokens=1, vocab_size=tokenizer.vocab_size)
    sampling = SamplingSettings(temperature=0, max_tokens=len(script), stop=stops)
    pieces = list(generate_text(model, tokenizer, [[0]], sampling, eos_ids=[eos]))

    whole = b"".join(tokens).decode(errors="replace")
    expected, stopped = cut_at_first_stop(whole, stops)
    assert "".join(piece.text for piece in pieces) == expected
    assert [piece.finish for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
    assert pieces[-1].finish == ("stop" if stopped else "eos" if ends else "length")
    (reply,) = collect(pieces, rows=1)
    assert (reply.text, reply.tokens, reply.finish) == (expected, len(pieces), pieces[-1].finish)


def test_every_split_of_every_character_and_stop_string():
    data = "a😀STOP".encode()
    for first in range(1, len(data)):
        for second in range(first + 1, len(data)):
            tokens = [data[:first], data[first:second], data[second:], b"x"]
            tokenizer = make_tokenizer(tokens)
            script = [tokenizer.id(name_of(token)) for token in tokens]
            model = scripted(script, prompt_tokens=1, vocab_size=tokenizer.vocab_size)
            sampling = SamplingSettings(temperature=0, max_tokens=4, stop=("STOP",))
            pieces = list(generate_text(model, tokenizer, [[0]], sampling, eos_ids=[]))
            assert "".join(piece.text for piece in pieces) == "a😀"
            assert all(piece.text in ("", "a", "a😀", "😀") for piece in pieces)
            assert [piece.finish for piece in pieces] == [None, None, "stop"]


def test_text_is_held_back_no_longer_than_it_may_begin_a_stop_string():
    tokenizer = make_tokenizer([])
    script = [tokenizer.id(name_of(bytes([byte]))) for byte in b"aSTxSTOP"]
    model = scripted(script, prompt_tokens=1, vocab_size=tokenizer.vocab_size)
    sampling = SamplingSettings(temperature=0, max_tokens=20, stop=("STOP",))
    pieces = [piece.text for piece in generate_text(model, tokenizer, [[0]], sampling, eos_ids=[])]
    assert pieces == ["a", "", "", "STx", "", "", "", ""]


def test_rows_keep_their_own_text():
    tokenizer = make_tokenizer([])
    words = ["你好", "abc", "😀😀"]
    scripts = [[tokenizer.id(name_of(bytes([byte]))) for byte in word.encode()] for word in words]

    def next_scores(ids):
        model = scripted([*scripts[ids[0]], tokenizer.eos_id], prompt_tokens=1, vocab_size=tokenizer.vocab_size)
        return model.next_scores(ids)

    model = scripted([], prompt_tokens=1, vocab_size=tokenizer.vocab_size)
    model.next_scores = next_scores
    sampling = SamplingSettings(temperature=0, max_tokens=20)
    pieces = generate_text(model, tokenizer, [[0], [1], [2]], sampling, eos_ids=[tokenizer.eos_id])
    assert [(reply.text, reply.finish) for reply in collect(pieces, rows=3)] == [(word, "eos") for word in words]


def test_first_stop_is_the_one_complete_first_and_then_the_longest():
    assert first_stop("xabcd", ("abcd", "bc")) == 2
    assert first_stop("xabc", ("bc", "abc")) == 1
    assert first_stop("xyz", ("a",)) is None
    assert first_stop("xyz", ()) is None


def test_prompts_begin_as_documents_do_and_hold_no_control_token():
    tokenizer = make_tokenizer([])
    eos = tokenizer.eos_id
    assert prompt_ids("", tokenizer) == prompt_ids("", tokenizer, opening=[]) == [eos]
    assert prompt_ids("a", tokenizer) == [eos, tokenizer.id("a")]
    assert prompt_ids("a", tokenizer, opening=[]) == [tokenizer.id("a")]
    assert eos not in prompt_ids(f"{EOS} {EOS}", tokenizer, opening=[])


def test_an_empty_prompt_without_a_token_to_begin_from_is_refused():
    tokenizer = make_tokenizer([])
    bare = Tokenizer(json.dumps({**json.loads(tokenizer.to_bytes()), "added_tokens": []}).encode(), {})
    with pytest.raises(UserError, match="prompt is empty"):
        prompt_ids("", bare)
