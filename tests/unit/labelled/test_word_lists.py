import gzip

import pytest

from lexloom.base.errors import DataError
from lexloom.labelled.word_lists import Analogies, WordPairs, read_word_list


@pytest.mark.parametrize("line", ["tiger\tcat\t7.35", "tiger,cat,7.35", "tiger cat 7.35", "tiger\tcat\t7.35\r"])
def test_pairs_are_read_whatever_stands_between(tmp_path, line):
    (tmp_path / "p.txt").write_text(f"\ufeff{line}\n\n日本\t南京\t8\n", encoding="utf-8", newline="")
    found = read_word_list(tmp_path / "p.txt")
    assert found == WordPairs((("tiger", "cat"), ("日本", "南京")), (7.35, 8.0))


def test_analogies_are_read_by_section(tmp_path):
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(": 首都\n东京 日本 巴黎 法国\n: gram1 \na b c d\n".encode()))
    found = read_word_list(tmp_path / "a.txt.gz")
    assert found == Analogies({"首都": (("东京", "日本", "巴黎", "法国"),), "gram1": (("a", "b", "c", "d"),)})
    (tmp_path / "b.txt").write_text("a b c d\n")
    assert read_word_list(tmp_path / "b.txt") == Analogies({"": (("a", "b", "c", "d"),)})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tb\t1\na\tb\n", "line 2: is not two words and a number"),
        ("a\tb\tmuch\n", "line 1: is not two words and a number"),
        (": x\na b c\n", "line 2: is not four words"),
        ("\n", "holds no words"),
    ],
)
def test_a_line_that_is_neither_is_named(tmp_path, text, message):
    (tmp_path / "p.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        read_word_list(tmp_path / "p.txt")
