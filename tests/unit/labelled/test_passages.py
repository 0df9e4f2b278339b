import json
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from lexloom.base.errors import DataError
from lexloom.base.ledger import Ledger
from lexloom.labelled.examples import Answer, Question, Related
from lexloom.labelled.files import FileSettings
from lexloom.labelled.semeval import read_related
from lexloom.labelled.squad import nearest, read_questions


def read(passage: str, question: dict[str, object], folder: Path) -> tuple[list[Question], Ledger]:
    whole = {"data": [{"paragraphs": [{"context": passage, "qas": [{"id": "7", "question": "?", **question}]}]}]}
    (folder / "a.json").write_text(json.dumps(whole, indent=2), encoding="utf-8")
    ledger = Ledger()
    return read_questions([str(folder / "a.json")], FileSettings(), ledger), ledger


def test_question_has_its_passage_answers_and_place(tmp_path: Path) -> None:
    answers = [{"text": "长安", "answer_start": 2}]
    (question,), _ = read("他在长安", {"answers": answers}, tmp_path)
    where = f"{tmp_path / 'a.json'}#7"
    row = {"context": "他在长安", "id": "7", "question": "?", "answers": answers}
    assert question == Question(where, row, "7", "?", "他在长安", (Answer("长安", 2),))


@pytest.mark.parametrize(
    ("question", "answers"),
    [({}, None), ({"answers": []}, ()), ({"answers": [], "is_impossible": True}, ()), ({"is_impossible": True}, ())],
)
def test_no_answer_and_unknown_answer_are_different(
    question: dict[str, object], answers: object, tmp_path: Path
) -> None:
    (read_question,), _ = read("passage", question, tmp_path)
    assert read_question.answers == answers


def test_answer_elsewhere_is_found_at_the_nearest_place_and_counted(tmp_path: Path) -> None:
    (question,), ledger = read("an owl, an owl, an owl", {"answers": [{"text": "owl", "answer_start": 12}]}, tmp_path)
    assert question.answers == (Answer("owl", 11),)
    assert ledger["labelled", "answer not at its offset: the nearest place taken"].examples == [
        f"{tmp_path / 'a.json'}#7: 'owl'"
    ]


def test_answer_in_other_words_counts_in_scoring_and_has_no_place(tmp_path: Path) -> None:
    answers = [{"text": "the cat", "answer_start": 0}, {"text": "owl", "answer_start": 3}]
    (question,), ledger = read("an owl", {"answers": answers}, tmp_path)
    assert question.answers == (Answer("the cat", None), Answer("owl", 3))
    assert ledger["labelled", "answer that isn't in its passage"].examples == [f"{tmp_path / 'a.json'}#7: 'the cat'"]


@pytest.mark.parametrize(("start", "found"), [(-9, 0), (0, 0), (1, 0), (3, 4), (4, 4), (5, 4), (7, 8), (99, 8)])
def test_nearest_place(start: int, found: int) -> None:
    assert nearest("owl", "owl owl owl", start) == found
    assert nearest("cat", "owl owl owl", start) is None


def test_text_of_passages_is_not_changed_so_that_offsets_hold(tmp_path: Path) -> None:
    passage = "a\r\nb \U0001f600 c"
    (question,), ledger = read(passage, {"answers": [{"text": "c", "answer_start": 7}]}, tmp_path)
    assert (question.passage, question.answers) == (passage, (Answer("c", 7),))
    assert not [outcome for _, outcome, _ in ledger if "nearest" in outcome]


def test_rows_of_published_data_sets_hold_the_same_questions(tmp_path: Path) -> None:
    rows = [
        {"id": "7", "context": "an owl", "question": "?", "answers": {"text": ["owl"], "answer_start": [3]}},
        {"id": "8", "context": "an owl", "question": "?", "answers": {"text": [], "answer_start": []}},
        {"context": "an owl", "question": "?"},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    parquet.write_table(pyarrow.Table.from_pylist(rows[:2]), tmp_path / "a.parquet")
    ledger = Ledger()
    questions = read_questions([str(tmp_path / "a.jsonl"), str(tmp_path / "a.parquet")], FileSettings(), ledger)
    assert [question.answers for question in questions] == [(Answer("owl", 3),), (), None, (Answer("owl", 3),), ()]
    assert questions[2].where == f"{tmp_path / 'a.jsonl'}:3"
    assert ledger["labelled", "question without answers, taken as unanswerable"].documents == 0


def test_syntax_error_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{\n "data": [\n  }\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.json:3: isn't JSON"):
        read_questions([str(tmp_path / "a.json")], FileSettings(), Ledger())


def test_semeval_blocks_are_read_with_and_without_relations(tmp_path: Path) -> None:
    labelled = '1\t"An <e1>audit</e1> of <e2>waste</e2>."\r\nMessage-Topic(e1,e2)\r\nComment: x\r\n\r\n'
    (tmp_path / "a.txt").write_bytes(f'{labelled}2\t"<e1>a</e1> <e2>b</e2>"'.encode())
    known, new = read_related([str(tmp_path / "a.txt")], FileSettings(), Ledger())
    row = {"id": "1", "sentence": "An <e1>audit</e1> of <e2>waste</e2>.", "relation": "Message-Topic(e1,e2)"}
    place = str(tmp_path / "a.txt")
    assert known == Related(f"{place}:1", row, "An audit of waste.", (3, 8), (12, 17), "Message-Topic(e1,e2)")
    assert (new.where, new.text, new.target) == (f"{place}:5", "a b", None)
