import json

import pytest

from lexloom.base.errors import DamagedError, FolderError
from lexloom.text.tokenizers import Tokenizer, TokenizerSettings, config_for, load_tokenizer, train_tokenizer

TEXT = "To be or not to be. 床前明月光，疑是地上霜。 "


@pytest.fixture(scope="module")
def bpe():
    return train_tokenizer(iter([TEXT * 9]), TokenizerSettings(vocab_size=300))


def broken(bpe, change, config=None):
    content = json.loads(bpe.to_bytes())
    change(content)
    return Tokenizer(json.dumps(content).encode(), bpe.config if config is None else config, where="t.json")


def vocab_of(content):
    return content["model"]["vocab"]


BROKEN = {
    "an id twice": (lambda c: vocab_of(c).update({"a": vocab_of(c)["b"]}), "gives the id .* to both"),
    "a hole": (lambda c: vocab_of(c).update({"a": 9999}), r"ids outside of 0…299 \('a'\) and holes at"),
    "a negative id": (lambda c: vocab_of(c).update({"a": -1}), "ids outside of 0…299"),
    "an id that is no number": (lambda c: vocab_of(c).update({"a": "1"}), "not a table of tokens and whole numbers"),
    "an id that is a truth": (lambda c: vocab_of(c).update({"a": True}), "not a table of tokens and whole numbers"),
    "a merge of unknown pieces": (lambda c: c["model"]["merges"].append(["zz", "q"]), r"merge \d+ \(zz q\) uses 'zz'"),
    "a merge to an unknown piece": (lambda c: c["model"]["merges"].append(["a", "Z"]), "uses 'aZ'"),
    "a merge of three": (lambda c: c["model"]["merges"].append("a b c"), "is not a pair"),
    "a special id outside": (lambda c: c["added_tokens"].append({"id": 5000, "content": "<x>"}), "ids outside"),
    "a special id elsewhere": (lambda c: c["added_tokens"][0].update(id=7), "adds the token .* as 7, but the vocab"),
    "a special token twice": (lambda c: c["added_tokens"].append(c["added_tokens"][0]), "adds the token .* twice"),
    "a special token without id": (lambda c: c["added_tokens"].append({"content": "x"}), "without content and id"),
    "an unknown model": (lambda c: c["model"].update(type="Magic"), "its model is none of"),
    "no model": (lambda c: c.pop("model"), "its model is none of"),
    "no vocabulary": (lambda c: c["model"].pop("vocab"), "not a table"),
    "an unknown decoder": (lambda c: c.update(decoder={"type": "Magic"}), "the tokenizers library refuses it"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_tokenizer_is_refused_with_the_fault(bpe, name):
    change, message = BROKEN[name]
    with pytest.raises(FolderError, match=f"t.json: .*{message}"):
        broken(bpe, change)


def test_an_untouched_tokenizer_passes_the_same_way(bpe):
    assert broken(bpe, lambda content: None).encode(TEXT) == bpe.encode(TEXT)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"[" * 100_000, "not JSON"),
        (b'{"model": {"type": "BPE", "vocab": {"a": 0, "a": 1}}}', "'a' twice"),
        (b'{"model": {"type": "BPE", "vocab": {}, "merges": []}}', "vocabulary is empty"),
        (b'{"model": {"type": "Unigram", "vocab": [["a", 0], ["a", 1]]}}', "pieces 'a' twice"),
    ],
)
def test_what_is_no_tokenizer_is_refused(data, message):
    with pytest.raises(FolderError, match=message):
        Tokenizer(data, {})


def test_a_named_token_outside_of_the_vocabulary_is_refused(bpe):
    with pytest.raises(FolderError, match="names eos_token '</s>', which the vocabulary lacks"):
        broken(bpe, lambda content: None, {"eos_token": "</s>"})


def test_a_named_token_is_special_even_if_the_file_forgot_it(bpe):
    tokenizer = broken(bpe, lambda content: content["added_tokens"].clear(), {"eos_token": {"content": "<|im_end|>"}})
    assert tokenizer.eos_id in tokenizer.special_ids
    assert tokenizer.eos_id not in tokenizer.encode("<|im_end|>")
    assert tokenizer.decode([tokenizer.eos_id]) == ""


def test_truncation_and_padding_in_a_file_never_touch_text(bpe):
    def limit(content):
        content["truncation"] = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
        content["padding"] = {
            "strategy": {"Fixed": 64},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "x",
        }

    assert broken(bpe, limit).encode(TEXT) == bpe.encode(TEXT)


def test_a_folder_without_tokenizer_is_named(tmp_path):
    with pytest.raises(FolderError, match=r"has no tokenizer.json"):
        load_tokenizer(tmp_path)


def test_special_tokens_that_the_model_knows_as_pieces_are_spelled_out():
    pieces = [["<unk>", 0], ["</s>", 0], *([letter, -5] for letter in "<>/s▁a")]
    content = {
        "version": "1.0",
        "added_tokens": [{"id": 1, "content": "</s>", "special": True, "normalized": False}],
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": True},
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": True},
        "model": {"type": "Unigram", "unk_id": 0, "vocab": pieces, "byte_fallback": False},
    }
    for token in content["added_tokens"]:
        token.update(single_word=False, lstrip=False, rstrip=False)
    tokenizer = Tokenizer(json.dumps(content).encode(), config_for({"eos": "</s>", "unk": "<unk>"}))
    ids = tokenizer.encode("a</s></s>a")
    assert tokenizer.eos_id not in ids
    assert tokenizer.decode(ids) == "a</s></s>a"


def test_a_damaged_config_is_refused(tmp_path, bpe):
    (tmp_path / "tokenizer.json").write_bytes(bpe.to_bytes())
    (tmp_path / "tokenizer_config.json").write_text("[1]")
    with pytest.raises(FolderError, match="not a JSON object"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(DamagedError, match="not JSON"):
        load_tokenizer(tmp_path)
