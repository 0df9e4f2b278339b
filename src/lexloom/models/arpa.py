"""ARPA files, the n-gram models' common format (Doug Paul's; SRILM's ngram-format(5)), in and out.

    \\data\\
    ngram 1=…                              how many n-grams of each order there are
    \\1-grams:
    log10 p <tab> token … <tab> log10 γ    one line an n-gram; its back-off weight where it has one
    \\end\\

A document begins with <s> and ends with </s>; a folder has the separator for both (see data/ngrams.py). Tokens stand
as the vocabulary spells them, white space in them as <0x20> and the like.
Axes: G n-grams of one order, N tokens of an n-gram.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import tokenizers
from tokenizers import models, pre_tokenizers
from torch import Tensor

from lexloom.base import files
from lexloom.base.errors import DataError, FolderError
from lexloom.data.kneser_ney import Smoothed
from lexloom.data.ngrams import Numbers
from lexloom.models.folder import ModelFolder, save_model
from lexloom.models.ngram import Config, Grams, Model, model_of
from lexloom.text.tokenizers import Tokenizer, config_for

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
LN10 = math.log(10)
DIGITS = 9
"""Enough to tell all float32 numbers apart."""
LINES = 1 << 16
"""Lines written or read together."""


def export_arpa(contents: ModelFolder, file: Path) -> int:
    """Write a folder's n-grams as an ARPA file, and return how many; FolderError for a model of another kind."""
    model, tokenizer = contents.model, contents.tokenizer
    if not isinstance(model, Model):
        raise FolderError(f"holds a {contents.family}; an ARPA file holds n-grams", fix="Name the folder of an ngram.")
    if tokenizer is None or tokenizer.separator_id is None:
        raise FolderError("has no tokenizer that says what ends a document")
    names, end_id = _names(tokenizer, model.config.vocab_size), tokenizer.separator_id
    extra = [] if UNKNOWN in names else [_unknown(model)]
    counts = [len(grams.log_probabilities) for grams in model.tables]
    counts[0] += 1 + len(extra)
    with files.new_file(file) as out:
        header = "".join(f"ngram {order}={count}\n" for order, count in enumerate(counts, start=1))
        out.write(f"\\data\\\n{header}".encode())
        words_GN = np.arange(model.config.vocab_size, dtype=np.int32)[:, None]
        for order, grams in enumerate(model.tables, start=1):
            words_GN = words_GN if grams.keys is None else _longer(words_GN, grams)
            out.write(f"\n\\{order}-grams:\n".encode())
            for lines in _lines(grams, words_GN, names, end_id):
                out.write(lines.encode())
            out.write("".join(extra if order == 1 else []).encode())
        out.write(b"\n\\end\\\n")
    return sum(counts)


def import_arpa(file: Path, out: Path) -> None:
    """Make a model folder `out` of an ARPA file; its tokenizer takes what stands between white space for tokens.

    Raises DataError naming the line that isn't as it should be, or an n-gram whose context is not among those of the
    order below; FolderError if `out` exists.
    """
    model, tokenizer = read_arpa(file)
    provenance = {"arpa": {"file": file.name, "sha256": files.sha256_of(file)}}
    sizes = ", ".join(f"{len(grams.log_probabilities):,}" for grams in model.tables)
    card = (
        f"# n-grams of {file.name}\n\nOrders 1 to {model.config.order}: {sizes}. Made by `lexloom import` from an ARPA "
        "file; tokens are what stands between white space.\n"
    )
    save_model(out, model, tokenizer, provenance=provenance, generation=None, card=card)


def read_arpa(file: Path) -> tuple[Model, Tokenizer]:
    """The model and the tokenizer of an ARPA file; raises DataError as `import_arpa` does."""
    if not file.is_file():
        raise DataError("is not a file", where=str(file))
    with open(file, encoding="utf-8", errors="strict") as text:
        lines = _Lines(text, str(file))
        try:
            return _read(lines)
        except UnicodeDecodeError:
            raise DataError("is not UTF-8", where=lines.place) from None


# ---- writing ----


def _names(tokenizer: Tokenizer, vocab_size: int) -> list[str]:
    """Every id as the file spells it."""
    names = [_visible(tokenizer.token(number) or f"<id{number}>") for number in range(vocab_size)]
    separator, unknown = tokenizer.separator_id, tokenizer.unk_id
    clashes = [name for number, name in enumerate(names) if name in (BEGIN, END) and number != separator]
    if clashes or len(set(names)) < len(names):
        raise FolderError(f"the vocabulary has {clashes[0] if clashes else 'a token'} twice, as ARPA files spell it")
    if unknown is not None:
        names[unknown] = UNKNOWN
    assert separator is not None, "checked before"
    names[separator] = END
    return names


def _visible(name: str) -> str:
    return "".join(f"<0x{ord(letter):02X}>" if letter.isspace() else letter for letter in name)


def _unknown(model: Model) -> str:
    """What the format wants of a token outside of the vocabulary: it is as improbable as the most improbable one."""
    return f"{float(model.tables[0].log_probabilities.min()) / LN10:.{DIGITS}g}\t{UNKNOWN}\t0\n"


def _longer(words_GN: Any, grams: Grams) -> Any:
    assert grams.keys is not None, "single tokens have no context"
    keys_G = grams.keys.numpy()
    contexts, words = keys_G // grams.vocab_size, (keys_G % grams.vocab_size).astype(np.int32)
    return np.concatenate([words_GN[contexts], words[:, None]], axis=1)


def _lines(grams: Grams, words_GN: Any, names: Sequence[str], end_id: int) -> Iterator[str]:
    last = grams.log_backoffs is None
    for start in range(0, len(words_GN), LINES):
        piece = slice(start, start + LINES)
        logs = _log10(grams.log_probabilities[piece])
        backoffs = [0.0] * len(logs) if grams.log_backoffs is None else _log10(grams.log_backoffs[piece])
        lines = []
        for words, log, backoff in zip(words_GN[piece].tolist(), logs, backoffs, strict=True):
            if len(words) == 1 and words[0] == end_id:
                lines.append(f"{log:.{DIGITS}g}\t{END}\t0\n0\t{BEGIN}\t{backoff:.{DIGITS}g}\n")
                continue
            spelled = [names[word] for word in words]
            if words[0] == end_id:
                spelled[0] = BEGIN
            after = "" if last else f"\t{backoff:.{DIGITS}g}"
            lines.append(f"{log:.{DIGITS}g}\t{' '.join(spelled)}{after}\n")
        yield "".join(lines)


def _log10(values: Tensor) -> list[float]:
    logs: list[float] = (values.double() / LN10).clamp(max=0.0).tolist()
    return logs


# ---- reading ----


@dataclass
class _Lines:
    """The lines of a file, counted, for messages."""

    text: TextIO
    file: str
    number: int = 0

    @property
    def place(self) -> str:
        return f"{self.file}:{self.number}"

    def next(self) -> str:
        """The next line that isn't blank, without its end; DataError if there is none."""
        for line in self.text:
            self.number += 1
            if line.strip():
                return line.rstrip("\r\n")
        raise DataError("ends before \\end\\", where=self.place)

    def expect(self, wanted: str) -> None:
        """The next line is this one, or DataError."""
        if (line := self.next().strip()) != wanted:
            raise DataError(f"has {line[:40]!r} where {wanted} is expected", where=self.place)


@dataclass(frozen=True)
class _Entries:
    """The n-grams of one order as they stand in the file."""

    words_GN: Any  # noqa: N815
    logs_G: Any  # noqa: N815
    backoffs_G: Any  # noqa: N815


def _read(lines: _Lines) -> tuple[Model, Tokenizer]:
    while lines.next().strip() != "\\data\\":
        pass
    counts: list[int] = []
    line = lines.next()
    while line.startswith("ngram "):
        counts.append(_count(line, len(counts) + 1, lines.place))
        line = lines.next()
    if not counts:
        raise DataError("says of no order how many n-grams there are", where=lines.place)
    if line.strip() != "\\1-grams:":
        raise DataError(f"has {line[:40]!r} where \\1-grams: is expected", where=lines.place)
    names, smoothed = _single_tokens(lines, counts[0], last=len(counts) == 1)
    vocabulary = {name: number for number, name in enumerate(names)}
    vocabulary[BEGIN] = vocabulary[END]
    config = Config(vocab_size=len(names), order=len(counts))
    tables = [smoothed]
    for order, count in enumerate(counts[1:], start=2):
        lines.expect(f"\\{order}-grams:")
        entries = _entries(lines, count, order, vocabulary, last=order == len(counts))
        tables.append(_table(entries, tables, config.vocab_size, lines))
    lines.expect("\\end\\")
    return model_of(config, tables).eval(), _tokenizer(names)


def _count(line: str, order: int, place: str) -> int:
    name, _, count = line.removeprefix("ngram ").partition("=")
    if name.strip() != str(order) or not count.strip().isdecimal():
        raise DataError(f"has {line[:40]!r} where ngram {order}=… is expected", where=place)
    return int(count)


def _single_tokens(lines: _Lines, count: int, *, last: bool) -> tuple[list[str], Smoothed]:
    """The vocabulary in the order of the file, <s> being </s>, and its table."""
    names: list[str] = []
    logs, backoffs, begin = [], [], 0.0
    for _ in range(count):
        log, words, backoff = _fields(lines.next(), 1, lines.place, last=last)
        if words[0] == BEGIN:
            begin = backoff
            continue
        names.append(words[0])
        logs.append(log)
        backoffs.append(backoff)
    if END not in names or len(set(names)) < len(names):
        what = "has a token twice" if END in names else f"has no {END}"
        raise DataError(what, where=lines.place)
    backoffs[names.index(END)] = begin
    return names, _smoothed(None, np.array(logs), None if last else np.array(backoffs))


def _fields(line: str, order: int, place: str, *, last: bool) -> tuple[float, list[str], float]:
    """Probability, tokens, weight (0 if there is none) of a line."""
    fields = line.split()
    try:
        log, words, rest = float(fields[0]), fields[1 : order + 1], fields[order + 1 :]
        backoff = float(rest[0]) if rest else 0.0
    except (ValueError, IndexError):
        raise DataError(f"{line[:60]!r} is no {order}-gram", where=place) from None
    if len(words) < order or len(rest) > (0 if last else 1) or not math.isfinite(backoff) or not log <= 0:
        raise DataError(f"{line[:60]!r} is no {order}-gram", where=place)
    return log, words, backoff


def _entries(lines: _Lines, count: int, order: int, vocabulary: dict[str, int], *, last: bool) -> _Entries:
    words_GN = np.empty((count, order), np.int32)
    logs_G, backoffs_G = np.empty(count), np.empty(count)
    for row in range(count):
        log, words, backoff = _fields(lines.next(), order, lines.place, last=last)
        if END in words[:-1] or BEGIN in words[1:]:
            raise DataError(f"{' '.join(words)!r} goes across the end of a text", where=lines.place)
        try:
            words_GN[row] = [vocabulary[word] for word in words]
        except KeyError as error:
            raise DataError(f"the token {error.args[0]!r} is not among the 1-grams", where=lines.place) from None
        logs_G[row], backoffs_G[row] = log, backoff
    return _Entries(words_GN, logs_G, None if last else backoffs_G)


def _table(entries: _Entries, below: Sequence[Smoothed], vocab_size: int, lines: _Lines) -> Smoothed:
    """The entries in the order of their keys."""
    rows_G = entries.words_GN[:, 0].astype(np.int64)
    for place, smoothed in enumerate(below[1:], start=1):
        rows_G = _find(smoothed.keys_G, rows_G * vocab_size + entries.words_GN[:, place], lines)
    keys_G = rows_G * vocab_size + entries.words_GN[:, -1]
    order = np.argsort(keys_G, kind="stable")
    keys_G = keys_G[order]
    if (keys_G[1:] == keys_G[:-1]).any():
        raise DataError(f"has a {entries.words_GN.shape[1]}-gram twice", where=lines.place)
    backoffs_G = None if entries.backoffs_G is None else entries.backoffs_G[order]
    return _smoothed(keys_G, entries.logs_G[order], backoffs_G)


def _find(keys_G: Numbers | None, wanted_G: Numbers, lines: _Lines) -> Numbers:
    assert keys_G is not None, "orders from 2 on have keys"
    rows_G = np.searchsorted(keys_G, wanted_G).clip(max=max(0, len(keys_G) - 1))
    if len(wanted_G) and (len(keys_G) == 0 or (keys_G[rows_G] != wanted_G).any()):
        raise DataError(
            "has an n-gram whose first tokens are not an n-gram of the order below, so that they have no back-off "
            "weight",
            where=f"{lines.file}, before line {lines.number}",
        )
    return rows_G


def _smoothed(keys_G: Numbers | None, logs_G: Any, backoffs_G: Any) -> Smoothed:
    weights_G = None if backoffs_G is None else (backoffs_G * LN10).astype(np.float32)
    return Smoothed(keys_G, (np.maximum(logs_G, LEAST_LOG10) * LN10).astype(np.float32), weights_G, None)


LEAST_LOG10 = -99.0
"""What SRILM writes for −∞."""


def _tokenizer(names: Sequence[str]) -> Tokenizer:
    """White space parts tokens; what isn't known is <unk>, and left out where the file has none."""
    unknown = UNKNOWN if UNKNOWN in names else ""
    inner = tokenizers.Tokenizer(models.WordLevel({name: number for number, name in enumerate(names)}, unknown))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"bos": END, "eos": END} | ({"unk": UNKNOWN} if unknown else {})
    inner.add_special_tokens(sorted(set(special.values())))
    return Tokenizer(inner.to_str(pretty=True).encode(), config_for(special))
