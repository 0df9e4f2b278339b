"""Lists by which word vectors are judged: pairs of words with a likeness that people gave, and analogies.

Pairs: a line is two words and a number, with tabs, commas or spaces between (WS-353, MEN, SimLex-999, wordsim-240).
Analogies: a line is four words, the first to the second as the third to the fourth, and `: name` begins a section
(Google's questions, CA8).
"""

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lexloom.base.errors import DataError


@dataclass(frozen=True)
class WordPairs:
    """Pairs of words, and how alike people find them."""

    pairs: tuple[tuple[str, str], ...]
    likeness: tuple[float, ...]


@dataclass(frozen=True)
class Analogies:
    """Questions by section, in the order of the file; without sections all are in one named ""."""

    sections: dict[str, tuple[tuple[str, str, str, str], ...]]


def read_word_list(path: Path) -> WordPairs | Analogies:
    """Read a file, which may be gzipped; four words in its first line make it a list of analogies.

    Raises DataError naming the line that is neither, or if there is nothing.
    """
    lines = [(f"{path} line {number}", fields) for number, fields in _lines(path)]
    if not lines:
        raise DataError("holds no words", where=str(path))
    _, first = lines[0]
    return _analogies(lines) if first[0].startswith(":") or len(first) == 4 else _pairs(lines)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(number, fields) of each line that isn't blank; the name of a section is one field, with its colon."""
    if not path.is_file():
        raise DataError("is not a file", where=str(path))
    data = path.read_bytes()
    try:
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"is not UTF-8: byte {error.start}", where=str(path)) from None
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield number, [line.strip()] if line.startswith(":") else _FIELD.split(line.strip())


_FIELD = re.compile(r"\s*[\t,]\s*|\s+")


def _pairs(lines: list[tuple[str, list[str]]]) -> WordPairs:
    pairs, likeness = [], []
    for where, fields in lines:
        try:
            first, second, number = fields
            likeness.append(float(number))
        except ValueError:
            raise DataError("is not two words and a number", where=where) from None
        pairs.append((first, second))
    return WordPairs(tuple(pairs), tuple(likeness))


def _analogies(lines: list[tuple[str, list[str]]]) -> Analogies:
    sections: dict[str, list[tuple[str, str, str, str]]] = {}
    name = ""
    for where, fields in lines:
        if fields[0].startswith(":"):
            name = fields[0].removeprefix(":").strip()
        elif len(fields) == 4:
            a, b, c, d = fields
            sections.setdefault(name, []).append((a, b, c, d))
        else:
            raise DataError("is not four words", where=where)
    return Analogies({name: tuple(questions) for name, questions in sections.items()})
