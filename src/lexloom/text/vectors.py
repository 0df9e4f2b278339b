"""Files of word vectors: word2vec's text and binary formats, and GloVe's text.

word2vec's begin with a line "words width"; in text a line is a word and its numbers, in binary a word, a space and
float32 values. GloVe's text is the same without the first line. A word may hold spaces: the numbers are the last ones.
Axes: V words, D width.
"""

import gzip
import itertools
import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from lexloom.base import files
from lexloom.base.errors import DataError, UserError

Vectors = NDArray[np.float32]
Format = Literal["word2vec", "word2vec-binary", "glove"]
BINARY = ".bin"
MOST_WORDS = 1 << 22
MOST_WIDTH = 1 << 17


@dataclass(frozen=True)
class WordVectors:
    """Words with their vectors, in the order of the file, and how many lines repeated a word that was there before."""

    words: tuple[str, ...]
    vectors_VD: Vectors  # noqa: N815
    format: Format
    repeated: int


def read_vectors(path: Path) -> WordVectors:
    """Read a file of any of the formats, also gzipped text; `.bin` is binary, and a first line tells the others apart.

    Of a word that stands there twice the first vector counts. Raises DataError with the line for what is no vector,
    for another width, a number that isn't finite, or fewer words than the first line says.
    """
    if not path.is_file():
        raise DataError("is not a file", where=str(path))
    if path.suffix == BINARY:
        return _read_binary(path)
    with path.open("rb") as file:
        return _read_text(gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file, path)


def write_vectors(path: Path, words: Sequence[str], vectors_VD: Vectors, format: Format) -> None:
    """Write words with their vectors; text holds the shortest digits that give the same float32 again.

    Raises UserError for a word with white space in it, which no reader could tell from the next field.
    """
    for word in words:
        if not word or any(letter.isspace() for letter in word):
            raise UserError(f"the word {word!r} has white space in it", where=str(path))
    with files.new_file(path) as file:
        if format != "glove":
            file.write(f"{len(words)} {vectors_VD.shape[1]}\n".encode())
        for word, vector_D in zip(words, vectors_VD.astype("<f4"), strict=True):
            if format == "word2vec-binary":
                file.write(word.encode() + b" " + vector_D.tobytes() + b"\n")
            else:
                file.write(f"{word} {' '.join(map(str, vector_D))}\n".encode())


def _read_text(file: BinaryIO | gzip.GzipFile, path: Path) -> WordVectors:
    first = file.readline().split()
    has_header = len(first) == 2 and all(field.isdigit() for field in first)
    if has_header:
        lines, size, width, start = iter(file), int(first[0]), int(first[1]), 2
    else:
        file.seek(0)
        lines, size, width, start = iter(file), None, len(first) - 1, 1
    _check_size(size, width, path)
    words: dict[str, Vectors] = {}
    repeated = 0
    for number, line in enumerate(lines, start=start):
        if line.strip():
            word, vector_D = _parse(line, width, f"{path} line {number}")
            repeated += word in words
            words.setdefault(word, vector_D)
    return _collected(words, size, repeated, "word2vec" if has_header else "glove", path)


def _parse(line: bytes, width: int, where: str) -> tuple[str, Vectors]:
    fields = line.strip().rsplit(maxsplit=width)
    if len(fields) != width + 1:
        raise DataError(f"has {len(fields) - 1} numbers behind a word, not {width}", where=where)
    try:
        vector_D = np.array(fields[1:], "S").astype(np.float32)
    except ValueError:
        raise DataError(f"has no {width} numbers behind a word", where=where) from None
    return _word(fields[0], where), vector_D


def _read_binary(path: Path) -> WordVectors:
    with path.open("rb") as file:
        first = file.readline(64).split()
        if len(first) != 2 or not all(field.isdigit() for field in first):
            raise DataError("doesn't begin with the number of words and their width", where=str(path))
        size, width = int(first[0]), int(first[1])
        _check_size(size, width, path)
        words: dict[str, Vectors] = {}
        repeated = 0
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for word, vector_D in itertools.islice(_entries(data, file.tell(), width, path), size):
                repeated += word in words
                words.setdefault(word, vector_D)
    return _collected(words, size, repeated, "word2vec-binary", path)


def _entries(data: mmap.mmap, place: int, width: int, path: Path) -> Iterator[tuple[str, Vectors]]:
    while (space := data.find(b" ", place)) >= 0 and space + 1 + 4 * width <= len(data):
        where = f"{path} byte {place}"
        vector_D = np.frombuffer(data[space + 1 : space + 1 + 4 * width], "<f4")
        yield _word(data[place:space].lstrip(b"\n"), where), vector_D
        place = space + 1 + 4 * width


def _word(data: bytes, where: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise DataError(f"the word {data!r:.60} is not UTF-8", where=where) from None


def _check_size(size: int | None, width: int, path: Path) -> None:
    if not 1 <= width <= MOST_WIDTH or (size is not None and not 1 <= size <= MOST_WORDS):
        count = "no" if size is None else f"{size:,}"
        raise DataError(f"has {count} words of width {width:,}, which are no word vectors", where=str(path))


def _collected(words: dict[str, Vectors], size: int | None, repeated: int, format: Format, path: Path) -> WordVectors:
    if size is not None and len(words) + repeated != size:
        raise DataError(f"has {len(words) + repeated:,} words, and says that there are {size:,}", where=str(path))
    vectors_VD = np.stack(list(words.values()))
    if not np.isfinite(vectors_VD).all():
        number = int(np.argmin(np.isfinite(vectors_VD).all(axis=1)))
        raise DataError(f"the vector of {list(words)[number]!r} is not finite", where=str(path))
    return WordVectors(tuple(words), vectors_VD, format, repeated)
