import pytest

from lexloom.base.errors import RecipeError
from lexloom.stages.prepare import make_tokenizer
from lexloom.text.tokenizers import KINDS, TokenizerSettings, train_tokenizer, with_sentinels
from tests.small import wordpiece_tokenizer

TEXT = "To be, or not to be: that is the question. 床前明月光，疑是地上霜。" * 20


def train(kind, **settings):
    return train_tokenizer(iter([TEXT]), TokenizerSettings(kind=kind, **{"vocab_size": 500, **settings}))


@pytest.mark.parametrize("kind", KINDS)
def test_sentinels_are_the_last_ids_in_descending_order(kind):
    tokenizer = train(kind, sentinels=20)
    assert tokenizer.sentinel_ids == list(range(tokenizer.vocab_size - 1, tokenizer.vocab_size - 21, -1))
    assert tokenizer.token(tokenizer.vocab_size - 1) == "<extra_id_0>"
    assert tokenizer.vocab_size <= 500
    assert tokenizer.special_ids.issuperset(tokenizer.sentinel_ids)


@pytest.mark.parametrize("kind", KINDS)
def test_text_that_spells_a_sentinel_gives_none_and_sentinels_give_no_text(kind):
    tokenizer = train(kind, sentinels=20)
    for text in ("<extra_id_0>", "a<extra_id_19>b", " <extra_id_3> ", "▁<extra_id_1>"):
        assert not set(tokenizer.encode(text)) & set(tokenizer.sentinel_ids)
    assert tokenizer.decode([tokenizer.sentinel_ids[3]]) == ""


def test_unigram_has_as_many_as_t5_and_other_kinds_none_unless_asked():
    assert {kind: len(train(kind).sentinel_ids) for kind in KINDS} == {
        kind: 100 * (kind == "unigram") for kind in KINDS
    }
    assert train("unigram", sentinels=0).sentinel_ids == []


def test_a_vocabulary_too_small_for_its_sentinels_is_refused_with_the_least_that_is_enough():
    with pytest.raises(
        RecipeError, match=r"a vocabulary of 300 can't hold .* and 100 sentinels, which are 3\d\d"
    ) as caught:
        train("bpe", vocab_size=300, sentinels=100)
    least = int(caught.value.what.split()[-1])
    assert len(train("bpe", vocab_size=least, sentinels=100).sentinel_ids) == 100


def test_a_published_tokenizer_keeps_its_ids_and_gets_the_sentinels_that_it_lacks(tmp_path):
    plain = wordpiece_tokenizer(64)
    once = with_sentinels(plain, 5)
    assert once.sentinel_ids == [68, 67, 66, 65, 64]
    assert once.encode("the moon") == plain.encode("the moon")
    assert with_sentinels(once, 5).sha256 == once.sha256
    assert with_sentinels(once, 3).sha256 == once.sha256
    (tmp_path / "tokenizer.json").write_bytes(plain.to_bytes())
    settings = TokenizerSettings(file=str(tmp_path / "tokenizer.json"), sentinels=7)
    assert len(make_tokenizer([], settings).sentinel_ids) == 7


def test_mt5_spells_its_sentinels_with_a_space():
    tokenizers = pytest.importorskip("tokenizers")
    from lexloom.text.sentinels import sentinel_ids

    pieces = [("<unk>", 0.0), ("a", -1.0), ("▁<extra_id_1>", 0.0), ("▁<extra_id_0>", 0.0)]
    assert sentinel_ids(tokenizers.Tokenizer(tokenizers.models.Unigram(pieces, unk_id=0))) == [3, 2]
