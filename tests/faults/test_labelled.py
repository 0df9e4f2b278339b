"""Labelled data may be as hostile as it likes: it is counted and located, or refused with its place; never a traceback,
never silence."""

import json
import random
from pathlib import Path

import pytest

from lexloom.base.errors import UserError
from lexloom.base.files import to_json
from lexloom.base.ledger import Ledger
from lexloom.base.recipe import check
from lexloom.labelled import check as look
from lexloom.labelled.examples import Example
from tests.faults.horror import Refused
from tests.faults.labelled_cases import Read
from tests.faults.labelled_horrors import KINDS, Hostile, hostile

ALL = list(hostile())
DAMAGES = 40


def read(case: Hostile, folder: Path) -> tuple[list[Example], Ledger, Path]:
    kind = KINDS[case.kind]
    stem, dot, compression = case.name.partition(".")
    file = folder / f"{stem.replace(' ', '_')}{kind.suffix}{dot}{compression}"
    file.write_bytes(case.data)
    ledger = Ledger()
    settings = check(kind.settings, case.settings, where="task")
    return kind.read([str(file)], settings, ledger), ledger, file


@pytest.mark.parametrize("case", ALL, ids=[case.name for case in ALL])
def test_hostile_data_is_counted_and_located_or_refused_with_its_place(case: Hostile, tmp_path: Path) -> None:
    if isinstance(case.ends, Refused):
        with pytest.raises(UserError) as caught:
            read(case, tmp_path)
        for word in case.ends.words:
            assert word in str(caught.value)
        str(caught.value).encode()  # it can be shown
        assert caught.value.where
        return
    examples, ledger, file = read(case, tmp_path)
    if isinstance(case.ends, Read):
        assert len(examples) == case.ends.examples
        assert ledger["labelled", "examples"].documents == case.ends.examples
    else:
        for key, documents in case.ends.entries.items():
            assert ledger[key].documents == documents, ledger.to_json()
            assert all(str(file) in place for place in ledger[key].examples)
            assert ledger[key].examples, "the ledger names the place"
    assert_usable(examples, ledger)


def assert_usable(examples: list[Example], ledger: Ledger) -> None:
    """What was read can be saved, stood beside predictions, and looked over."""
    to_json(ledger.to_json()).encode()
    for example in examples:
        assert example.where
        json.dumps(example.row, ensure_ascii=False).encode()
    to_json(look.check({"train": examples, "validation": examples[:1]}).to_json()).encode()


def test_there_are_two_hundred_different_cases() -> None:
    assert len({case.name for case in ALL}) == len(ALL) >= 200


PIECES = [
    *b'"\n\r\t,{}[]:\\0 \0\xff',
    *(piece.encode() for piece in ("\\ud800", "null", "NaN", "\u3000", "<e1>", "I-X")),
]


def damaged(good: bytes, generator: random.Random) -> bytes:
    """A few bytes put in, replaced, left out or repeated."""
    data = bytearray(good)
    for _ in range(generator.randrange(1, 5)):
        start, length = generator.randrange(len(data) + 1), generator.choice((0, 0, 1, 9))
        piece = generator.choice([*PIECES, data[start : start + 20], b""])
        data[start : start + length] = bytes([piece]) if isinstance(piece, int) else piece
    return bytes(data)


@pytest.mark.parametrize("name", KINDS)
def test_random_damage_ends_in_the_same_two_ways(name: str, tmp_path: Path) -> None:
    generator, kind, refused = random.Random(name), KINDS[name], list[str]()
    for _ in range(DAMAGES):
        case = Hostile(name, name, damaged(kind.good.encode(), generator), Read(0))
        try:
            examples, ledger, _ = read(case, tmp_path)
        except UserError as error:
            refused.append(str(error.where))
        else:
            assert list(ledger), "nothing is said"
            assert_usable(examples, ledger)
    assert 0 < len(refused) < DAMAGES
    assert all(place.startswith(str(tmp_path)) for place in refused)
