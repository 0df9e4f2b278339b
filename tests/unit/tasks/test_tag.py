"""Words among tokens, valid paths, entities in the text."""

import itertools

import numpy as np
import pytest
import tokenizers
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2
from tokenizers import decoders, models, pre_tokenizers

from lexloom.base.ledger import Ledger
from lexloom.labelled.examples import Entity, Tagged
from lexloom.labelled.tags import bio_of
from lexloom.tasks import TASKS
from lexloom.tasks.paths import best_path
from lexloom.tasks.words import words_and_tokens
from lexloom.text.tokenizers import Tokenizer
from tests.understanding import EXAMPLES, setting_of, tagged, tokenizer

TAG = TASKS["tag"]
TAGS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")


def certain(example, encoded, setting):
    """Scores that leave no doubt about an example's own tags."""
    targets = iter(encoded.target)
    return [
        np.array([np.eye(len(setting.labels))[next(targets)] * 9 for _ in piece.spots], np.float32).reshape(
            len(piece.spots), len(setting.labels)
        )
        for piece in encoded.pieces
    ]


@pytest.mark.parametrize("max_tokens", [64, 14, 9])
def test_certain_scores_give_back_the_entities_with_their_text_however_the_text_is_cut_into_windows(max_tokens):
    setting = setting_of("tag", max_tokens=max_tokens)
    for example, encoded in zip(EXAMPLES["tag"], TAG.encode(EXAMPLES["tag"], setting, Ledger()), strict=True):
        prediction = TAG.decode(example, encoded, certain(example, encoded, setting), setting)
        found = {Entity(each["start"], each["end"], each["type"]) for each in prediction["entities"]}
        assert found == set(example.entities)
        assert prediction["tags"] == bio_of(example)
        for entity in prediction["entities"]:
            assert entity["text"] == example.text[entity["start"] : entity["end"]]
            assert 0.9 < entity["probability"] <= 1


def test_chinese_characters_are_words_and_subwords_are_judged_at_the_first():
    example = tagged("王小明loved北京")
    setting = setting_of("tag")
    [encoded] = TAG.encode([example], setting, Ledger())
    [piece] = encoded.pieces
    names = [tokenizer().token(number) for number in piece.ids]
    firsts = [names[spot] for spot in piece.spots]
    assert len(piece.spots) == len(example.spans) == 6
    assert firsts[:3] == ["王", "小", "明"]
    assert not any(name.startswith("##") for name in firsts)
    assert "loved".startswith(firsts[3])
    assert firsts[4:] == ["北", "京"]


def test_a_token_over_two_words_is_parted_so_that_each_word_has_its_own():
    pieces = [("<s>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -3.0), ("▁北京", -1.0), ("大学", -1.0)]
    letters = [(letter, -9.0) for letter in "北京大学"]
    inner = tokenizers.Tokenizer(models.Unigram([*pieces, *letters], unk_id=2))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    names = {"cls_token": "<s>", "sep_token": "</s>", "unk_token": "<unk>"}
    unigram = Tokenizer(inner.to_str().encode(), names)
    ids, offsets = unigram.encode_with_offsets(["北京大学"])[0]
    assert [unigram.token(number) for number in ids] == ["▁北京", "大学"]
    example = Tagged("w", {}, "北京大学", ((0, 1), (1, 2), (2, 3), (3, 4)), ())
    ids, first_W = words_and_tokens(ids, offsets, example, unigram)
    assert [unigram.token(ids[first]) for first in first_W] == list("北京大学")


def test_a_word_of_which_the_tokenizer_leaves_nothing_is_unknown():
    text = "a \u200b\u200b b"
    example = Tagged("w", {}, text, ((0, 1), (2, 4), (5, 6)), ())
    ids, offsets = tokenizer().encode_with_offsets([text])[0]
    assert len(ids) == 2, "the tokenizer drops it, or nothing is tested"
    ids, first_W = words_and_tokens(ids, offsets, example, tokenizer())
    assert first_W == [0, 1, 2]
    assert ids[1] == tokenizer().unk_id


def test_the_path_is_the_best_of_all_valid_ones():
    rng = np.random.default_rng(0)
    for words in (1, 2, 4):
        for _ in range(20):
            log_shares_WC = rng.normal(size=(words, len(TAGS))).astype(np.float32) * 3
            paths = [path for path in itertools.product(range(len(TAGS)), repeat=words) if is_valid(path)]
            best = max(paths, key=lambda path: sum(log_shares_WC[word, tag] for word, tag in enumerate(path)))
            assert tuple(best_path(log_shares_WC, TAGS)) == best


def test_of_paths_seqeval_s_strict_and_default_mode_think_alike():
    rng = np.random.default_rng(1)
    paths = [best_path(rng.normal(size=(12, len(TAGS))).astype(np.float32), TAGS) for _ in range(40)]
    found = [[TAGS[tag] for tag in path] for path in paths]
    assert f1_score(found[:20], found[20:]) == f1_score(found[:20], found[20:], mode="strict", scheme=IOB2)
    metrics = TAG.judge(setting_of("tag"))
    default, strict = (metric.value(metric.rows(found[20:], found[:20])) for metric in metrics[:2])
    assert default == strict == pytest.approx(f1_score(found[:20], found[20:]))


def test_a_type_that_training_does_not_know_is_counted_and_costs_nothing():
    setting, ledger = setting_of("tag"), Ledger()
    [encoded] = TAG.encode([tagged("Mars is red", ("Mars", "PLANET"))], setting, ledger)
    assert encoded.target == [-100, 0, 0]
    assert ledger["encode", "label that training doesn't know"].examples == ["t:1"]


def is_valid(path):
    names = [TAGS[tag] for tag in path]
    return all(
        not name.startswith("I-") or before in (name, name.replace("I-", "B-"))
        for before, name in zip(["O", *names], names, strict=False)
    )
