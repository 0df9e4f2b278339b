"""More than 200 hostile files of labelled data, each with what must happen to it.

First every format in every horrible container, then what can be wrong inside of each format.
"""

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import zstandard

from lexloom.base.ledger import Ledger
from lexloom.labelled import cluener, conll, conversations, pairs, semeval, squad, tables
from lexloom.labelled.columns import TableSettings
from lexloom.labelled.examples import Example
from lexloom.labelled.files import FileSettings
from tests.faults import labelled_cases as cases
from tests.faults.horror import Counted, Refused, counted, refused
from tests.faults.labelled_cases import SEMEVAL, SQUAD, STAGE, Cases, Read

Reader = Callable[[list[str], Any, Ledger], list[Example]]


@dataclass(frozen=True)
class Hostile:
    """A file, how it is read, and what must happen: refused with these words, counted and located, or simply read."""

    name: str
    kind: str
    data: bytes
    ends: Refused | Counted | Read
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """A format: its reader, its settings, the suffix of its files, and a good file of two examples."""

    read: Reader
    settings: type
    suffix: str
    good: str


def _with(kind: str) -> Reader:
    return lambda sources, settings, ledger: tables.read_labelled(sources, settings, ledger, kind=kind)


KINDS: dict[str, Kind] = {
    "csv": Kind(_with("label"), TableSettings, ".csv", "text,label\nGood one,a\nGood two,b\n"),
    "tsv": Kind(_with("label"), TableSettings, ".tsv", "text\tlabel\nGood one\ta\nGood two\tb\n"),
    "jsonl": Kind(
        _with("label"),
        TableSettings,
        ".jsonl",
        '{"text": "Good one", "label": "a"}\n{"text": "Good two", "label": "b"}\n',
    ),
    "several": Kind(
        _with("labels"),
        TableSettings,
        ".jsonl",
        '{"text": "Good", "label": ["a"]}\n{"text": "Good 2", "label": "a,b"}\n',
    ),
    "pairs": Kind(_with("number"), TableSettings, ".csv", "sentence1,sentence2,score\nGood,one,1\nGood,two,2.5\n"),
    "relation": Kind(
        tables.read_related,
        tables.RelationSettings,
        ".tsv",
        "text\tlabel\nGood <e1>a</e1> <e2>b</e2>\tx\nGood <e2>a</e2> <e1>b</e1>\ty\n",
    ),
    "choice": Kind(
        tables.read_choices,
        tables.ChoiceSettings,
        ".jsonl",
        '{"query": "Good?", "choices": ["a", "b"], "gold": 1}\n{"query": "Good", "choices": ["a", "b"], "gold": "a"}\n',
    ),
    "conll": Kind(conll.read_tagged, conll.ConllSettings, ".conll", "Good B-X\none O\n\nGood O\ntwo B-X\n"),
    "cluener": Kind(
        cluener.read_tagged,
        FileSettings,
        ".json",
        '{"text": "Good one", "label": {"x": {"Good": [[0, 3]]}}}\n{"text": "Good two", "label": {}}\n',
    ),
    "squad": Kind(squad.read_questions, FileSettings, ".json", json.dumps(SQUAD) + "\n"),
    "passages": Kind(
        squad.read_questions,
        FileSettings,
        ".jsonl",
        '{"context": "Good a", "question": "?"}\n{"context": "Good b", "question": "?", "answers": []}\n',
    ),
    "talk": Kind(
        lambda *given: list(conversations.stream_conversations(*given)),
        conversations.ConversationSettings,
        ".jsonl",
        '{"messages": [{"role": "user", "content": "Good morning, and a very good evening to all of you"}]}\n'
        '{"messages": [{"role": "user", "content": "Good"}, {"role": "assistant", "content": "one or two"}]}\n',
    ),
    "preferences": Kind(
        lambda *given: list(conversations.stream_preferences(*given)),
        conversations.ConversationSettings,
        ".json",
        '[{"instruction": "Good", "chosen": "a", "rejected": "b"},\n'
        ' {"instruction": "Good", "input": "one", "chosen": "a", "rejected": "b"}]\n',
    ),
    "texts": Kind(
        lambda *given: list(pairs.stream_pairs(*given)),
        pairs.PairSettings,
        ".tsv",
        "source\ttarget\nGood one\teins\nGood two\tzwei\n",
    ),
    "semeval": Kind(semeval.read_related, FileSettings, ".txt", SEMEVAL.format(1) + SEMEVAL.format(2)),
}


def hostile() -> Iterator[Hostile]:
    """All of them."""
    for kind in KINDS:
        yield from in_containers(kind)
    yield from named(cases.TABLES, "csv")
    yield from named(cases.ROWS, "jsonl")
    yield from named(cases.SEVERAL, "several")
    yield from named(cases.PAIRS, "pairs")
    yield from named(cases.RELATIONS, "relation")
    yield from named(cases.CHOICES, "choice")
    yield from named(cases.TAGS, "conll")
    yield from named(cases.CLUENER, "cluener")
    yield from named(cases.QUESTIONS, "squad")
    yield from named(cases.PASSAGES, "passages")
    yield from named(cases.SEMEVALS, "semeval")
    yield from named(cases.TALKS, "talk")
    yield from named(cases.PREFERENCES, "preferences")
    yield from named(cases.TEXTS, "texts")


def in_containers(kind: str) -> Iterator[Hostile]:
    """The good file of a format, spoiled in its bytes."""
    good = KINDS[kind].good
    data = good.encode()
    line = "" if kind == "squad" else ":"
    packed = gzip.compress(data)
    fine = Read(2)
    ends: dict[str, tuple[bytes, Any, dict[str, Any]]] = {
        "empty": (b"", counted("file without a row", stage=STAGE), {}),
        "only a byte order mark": (b"\xef\xbb\xbf", counted("file without a row", stage=STAGE), {}),
        "only line ends": (b"\n\r\n\r\n", counted("file without a row", stage=STAGE), {}),
        "byte order mark": (b"\xef\xbb\xbf" + data, fine, {}),
        "no last line end": (data.rstrip(b"\n"), fine, {}),
        "mixed line ends": (data.replace(b"\n", b"\r\n", 1).replace(b"}\n", b"}\r"), _ENDS_MADE_EVEN, {}),
        "NUL": (data.replace(b"Good", b"Go\0d"), refused("NUL"), {}),
        "half a character": (data.replace(b"Good", b"Go\xe6\x98"), refused(line, "isn't UTF-8"), {}),
        "UTF-16": (good.encode("utf-16"), refused("isn't UTF-8", "utf-16"), {}),
        "UTF-16, named": (good.encode("utf-16"), fine, {"encoding": "utf-16"}),
        "UTF-16 without mark": (good.encode("utf-16-le"), refused("NUL", "utf-16-le"), {}),
        "cut UTF-16": (good.encode("utf-16")[:-1], refused("isn't utf-16"), {"encoding": "utf-16"}),
    }
    for name, (content, end, settings) in ends.items():
        yield Hostile(f"{kind}, {name}", kind, content, end, settings)
    yield Hostile(f"{kind}, gzip.gz", kind, packed, fine)
    yield Hostile(f"{kind}, zstandard.zst", kind, zstandard.compress(data), fine)
    yield Hostile(f"{kind}, cut gzip.gz", kind, packed[:-9], refused("damaged or not .gz"))
    yield Hostile(f"{kind}, a picture", kind, b"\x89PNG\r\n\x1a\n" + bytes(range(256)), refused("isn't UTF-8"))


_ENDS_MADE_EVEN = counted("file with carriage returns, made LF")


def named(table: Cases, kind: str) -> Iterator[Hostile]:
    for name, (text, ends, settings) in table.items():
        yield Hostile(f"{kind}, {name}", kind, text.encode("utf-8", "surrogatepass"), ends, settings)
