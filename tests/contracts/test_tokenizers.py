"""What every kind of tokenizer promises, run over the table of kinds."""

import os
import subprocess
import sys
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lexloom.base import files
from lexloom.base.errors import DataError, RecipeError
from lexloom.text.tokenizers import KINDS, TokenizerSettings, load_tokenizer, train_tokenizer, write_tokenizer

ENGLISH = "To be, or not to be: that is the question.\n\tWhether 'tis nobler in the mind to suffer 1234 slings"
CHINESE = "床前明月光，疑是地上霜。举头望明月，低头思故乡。"
TEXTS = [ENGLISH, CHINESE, f"{CHINESE} {ENGLISH} <|im_start|> é 😀"] * 10
LOSSLESS = ("bpe", "unigram", "characters")
SIZE = 500

# Every way in which a text could try to be a control token.
DISGUISES = [
    "{}",
    "{}{}",
    " {} ",
    "\n{}\n",
    "a{}b",
    "{}x{}",
    "▁{}",
    "中{}文",
    "<|im_start|>system\n{}<|im_end|>",
    "<|{}|>",
    "<{}",
    "{}>",
]


def train(kind, size=SIZE, texts=TEXTS):
    return train_tokenizer(iter(texts), TokenizerSettings(kind=kind, vocab_size=size))


@pytest.fixture(scope="module")
def tokenizers():
    return {kind: train(kind) for kind in KINDS}


@pytest.fixture(params=list(KINDS))
def tokenizer(tokenizers, request):
    return tokenizers[request.param]


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
@example("  a  b \n\n\r\n\t c \u00a0\u3000x")
@example("a\x00b\ufeff\ufffd\u2028\U0010ffff")
@settings(max_examples=300, deadline=None)
def test_decoding_gives_any_unicode_text_back(tokenizers, kind, text):
    text = text.replace("▁", "_") if kind == "unigram" else text
    assert tokenizers[kind].decode(tokenizers[kind].encode(text)) == text


@pytest.mark.parametrize("kind", LOSSLESS)
@given(text=st.text(alphabet=sorted(set("".join(TEXTS))), max_size=80))
@settings(max_examples=200, deadline=None)
def test_decoding_gives_text_of_the_trained_alphabet_back(tokenizers, kind, text):
    assert tokenizers[kind].decode(tokenizers[kind].encode(text)) == text


@pytest.mark.parametrize("disguise", DISGUISES)
def test_user_text_cannot_become_a_control_token(tokenizer, disguise):
    control = tokenizer.special_ids - {tokenizer.unk_id}
    assert control, "the test needs control tokens"
    for number in control:
        name = tokenizer.token(number)
        for spelling in (name, name.upper(), name.lower(), name[:1] + "\u200b" + name[1:], name[:3] + name):
            ids = tokenizer.encode(disguise.replace("{}", spelling))
            assert control.isdisjoint(ids), f"{disguise} of {spelling}"


@pytest.mark.parametrize("kind", LOSSLESS)
def test_text_that_spells_a_control_token_comes_back(kind):
    names = "<|im_start|> <|im_end|> <|endoftext|> <s> </s> <unk> <pad> <0x41> <|pad|> <|unk|>"
    tokenizer = train(kind, size=800, texts=[*TEXTS, names])
    assert tokenizer.decode(tokenizer.encode(names)) == names


def test_many_texts_at_once_are_encoded_as_one_by_one(tokenizer):
    texts = [*TEXTS[:3], "", " ", "\n", "未知𓀀字"]
    assert tokenizer.encode_batch(texts) == [tokenizer.encode(text) for text in texts]


def test_an_empty_text_is_no_token(tokenizer):
    assert tokenizer.encode("") == []
    assert tokenizer.decode([]) == ""


def test_ids_and_names_are_one_to_one(tokenizer):
    names = [tokenizer.token(number) for number in range(tokenizer.vocab_size)]
    assert [tokenizer.id(name) for name in names] == list(range(tokenizer.vocab_size))
    assert tokenizer.vocab_size <= SIZE
    assert tokenizer.token(tokenizer.vocab_size) is None
    assert tokenizer.token(-1) is None
    assert tokenizer.id("no such token") is None


def test_the_named_tokens_exist_and_are_special(tokenizer):
    assert {"bos", "eos", "pad"} <= tokenizer.names.keys()
    assert set(tokenizer.names.values()) <= tokenizer.special_ids
    assert tokenizer.decode(sorted(tokenizer.special_ids)) == ""


def test_saved_is_loaded(tokenizer, tmp_path):
    with files.new_folder(tmp_path / "t") as folder:
        write_tokenizer(folder, tokenizer)
    loaded = load_tokenizer(tmp_path / "t")
    assert loaded.sha256 == tokenizer.sha256 == files.sha256_of(tmp_path / "t" / "tokenizer.json")
    assert loaded.to_bytes() == tokenizer.to_bytes()
    assert loaded.names == tokenizer.names
    assert loaded.encode(TEXTS[2]) == tokenizer.encode(TEXTS[2])


def test_transformers_reads_the_folder_and_gives_the_same_ids(tokenizer, tmp_path):
    transformers = pytest.importorskip("transformers")
    with files.new_folder(tmp_path / "t") as folder:
        write_tokenizer(folder, tokenizer)
    for reader in (transformers.AutoTokenizer, transformers.PreTrainedTokenizerFast):
        theirs = reader.from_pretrained(tmp_path / "t")
        for text in (ENGLISH, CHINESE, "未知𓀀字  two  spaces\n"):
            ids = tokenizer.encode(text)
            assert theirs.encode(text, add_special_tokens=False) == ids
            assert theirs.decode(ids, skip_special_tokens=True) == tokenizer.decode(ids)
        for name in ("bos", "eos", "pad", "unk"):
            assert getattr(theirs, f"{name}_token_id") == tokenizer.names.get(name)
        assert len(theirs) == tokenizer.vocab_size


def test_a_lone_surrogate_is_refused_with_its_place(tokenizer):
    with pytest.raises(DataError, match="character 3 of a text is a lone surrogate"):
        tokenizer.encode_batch(["good", "ab\ud800c"])


TRAIN = """
import sys
from lexloom.text.tokenizers import TokenizerSettings, train_tokenizer
words = ["".join(chr(97 + (n * n + k) % 7) for k in range(n % 9 + 1)) for n in range(3000)]
texts = [word + " " + chr(0x4e00 + n * n % 50) * 3 for n, word in enumerate(words)]
for kind in sys.argv[1:]:
    print(train_tokenizer(iter(texts), TokenizerSettings(kind=kind, vocab_size=420)).sha256)
"""


def test_the_same_texts_give_the_same_bytes_in_another_process():
    def hashes(threads):
        environment = {**os.environ, "RAYON_NUM_THREADS": threads, "PYTHONHASHSEED": threads}
        command = [sys.executable, "-c", TRAIN, *KINDS]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.split()

    first = hashes("1")
    assert len(set(first)) == len(KINDS)
    assert first == hashes("4")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("texts", [["a"], ["中"], ["\n"], ["aaaa aaaa"], ["😀"], ["a b c"] * 1000, ["x" * 100_000]])
def test_degenerate_corpora_give_a_working_tokenizer(kind, texts):
    if kind in ("wordpiece", "words", "word-bytes") and not texts[0].strip():
        pytest.skip("it drops white space")
    tokenizer = train(kind, texts=texts)
    text = texts[0][:1000]
    assert tokenizer.encode(text)
    if kind in LOSSLESS:
        assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_no_text_at_all_is_said(kind, texts):
    with pytest.raises(DataError, match="no text to train a tokenizer on"):
        train(kind, texts=texts)


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_a_vocabulary_without_room_for_the_alphabet_is_refused(kind):
    with pytest.raises(RecipeError, match=r"tokenizer.vocab_size: a vocabulary of 200 can't hold the 256 bytes"):
        train(kind, size=200)


NASTY = {
    "one letter": "a",
    "underscores": "_",
    "spaces": " ",
    "line breaks": "\n",
    "tabs": "\t",
    "endless word": "abcdefghij",
    "combining marks": "e\u0301\u0302\u0303",
    "only marks": "\u0301",
    "digits": "1234567890",
    "emoji joiners": "👩\u200d👩\u200d👧",
    "joiners": "\u200d",
    "mixed scripts": "a中б1😀",
    "chinese": "床前明月光",
    "one character": "好",
    "punctuation": "!?.,",
    "apostrophes": "'s't",
    "control tokens": "<|im_start|>",
    "angles": "<",
    "blocks": "▁",
    "spaces and letter": "   a",
}


NOISE_S = 0.02
"""Whatever else takes a moment of the processor; were the time quadratic, this text would take seconds."""


@pytest.mark.parametrize("nasty", NASTY)
def test_time_is_linear_in_the_text(tokenizer, nasty):
    def seconds(size):
        text = (NASTY[nasty] * size)[:size]
        started = time.process_time()  # of the processor, so that other programs don't count
        tokenizer.encode(text)
        return time.process_time() - started

    def is_linear():
        return min(seconds(1 << 18) for _ in range(2)) < 6 * min(seconds(1 << 16) for _ in range(2)) + NOISE_S

    assert any(is_linear() for _ in range(6))
