"""Words and their tags in columns, a word on a line, a blank line between sentences (CoNLL-2003 and its like)."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from lexloom.base.errors import DataError
from lexloom.base.ledger import Ledger
from lexloom.labelled.examples import Tagged
from lexloom.labelled.files import STAGE, FileSettings, open_sources
from lexloom.labelled.tags import PREFIXES, Scheme, Tag, entities_of, flaws_of, parse_tag, recognise
from lexloom.labelled.words import is_by_character, joined
from lexloom.text.reading import Reading

DOCUMENT = "-DOCSTART-"
_SPACES = re.compile(r"[ \t]+")


class ConllSettings(FileSettings):
    """Columns of words and tags."""

    word_column: int = 0
    """The column of the word, from 0; negative numbers count from the last."""

    tag_column: int = -1
    """The column of the tag. Files of a single column are new data, without tags."""

    delimiter: str | None = Field(default=None, min_length=1)
    """What parts the columns; unset: tabs, or spaces in a line without a tab."""

    scheme: Literal["auto", "BIO", "IOB1", "BIOES", "BMES"] = "auto"
    """How the tags are written; auto: recognised from them, and said."""

    strip_last_character: bool = False
    """Take the last character from every word: Weibo's files number the characters of a word (科0 技1)."""


@dataclass(frozen=True, slots=True)
class _Sentence:
    reading: Reading
    lines: list[int]
    words: list[str]
    tags: list[str] | None


def read_tagged(sources: Sequence[str], settings: ConllSettings, ledger: Ledger) -> list[Tagged]:
    """The sentences of CoNLL files with their entities.

    The ledger gets under "labelled" the sentences, the scheme, and every tag that stands where its scheme doesn't allow
    it (such tags are read as conlleval reads them). Raises DataError with file and line for lines without the columns
    and for what isn't a tag.
    """
    sentences = [
        sentence for reading in open_sources(sources, settings, ledger) for sentence in _read(reading, settings)
    ]
    parsed = [[parse_tag(tag) for tag in sentence.tags or ()] for sentence in sentences]
    scheme = recognise(parsed) if settings.scheme == "auto" else settings.scheme
    if settings.scheme == "auto" and any(parsed):
        ledger.count(
            STAGE,
            f"scheme of the tags recognised: {scheme}",
            documents=sum(map(bool, parsed)),
            where=sentences[0].reading.source.name,
        )
    by_character = is_by_character([sentence.words for sentence in sentences])
    examples = []
    for sentence, tags in zip(sentences, parsed, strict=True):
        _count_flaws(sentence, tags, scheme, ledger)
        examples.append(_example(sentence, ledger, by_character=by_character))
    return examples


def _example(sentence: _Sentence, ledger: Ledger, *, by_character: bool) -> Tagged:
    where = sentence.reading.place(sentence.lines[0])
    text, spans = joined(sentence.words, by_character=by_character)
    ledger.count(STAGE, "examples", characters=len(text), where=where)
    if sentence.tags is None:
        ledger.count(STAGE, "without a label", where=where)
        return Tagged(where, {"words": sentence.words}, text, spans, None)
    row = {"words": sentence.words, "tags": sentence.tags}
    return Tagged(where, row, text, spans, entities_of(sentence.tags, spans))


def _count_flaws(sentence: _Sentence, tags: Sequence[Tag], scheme: Scheme, ledger: Ledger) -> None:
    for index, flaw in flaws_of(tags, scheme):
        ledger.count(STAGE, flaw, where=sentence.reading.place(sentence.lines[index]))
    for index, (prefix, _) in enumerate(tags):
        if prefix != "O" and prefix not in PREFIXES[scheme]:
            ledger.count(
                STAGE, f"a tag that {scheme} doesn't have", where=sentence.reading.place(sentence.lines[index])
            )


def _read(reading: Reading, settings: ConllSettings) -> Iterator[_Sentence]:
    rows = list(_blocks(reading, settings))
    if not rows:
        reading.ledger.count(STAGE, "file without a row", where=reading.source.name)
    # A file whose every line holds a word and nothing else is new data; a line that lacks its tag is a fault.
    tagged = any(len(cells) > 1 for block in rows for _, cells in block)
    for block in rows:
        try:
            yield _sentence(block, reading, settings, tagged=tagged)
        except DataError as error:
            reading.bad_rows.add(error)


def _blocks(reading: Reading, settings: ConllSettings) -> Iterator[list[tuple[int, list[str]]]]:
    block = list[tuple[int, list[str]]]()
    for number, line in reading.decoded():
        if line.strip(" \t") and not line.startswith(DOCUMENT):
            block.append((number, _cells(line, settings.delimiter)))
        elif block:
            yield block
            block = []
    if block:
        yield block


def _cells(line: str, delimiter: str | None) -> list[str]:
    if delimiter is not None:
        return line.split(delimiter)
    return line.split("\t") if "\t" in line else _SPACES.split(line.strip(" "))


def _sentence(
    block: list[tuple[int, list[str]]], reading: Reading, settings: ConllSettings, *, tagged: bool
) -> _Sentence:
    words, tags = list[str](), list[str]()
    for number, cells in block:
        try:
            words.append(_word(cells, settings))
            if tagged:
                tags.append(_tag(cells, settings))
        except DataError as error:
            raise DataError(error.what, where=reading.place(number), fix=error.fix) from None
    return _Sentence(reading, [number for number, _ in block], words, tags if tagged else None)


def _word(cells: list[str], settings: ConllSettings) -> str:
    word = _cell(cells, settings.word_column, "word_column")
    word = word[:-1] if settings.strip_last_character else word
    if not word or word.isspace():
        raise DataError("has no word", fix="Write one, or remove the line.")
    return word


def _tag(cells: list[str], settings: ConllSettings) -> str:
    if len(cells) < 2:
        raise DataError("has no tag", fix="Write one beside the word, or name the delimiter.")
    tag = _cell(cells, settings.tag_column, "tag_column").strip()
    try:
        parse_tag(tag)
    except ValueError as error:
        raise DataError(str(error), fix="Mend it, or name the right tag_column and delimiter.") from None
    return tag


def _cell(cells: list[str], column: int, setting: str) -> str:
    if not -len(cells) <= column < len(cells):
        what = f"has {len(cells)} columns, so no {setting} {column}"
        raise DataError(what, fix=f"Mend the line, or the settings {setting} and delimiter.")
    return cells[column]
