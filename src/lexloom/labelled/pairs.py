"""Pairs of texts, one to read and one to write: from tables, from two parallel files, or from plain lines to be read.

A pair that can't be learned from (a side empty, in another script, much longer than the other) loses its target: it is
counted with its place, neither learned from nor judged by, and still answered where predictions are asked for.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any, Literal

from pydantic import Field

from lexloom.base.errors import DataError
from lexloom.base.ledger import Ledger
from lexloom.labelled.columns import NO_ROW, TableFiles, TableRow, guess, listed, rows_of
from lexloom.labelled.examples import Pair
from lexloom.labelled.files import STAGE, open_sources
from lexloom.text.lines import Line, decode_line
from lexloom.text.reading import Reading
from lexloom.text.rows import check_unicode, check_values, kind, text_of
from lexloom.text.samples import HAN

PLACE = "{}"
"""What stands in the name of two parallel files for their endings: `train.{}.gz`."""
USUAL_SOURCES = ("source", "src", "text", "document", "article", "body", "input", "sentence", "context")
USUAL_TARGETS = ("target", "tgt", "summary", "title", "subject", "translation", "output", "question")
LINE = "text"
"""The column of a plain line."""

LETTERS_OF = {"zh": re.compile(f"[{HAN}]"), "en": re.compile("[A-Za-z]")}
LEAST_SHARE = 0.2
"""The share of a side's letters that must be of its language's script; names and formulas may be of others."""

EMPTY_SOURCE, EMPTY_TARGET = "pair with an empty source", "pair with an empty target"
WRONG_SOURCE, WRONG_TARGET = "pair with its source in another script", "pair with its target in another script"
UNEVEN = "pair with one side much longer"
COPY = "copy of an earlier pair"


class PairSettings(TableFiles):
    """Tables of pairs, two parallel files, or plain lines to be read.

    A name with {} means two parallel files, line by line: with source = "en" and target = "de", train.{}.gz is
    train.en.gz and train.de.gz. A .txt, and what has no known suffix, holds plain lines to be read, unless `columns` or
    `delimiter` make a table of it.
    """

    source: str | None = None
    """The column of the text that is read, or what names its file among two parallel ones; unset: a column with a usual
    name, such as source, text or body."""

    target: str | None = None
    """The same of the text that is written; in JSON it may be a list of texts that are equally good, of which the first
    is learned. Unset: target, summary, title or the like. New data needs none."""

    source_language: str | None = None
    """The language that is read, such as en, de or zh. Of en and zh the script is checked."""

    target_language: str | None = None
    """The language that is written, which decides how it is cut into words for metrics; unset: zh if most targets are
    Chinese."""

    length_ratio: float | None = Field(default=None, gt=1)
    """Pairs whose one side has more than so many times the bytes of the other aren't learned; unset: all are."""

    suffix: Literal[".txt", ".tsv", ".csv", ".jsonl"] = ".txt"
    """What standard input and files without a known suffix are read as."""


def stream_pairs(sources: Sequence[str], settings: PairSettings, ledger: Ledger) -> Iterator[Pair]:
    """Every pair of every file.

    The ledger gets under "labelled" the examples, the columns that were guessed, copies, and pairs that lost their
    target, with their places. Raises DataError with file, line and fix for parallel files of different lengths, for
    columns that aren't clear and for rows that can't be used.
    """
    seen: set[int] = set()
    for name in sources:
        for pair in _pairs_in(name, settings, ledger):
            checked = _checked(pair, settings, ledger)
            _count(checked, seen, ledger)
            yield checked


def is_written_in(language: str | None, text: str) -> bool:
    """Whether enough of the letters are of the language's script, where it is known; a text without letters may be."""
    letters = None if language is None else LETTERS_OF.get(language)
    return letters is None or len(letters.findall(text)) >= LEAST_SHARE * sum(map(str.isalpha, text))


def _pairs_in(name: str, settings: PairSettings, ledger: Ledger) -> Iterator[Pair]:
    if PLACE in name:
        yield from _parallel(name, settings, ledger)
        return
    for reading in open_sources([name], settings, ledger):
        if reading.source.format == "text" and not settings.columns and settings.delimiter is None:
            yield from _plain_lines(reading, ledger)
        else:
            yield from _from_table(reading, settings, ledger)


# ---- lines ----


def _plain_lines(reading: Reading, ledger: Ledger) -> Iterator[Pair]:
    number = 0
    for number, line in _aligned_lines(reading):
        if line is not None:
            yield Pair(reading.place(number), {LINE: line}, line, None)
    if number == 0:
        ledger.count(STAGE, NO_ROW, where=reading.source.name)


def _parallel(name: str, settings: PairSettings, ledger: Ledger) -> Iterator[Pair]:
    """Line i of one file with line i of the other."""
    if settings.source is None or settings.target is None:
        raise DataError(
            f"{PLACE} in a name means two parallel files",
            where=name,
            fix='Say what it stands for in the settings source and target, such as "en" and "de".',
        )
    columns = (settings.source, settings.target)
    one, two = (_one_file(name.replace(PLACE, column), settings, ledger) for column in columns)
    number = 0
    for number, (first, second) in enumerate(zip_longest(_aligned_lines(one), _aligned_lines(two)), start=1):
        if first is None or second is None:
            raise _unequal(one, two, number - 1)
        source, target = first[1], second[1]
        if source is not None and target is not None:
            yield Pair(one.place(number), dict(zip(columns, (source, target), strict=True)), source, target)
    if number == 0:
        ledger.count(STAGE, NO_ROW, where=one.source.name)


def _one_file(name: str, settings: PairSettings, ledger: Ledger) -> Reading:
    readings = list(open_sources([name], settings, ledger))
    if len(readings) != 1:
        raise DataError(f"means {len(readings)} files; parallel files are named one by one", where=name)
    return readings[0]


def _unequal(one: Reading, two: Reading, shared: int) -> DataError:
    counts = {reading.source.name: sum(1 for _ in reading.lines()) for reading in (one, two)}
    longer = max(counts, key=lambda name: counts[name])
    said = " and ".join(f"{name} has {count:,} lines" for name, count in counts.items())
    return DataError(
        f"{said}: line {shared + 1:,} of {longer} has no counterpart",
        where=f"{longer}:{shared + 1}",
        fix="Look before it for a line that was broken, joined or left out in one of the files.",
    )


def _aligned_lines(reading: Reading) -> Iterator[tuple[int, str | None]]:
    """(line number, text) of every line, blank ones too; None for one that isn't clean UTF-8, which is a bad row."""
    for line in reading.lines():
        yield line.number, _decoded(line, reading)


def _decoded(line: Line, reading: Reading) -> str | None:
    try:
        return decode_line(line, reading.source.name)
    except DataError as error:
        reading.bad_rows.add(error)
        return None


# ---- tables ----


def _from_table(reading: Reading, settings: PairSettings, ledger: Ledger) -> Iterator[Pair]:
    columns: tuple[str, str | None] | None = None
    for row in rows_of(reading, settings, ledger):
        try:
            columns = _columns(row, settings, ledger) if columns is None else columns
            source = check_unicode(text_of(row.values, columns[0], row.where, setting="source"), row.where)
            target = None if columns[1] is None else _target(row.values.get(columns[1]), row.where)
            check_values(row.values, row.where)
        except DataError as error:
            if columns is None:
                raise
            reading.bad_rows.add(error)
            continue
        yield Pair(row.where, row.values, source, target)


def _columns(row: TableRow, settings: PairSettings, ledger: Ledger) -> tuple[str, str | None]:
    """The columns of source and target, decided at a file's first row; what was guessed is said in the ledger."""
    known = list(row.values)
    source = settings.source
    if source is None:
        source = guess(known, USUAL_SOURCES, what="source", where=row.where)
        if source is not None:
            ledger.count(STAGE, f"taken as the source: {source[:80]!r}", where=row.file)
    if source is None or source not in known:
        what = "has no column with a usual name for the source" if source is None else f"has no column {source!r}"
        raise DataError(
            f"{what}, only {listed(known)}",
            where=row.where,
            fix="Name the right one in the setting source; where the first line names no columns, do so in columns.",
        )
    target = settings.target
    if target is None:
        target = guess([name for name in known if name != source], USUAL_TARGETS, what="target", where=row.where)
        if target is not None:
            ledger.count(STAGE, f"taken as the target: {target[:80]!r}", where=row.file)
    elif target not in known:
        ledger.count(STAGE, f"no column {target[:80]!r}, so no target", where=row.where)
    return source, target


def _target(value: Any, where: str) -> str | tuple[str, ...] | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(text, str) for text in value):
        return tuple(value)
    raise DataError(f"the target is {kind(value)}, not a text or a list of texts", where=where)


# ---- what can't be learned ----


def _checked(pair: Pair, settings: PairSettings, ledger: Ledger) -> Pair:
    """The pair, without its target if something is wrong with it."""
    if pair.target is None:
        return pair
    wrong = _fault(pair.source, pair.targets, settings)
    if wrong is None:
        return pair
    ledger.count(STAGE, wrong, characters=len(pair.source) + sum(map(len, pair.targets)), where=pair.where)
    return Pair(pair.where, pair.row, pair.source, None)


def _fault(source: str, targets: Sequence[str], settings: PairSettings) -> str | None:
    if not source.strip():
        return EMPTY_SOURCE
    if not all(target.strip() for target in targets):
        return EMPTY_TARGET
    if not is_written_in(settings.source_language, source):
        return WRONG_SOURCE
    if not all(is_written_in(settings.target_language, target) for target in targets):
        return WRONG_TARGET
    if settings.length_ratio is not None:
        short, long = sorted((len(source.encode()), len(targets[0].encode())))
        if long > settings.length_ratio * short:
            return UNEVEN
    return None


def _count(pair: Pair, seen: set[int], ledger: Ledger) -> None:
    ledger.count(STAGE, "examples", characters=len(pair.source) + sum(map(len, pair.targets)), where=pair.where)
    if pair.target is None:
        ledger.count(STAGE, "without a target", where=pair.where)
        return
    both = hash((pair.source, pair.target))
    if both in seen:
        ledger.count(STAGE, COPY, where=pair.where)
    seen.add(both)
