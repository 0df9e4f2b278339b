"""Two files whose lines belong together: whatever is in them, line i stays with line i, or the reading ends."""

import gzip

import pytest

from lexloom.base.errors import DataError
from lexloom.base.ledger import Ledger
from lexloom.labelled.pairs import PairSettings, stream_pairs

STAGE = "labelled"


def read(folder, one, two, name="text.{}", **settings):
    for ending, data in (("en", one), ("de", two)):
        (folder / name.replace("{}", ending)).write_bytes(data)
    ledger = Ledger()
    chosen = PairSettings(**{"source": "en", "target": "de", **settings})
    return list(stream_pairs([str(folder / name)], chosen, ledger)), ledger


def sides(pairs):
    return [(pair.source, pair.target) for pair in pairs]


def test_unequal_lengths_are_refused_with_both_counts_and_the_first_line_alone(tmp_path):
    with pytest.raises(DataError) as caught:
        read(tmp_path, b"a\nb\nc\n", b"x\ny\nz\nv\nw\n")
    for words in ("text.en has 3 lines", "text.de has 5 lines", "line 4 of", "text.de has no counterpart"):
        assert words.replace("text.", "") in str(caught.value).replace(f"{tmp_path}/text.", "")
    assert caught.value.where == f"{tmp_path}/text.de:4"


@pytest.mark.parametrize("empty", [0, 1])
def test_an_empty_file_beside_a_full_one_is_refused(tmp_path, empty):
    files = [b"a\n", b"x\n"]
    files[empty] = b""
    with pytest.raises(DataError, match="has 0 lines"):
        read(tmp_path, *files)


def test_two_empty_files_are_told(tmp_path):
    pairs, ledger = read(tmp_path, b"", b"")
    assert pairs == []
    assert ledger[STAGE, "file without a row"].documents == 1


def test_marks_line_ends_tabs_and_separators_move_no_line(tmp_path):
    one = "\ufeffa\r\nb\tb\r\nc\u2028c\r\n\x0cd\r\n".encode()
    pairs, _ = read(tmp_path, one, b"x\ny\nz\nw")
    assert sides(pairs) == [("a", "x"), ("b\tb", "y"), ("c\u2028c", "z"), ("\x0cd", "w")]


def test_blank_lines_keep_their_place_and_teach_nothing(tmp_path):
    pairs, ledger = read(tmp_path, b"a\n\nc\n", b"x\ny\n\n")
    assert sides(pairs) == [("a", "x"), ("", None), ("c", None)]
    assert ledger[STAGE, "pair with an empty source"].examples == [f"{tmp_path}/text.en:2"]
    assert ledger[STAGE, "pair with an empty target"].examples == [f"{tmp_path}/text.en:3"]


def test_a_line_that_is_no_text_takes_its_counterpart_with_it(tmp_path):
    files = b"a\n\xff\nc\n", b"x\ny\nz\n"
    with pytest.raises(DataError, match="isn't UTF-8"):
        read(tmp_path, *files)
    pairs, _ = read(tmp_path, *files, skip_bad_rows=1)
    assert sides(pairs) == [("a", "x"), ("c", "z")]


def test_files_may_be_packed_and_their_names_may_begin_with_the_language(tmp_path):
    pairs, _ = read(tmp_path, gzip.compress(b"a\n"), gzip.compress(b"x\n"), name="{}-text.txt.gz")
    assert sides(pairs) == [("a", "x")]


def test_a_missing_half_and_missing_languages_are_refused(tmp_path):
    (tmp_path / "text.en").write_text("a\n")
    with pytest.raises(DataError, match="no such file"):
        list(stream_pairs([str(tmp_path / "text.{}")], PairSettings(source="en", target="de"), Ledger()))
    with pytest.raises(DataError, match="settings source and target"):
        list(stream_pairs([str(tmp_path / "text.{}")], PairSettings(), Ledger()))
