"""SemEval-2010 Task 8 (Hendrickx et al. 2010): two marked nouns and the relation between them, in blocks of lines.

    8001<TAB>"The most common <e1>audits</e1> were about <e2>waste</e2> and recycling."
    Message-Topic(e1,e2)
    Comment: …

A block without the second line is new data.
"""

import re
from collections.abc import Iterator, Sequence

from lexloom.base.errors import DataError
from lexloom.base.ledger import Ledger
from lexloom.labelled.examples import Related
from lexloom.labelled.files import STAGE, FileSettings, open_sources
from lexloom.labelled.marks import without_marks
from lexloom.text.reading import Reading

_SENTENCE = re.compile(r"\s*(\d{1,18})\t\s*(.*\S)\s*")
_RELATION = re.compile(r"[^\s:]+")
COMMENT = "Comment"

Block = list[tuple[int, str]]


def read_related(sources: Sequence[str], settings: FileSettings, ledger: Ledger) -> list[Related]:
    """The sentences without their marks, with the two stretches and the relation.

    Raises DataError with file and line for a sentence without its marks and for lines that don't fit the format.
    """
    examples = list[Related]()
    for reading in open_sources(sources, settings, ledger):
        before = len(examples)
        for block in _blocks(reading):
            try:
                example = _example(block, reading)
            except DataError as error:
                reading.bad_rows.add(error)
                continue
            ledger.count(STAGE, "examples", characters=len(example.text), where=example.where)
            if example.target is None:
                ledger.count(STAGE, "without a label", where=example.where)
            examples.append(example)
        if len(examples) == before:
            ledger.count(STAGE, "file without a row", where=reading.source.name)
    return examples


def _blocks(reading: Reading) -> Iterator[Block]:
    """Lines from one sentence to the next; blank lines don't count, so that lost ones do no harm."""
    block: Block = []
    for number, line in reading.decoded():
        if _SENTENCE.fullmatch(line) and block:
            yield block
            block = []
        if line.strip():
            block.append((number, line))
    if block:
        yield block


def _example(block: Block, reading: Reading) -> Related:
    number, line = block[0]
    where = reading.place(number)
    match = _SENTENCE.fullmatch(line)
    if match is None:
        raise DataError("isn't a number, a tab and a sentence", where=where, fix="Give SemEval-2010 Task 8's format.")
    sentence = match[2]
    if len(sentence) > 1 and sentence[0] == sentence[-1] == '"':
        sentence = sentence[1:-1]
    text, first, second = without_marks(sentence, where)
    target = _relation(block[1:], reading)
    row = {"id": match[1], "sentence": sentence, "relation": target}
    return Related(where, row, text, first, second, target)


def _relation(lines: Block, reading: Reading) -> str | None:
    relation = None
    for index, (number, line) in enumerate(lines):
        if line.startswith(COMMENT):
            break
        if index > 0 or not _RELATION.fullmatch(line.strip()):
            fix = "After a sentence come its relation in one word and a Comment."
            raise DataError("isn't a relation", where=reading.place(number), fix=fix)
        relation = line.strip()
    return relation
