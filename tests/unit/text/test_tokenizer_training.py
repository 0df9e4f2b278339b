import pytest

from lexloom.base.errors import DataError
from lexloom.text.tokenizers import TokenizerSettings, train_tokenizer

TEXT = "To be or not to be. 床前明月光，疑是地上霜。 "


def test_lower_case_is_folded_only_when_asked_for():
    def train(lowercase):
        settings = TokenizerSettings(kind="wordpiece", vocab_size=100, lowercase=lowercase)
        return train_tokenizer(iter(["Hello HELLO"] * 3), settings)

    assert train(True).decode(train(True).encode("HELLO")) == "hello"
    assert train(False).decode(train(False).encode("HELLO")) == "HELLO"


def test_wordpiece_takes_chinese_characters_singly_and_puts_no_spaces_between_them():
    tokenizer = train_tokenizer(iter([TEXT * 9]), TokenizerSettings(kind="wordpiece", vocab_size=300))
    ids = tokenizer.encode("明月光，be or 月")
    assert [tokenizer.token(number) for number in ids] == ["明", "月", "光", "，", "be", "or", "月"]
    assert tokenizer.decode(ids) == "明月光，be or 月"


def test_characters_without_a_place_are_unknown_and_the_rare_ones_are_without():
    settings = TokenizerSettings(kind="characters", vocab_size=16)
    tokenizer = train_tokenizer(iter(["abcdefghijk" * 5 + "zyxw"]), settings)
    ids = tokenizer.encode("az")
    assert ids[1] == tokenizer.unk_id != ids[0]
    assert tokenizer.vocab_size == 16


def test_further_control_tokens_are_control_tokens():
    tokenizer = train_tokenizer(iter([TEXT]), TokenizerSettings(vocab_size=300, special_tokens=("<|tool|>",)))
    assert tokenizer.id("<|tool|>") in tokenizer.special_ids
    assert tokenizer.id("<|tool|>") not in tokenizer.encode("<|tool|>")


def test_a_lone_surrogate_in_training_text_is_refused():
    with pytest.raises(DataError, match="character 2 of a text is a lone surrogate"):
        train_tokenizer(iter(["a\ud800"]), TokenizerSettings())


def test_unigram_is_as_compact_as_the_library_s_own_trainer(shared_data):
    import tokenizers as library

    text = shared_data("lm-tinyshakespeare/input.txt").read_text()[:150_000]
    ours = train_tokenizer(iter([text]), TokenizerSettings(kind="unigram", vocab_size=1000))
    theirs = library.Tokenizer(library.models.Unigram())
    theirs.pre_tokenizer = library.pre_tokenizers.Sequence(
        [
            library.pre_tokenizers.Metaspace(prepend_scheme="never"),
            library.pre_tokenizers.Split(library.Regex(r"[<\n]"), "isolated"),
        ]
    )
    pieces = ours.vocab_size - 256 - len(ours.special_ids)
    trainer = library.trainers.UnigramTrainer(vocab_size=pieces, show_progress=False)
    theirs.train_from_iterator(text.splitlines(keepends=True), trainer)
    assert len(ours.encode(text)) < 1.01 * len(theirs.encode(text).ids)
