import pytest

from lexloom.text.quality import SCRIPTS, count_words, measure, script_of
from lexloom.text.tokenizers import TokenizerSettings, train_tokenizer


@pytest.fixture(scope="module")
def characters():
    return train_tokenizer(iter(["ab 12, 中文。"]), TokenizerSettings(kind="characters"))


def test_a_hand_counted_example(characters):
    quality = measure(characters, ["ab 1, 中文。", "zz"])
    assert (quality.documents, quality.characters, quality.utf8_bytes) == (2, 11, 17)
    assert quality.tokens == 11
    assert quality.unknown == 2
    assert quality.unknown_share == 2 / 11
    assert quality.words == 6, "ab | 1, | 中 | 文 | 。 | zz"
    assert quality.fertility == 11 / 6
    assert quality.bytes_per_token == 17 / 11
    assert quality.lossless_documents == 1
    assert {name: script.characters for name, script in quality.scripts.items()} == {
        "Latin": 4,
        "Han": 2,
        "digits": 1,
        "punctuation": 2,
        "other": 2,
    }
    assert quality.scripts["Latin"].unknown == 2
    assert quality.scripts["Han"].tokens_per_character == 1
    assert quality.used_tokens == 9
    assert quality.vocabulary_use == 9 / characters.vocab_size


def test_a_token_belongs_to_the_script_of_its_first_visible_character():
    tokenizer = train_tokenizer(iter(["the 中文 " * 50]), TokenizerSettings(vocab_size=300))
    scripts = measure(tokenizer, ["the the 中文 the"]).scripts
    assert (scripts["Latin"].tokens, scripts["Latin"].characters) == (3, 9)
    assert scripts["Han"].characters == 2


def test_nothing_is_no_division_by_zero(characters):
    for texts in ([], [""]):
        quality = measure(characters, texts)
        assert quality.fertility == quality.bytes_per_token == quality.unknown_share == 0.0
        assert quality.scripts["Han"].tokens_per_character == 0.0


def test_the_report_is_plain_json(characters):
    report = measure(characters, ["ab 中"]).to_json()
    assert report["fertility"] == 2.0
    assert set(report["scripts"]) == set(SCRIPTS)
    assert report["scripts"]["Han"] == {"characters": 1, "tokens": 1, "unknown": 0, "tokens_per_character": 1.0}


@pytest.mark.parametrize(
    ("text", "words"), [("", 0), ("  \n", 0), ("to be", 2), ("床前明月光", 5), ("GPT很好 ok", 4), ("don't", 1)]
)
def test_a_han_character_is_a_word(text, words):
    assert count_words(text) == words


@pytest.mark.parametrize(
    ("character", "script"),
    [
        *[(letter, "Latin") for letter in "aéＡ"],
        *[(letter, "Han") for letter in "中𠀀〇"],
        *[(digit, "digits") for digit in "7７½"],
        *[(mark, "punctuation") for mark in "。!"],
        *[(character, "other") for character in (" ", "😀", "я", "×", "")],
    ],
)
def test_scripts(character, script):
    assert script_of(character) == script
