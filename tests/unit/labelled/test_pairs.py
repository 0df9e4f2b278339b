"""Pairs from tables, from parallel files and from plain lines."""

import json

import pytest

from lexloom.base.ledger import Ledger
from lexloom.labelled.pairs import PairSettings, is_written_in, stream_pairs
from lexloom.labelled.split import by_hash, groups_of
from lexloom.stages.check_data import check_data, describe


def read(file, **settings):
    ledger = Ledger()
    return list(stream_pairs([str(file)], PairSettings(**settings), ledger)), ledger


def test_columns_are_named_or_guessed_and_what_was_guessed_is_said(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"body": "a long mail", "subject": "a mail", "id": 5}\n')
    [pair], ledger = read(file)
    assert (pair.source, pair.target, pair.row["id"]) == ("a long mail", "a mail", 5)
    assert ledger["labelled", "taken as the source: 'body'"].documents == 1
    [turned], _ = read(file, source="subject", target="body")
    assert (turned.source, turned.target) == ("a mail", "a long mail")


def test_a_list_of_targets_is_several_that_are_right(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps({"source": "a", "target": ["b", "c"]}) + "\n")
    [pair], _ = read(file)
    assert pair.targets == ("b", "c")


def test_a_text_with_named_columns_is_a_table_and_without_them_lines(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("a man\tein Mann\na dog\tein Hund\n")
    pairs, _ = read(file, columns=["en", "de"], source="en", target="de")
    assert [pair.target for pair in pairs] == ["ein Mann", "ein Hund"]
    lines, ledger = read(file)
    assert [(line.source, line.target) for line in lines] == [("a man\tein Mann", None), ("a dog\tein Hund", None)]
    assert ledger["labelled", "without a target"].documents == 2


def test_quoted_cells_hold_line_breaks(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text('source,target\n"a\nb","c, d"\n')
    [pair], _ = read(file)
    assert (pair.source, pair.target) == ("a\nb", "c, d")


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "a man", True),
        ("en", "男人", False),
        ("zh", "他用 Python 写程序", True),
        ("zh", "a man", False),
        ("zh", "12:30", True),
        ("de", "男人", True),
        (None, "男人", True),
    ],
)
def test_the_script_of_known_languages_is_told(language, text, expected):
    assert is_written_in(language, text) is expected


def test_a_set_that_shares_sentences_across_splits_is_found_out(tmp_path):
    for name, rows in (("train", "a\tx\nb\ty\n"), ("test", "c\tx\nd\tz\na\tx\n")):
        (tmp_path / f"{name}.tsv").write_text("source\ttarget\n" + rows)
    sources = {name: [str(tmp_path / f"{name}.tsv")] for name in ("train", "test")}
    text = describe(check_data("text2text", {}, sources))
    assert "texts of train in test" in text
    assert f"{tmp_path}/train.tsv:2 = {tmp_path}/test.tsv:2" in text
    assert "copies of train in test" in text


def test_real_sentences_in_two_languages_split_honestly(shared_data):
    file = shared_data("mt-tatoeba-enzh") / "cmn.txt.gz"
    pairs, ledger = read(file, columns=["en", "zh"], source="en", target="zh", source_language="en")
    assert len(pairs) == 21_116
    assert ledger["labelled", "without a target"].documents == 0
    training, validation = by_hash(pairs, 0.1)
    known = {text for pair in training for text in (pair.source, *pair.targets)}
    assert known.isdisjoint(text for pair in validation for text in (pair.source, *pair.targets))
    assert 0.08 < len(validation) / len(pairs) < 0.12
    assert len(set(groups_of(pairs))) > 15_000


def test_parallel_captions_are_read_whole(shared_data):
    place = shared_data("mt-multi30k-ende")
    for name, count in (("val.{}", 1014), ("test_2016_flickr.{}", 1000)):
        pairs, _ = read(place / name, source="en", target="de", source_language="en", target_language="de")
        assert len(pairs) == count
        assert all(pair.target for pair in pairs)
