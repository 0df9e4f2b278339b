"""What a tokenizer puts around texts, and where its tokens lie."""

import json

import pytest
import tokenizers
from tokenizers import models, pre_tokenizers, processors

from lexloom.base.errors import FolderError
from lexloom.text.tokenizers import Tokenizer, TokenizerSettings, train_tokenizer

VOCAB = {token: number for number, token in enumerate(["<s>", "</s>", "<unk>", "▁a", "▁b", "c", "▁"])}
SENTENCES = ["a quick brown fox", "敏捷的棕色狐狸", "mixed 中文 and English"]


def xlm_roberta(post_processor):
    inner = tokenizers.Tokenizer(models.WordLevel(VOCAB, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    if post_processor is not None:
        inner.post_processor = post_processor
    inner.add_special_tokens(["<s>", "</s>", "<unk>"])
    return inner.to_str().encode()


TEMPLATE = processors.TemplateProcessing(
    single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
)
ROBERTA = processors.RobertaProcessing(("</s>", 1), ("<s>", 0))
NAMES = {"cls_token": "<s>", "sep_token": "</s>", "unk_token": "<unk>"}


@pytest.mark.parametrize("post_processor", [TEMPLATE, ROBERTA])
def test_the_frame_is_that_of_the_post_processor(post_processor):
    tokenizer = Tokenizer(xlm_roberta(post_processor), NAMES)
    assert tokenizer.frame(1).fill([[3]]) == ([0, 3, 1], [0, 0, 0], [1])
    assert tokenizer.frame(2).fill([[3], [4, 5]]) == ([0, 3, 1, 1, 4, 5, 1], [0] * 7, [1, 4])
    assert tokenizer.frame(2).special_tokens == 4


def test_bert_s_second_text_has_type_1_with_the_mark_behind_it():
    tokenizer = train_tokenizer(iter(SENTENCES), TokenizerSettings(kind="wordpiece", vocab_size=80))
    cls, sep = tokenizer.names["cls"], tokenizer.names["sep"]
    expected = ([cls, 9, sep, 8, 8, sep], [0, 0, 0, 1, 1, 1], [1, 3])
    assert tokenizer.frame(2).fill([[9], [8, 8]]) == expected


def test_an_empty_text_leaves_its_place_empty():
    assert Tokenizer(xlm_roberta(TEMPLATE), NAMES).frame(2).fill([[], []]) == ([0, 1, 1, 1], [0] * 4, [1, 3])


def test_without_a_post_processor_the_named_tokens_make_the_frame():
    tokenizer = Tokenizer(xlm_roberta(None), NAMES)
    assert tokenizer.frame(2).fill([[3], [4]]) == ([0, 3, 1, 4, 1], [0, 0, 0, 1, 1], [1, 3])


def test_a_tokenizer_without_any_such_token_is_refused():
    with pytest.raises(FolderError, match="no token to begin"):
        Tokenizer(xlm_roberta(None), {"unk_token": "<unk>"}).frame(1)


@pytest.mark.parametrize("kind", ["wordpiece", "unigram", "bpe", "characters", "words"])
def test_offsets_belong_to_the_ids_that_encode_batch_gives(kind):
    tokenizer = train_tokenizer(iter(SENTENCES), TokenizerSettings(kind=kind, vocab_size=400))
    texts = [*SENTENCES, "", "  spaces\n\nand  中 文  ", "word " * 9000]
    located = tokenizer.encode_with_offsets(texts)
    assert [ids for ids, _ in located] == tokenizer.encode_batch(texts)
    for text, (_, offsets) in zip(texts, located, strict=True):
        assert all(text[start:end] == text[start:end].strip() for start, end in offsets)
        assert all(0 <= start <= end <= len(text) for start, end in offsets)
        seen = {place for start, end in offsets for place in range(start, end)}
        assert seen == {place for place, letter in enumerate(text) if not letter.isspace()}


def test_a_spelled_special_token_keeps_ids_and_offsets_together():
    settings = TokenizerSettings(kind="unigram", vocab_size=400, sentinels=0)
    data = json.loads(train_tokenizer(iter(SENTENCES), settings).to_bytes())
    special = data["added_tokens"][0]["content"]
    data["model"]["vocab"].append([special + "x", 5.0])
    tokenizer = Tokenizer(json.dumps(data).encode(), {"pad_token": special + "x"})
    [(ids, offsets)] = tokenizer.encode_with_offsets([f"a {special}x fox"])
    assert ids == tokenizer.encode(f"a {special}x fox")
    assert len(ids) == len(offsets)
