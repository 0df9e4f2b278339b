import gzip

import numpy as np
import pytest

from lexloom.base.errors import DataError, UserError
from lexloom.text.vectors import read_vectors, write_vectors

WORDS = ["the", "北京", "u.s.", "naïve"]
VECTORS = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)


@pytest.mark.parametrize(("format", "name"), [("word2vec", "v.txt"), ("glove", "v.txt"), ("word2vec-binary", "v.bin")])
def test_written_vectors_are_read_bit_for_bit(tmp_path, format, name):
    write_vectors(tmp_path / name, WORDS, VECTORS, format)
    found = read_vectors(tmp_path / name)
    assert (found.words, found.format, found.repeated) == (tuple(WORDS), format, 0)
    assert np.array_equal(found.vectors_VD, VECTORS)


@pytest.mark.parametrize("binary", [False, True])
def test_gensim_and_lexloom_read_what_the_other_writes(tmp_path, binary):
    models = pytest.importorskip("gensim.models")
    name = "v.bin" if binary else "v.txt"
    write_vectors(tmp_path / name, WORDS, VECTORS, "word2vec-binary" if binary else "word2vec")
    theirs = models.KeyedVectors.load_word2vec_format(str(tmp_path / name), binary=binary)
    assert theirs.index_to_key == WORDS
    assert np.array_equal(theirs.vectors, VECTORS)
    theirs.save_word2vec_format(str(tmp_path / f"back-{name}"), binary=binary)
    assert np.array_equal(read_vectors(tmp_path / f"back-{name}").vectors_VD, VECTORS)


def test_words_with_spaces_repeated_words_and_gzip_are_read(tmp_path):
    data = b"new york 1 2\nthe 3 4\r\nthe 5 6\n\n"
    (tmp_path / "v.txt.gz").write_bytes(gzip.compress(b"a 0 0\n" + data))
    found = read_vectors(tmp_path / "v.txt.gz")
    assert found.words == ("a", "new york", "the")
    assert found.vectors_VD[2].tolist() == [3, 4]
    assert found.repeated == 1


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("v.txt", b"2 2\na 1 2\nb 1\n", "line 3: has 1 numbers behind a word, not 2"),
        ("v.txt", b"2 2\na 1 2\nb 1 x\n", "line 3: has no 2 numbers"),
        ("v.txt", b"3 2\na 1 2\nb 1 2\n", "has 2 words, and says that there are 3"),
        ("v.txt", b"a 1 2\nb 1 nan\n", "the vector of 'b' is not finite"),
        ("v.txt", b"a 1 2\n\xff\xfe 1 2\n", "not UTF-8"),
        ("v.txt", b"", "are no word vectors"),
        ("v.txt", b"9999999999 3\n", "are no word vectors"),
        ("v.bin", b"a 1 2\n", "doesn't begin with the number of words"),
        ("v.bin", b"2 2\na \0\0\0\0\0\0\0\0b \0\0", "has 1 words, and says that there are 2"),
        ("none.txt", None, "is not a file"),
    ],
)
def test_a_damaged_file_is_refused_with_the_place(tmp_path, name, data, message):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=message):
        read_vectors(tmp_path / name)


def test_a_word_with_white_space_is_not_written(tmp_path):
    with pytest.raises(UserError, match="'new york' has white space"):
        write_vectors(tmp_path / "v.txt", ["new york"], VECTORS[:1], "glove")
    assert not list(tmp_path.iterdir())
