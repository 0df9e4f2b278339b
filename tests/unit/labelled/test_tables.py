import gzip
import json
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from lexloom.base.errors import DataError
from lexloom.base.ledger import Ledger
from lexloom.labelled.columns import TableSettings
from lexloom.labelled.examples import Labelled
from lexloom.labelled.tables import (
    ChoiceSettings,
    RelationSettings,
    read_choices,
    read_labelled,
    read_related,
)
from lexloom.labelled.targets import Kind

SETTINGS = {
    "one delimiter once": (
        {"delimiter": [" "], "columns": ["label", "text"]},
        "1 the rest of it\n",
        "1",
        "the rest of it",
    ),
    "several in turn": (
        {"delimiter": [":", " "], "columns": ["label", "fine", "text"]},
        "NUM:dist how far: it is\n",
        "NUM",
        "how far: it is",
    ),
    "tab without header": ({"columns": ["label", "text"]}, 'ham\tsay "yes\n', "ham", 'say "yes'),
    "semicolon": ({"delimiter": ";", "quoting": True}, 'text;label\n"a;b";c\n', "c", "a;b"),
    "quotes kept": ({"quoting": False, "delimiter": ","}, 'text,label\n"a",c\n', "c", '"a"'),
}


def labelled(file: Path, kind: Kind = "label", **settings: object) -> tuple[list[Labelled], Ledger]:
    ledger = Ledger()
    return read_labelled([str(file)], TableSettings.model_validate(settings), ledger, kind=kind), ledger


@pytest.mark.parametrize(("settings", "text", "label", "read"), SETTINGS.values(), ids=SETTINGS)
def test_lines_are_parted_as_the_settings_say(
    settings: dict[str, object], text: str, label: str, read: str, tmp_path: Path
) -> None:
    (tmp_path / "a.data").write_text(text, encoding="utf-8")
    (example,), _ = labelled(tmp_path / "a.data", **settings)
    assert (example.texts, example.target) == ((read,), label)


def test_example_keeps_its_place_and_all_columns_of_its_row(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text('id,text,label\n7,"two\nlines",x\n8,b,y\n', encoding="utf-8")
    examples, _ = labelled(file)
    assert examples[1] == Labelled(f"{file}:4", {"id": "8", "text": "b", "label": "y"}, ("b",), "y")


def test_guessed_columns_are_said_in_the_ledger(tmp_path: Path) -> None:
    file = tmp_path / "a.tsv"
    file.write_text("sentence1\tsentence2\tgold\na\tb\tc\n", encoding="utf-8")
    (example,), ledger = labelled(file)
    assert example.texts == ("a", "b")
    assert ledger["labelled", "taken as the text: 'sentence1', 'sentence2'"].examples == [str(file)]
    assert ledger["labelled", "taken as the label: 'gold'"].examples == [str(file)]


def test_files_of_any_suffix_are_read_where_a_pattern_means_them(tmp_path: Path) -> None:
    (tmp_path / "a.train").write_text("text\tlabel\na\tb\n", encoding="utf-8")
    (tmp_path / "b.train.gz").write_bytes(gzip.compress(b"text\tlabel\nc\td\n"))
    examples, _ = labelled(tmp_path / "*.train*")
    assert [example.texts for example in examples] == [("a",), ("c",)]
    with pytest.raises(DataError, match="no file that can be read"):
        labelled(tmp_path)


def test_named_columns_are_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label,body,stars\na,b,c,5\n", encoding="utf-8")
    (example,), ledger = labelled(tmp_path / "a.csv", text="body", label="stars")
    assert (example.texts, example.target) == (("c",), "5")
    assert not [outcome for _, outcome, _ in ledger if "taken as" in outcome]


def test_second_file_must_have_the_columns_too(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\na,b\n", encoding="utf-8")
    (tmp_path / "b.csv").write_text("foo,label\na,b\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"b\.csv:2: has no column with a usual name.*\n.*'foo', 'label'"):
        labelled(tmp_path)


@pytest.mark.parametrize(
    ("cell", "label"), [("1", "1"), (" x ", "x"), (1, "1"), (1.5, "1.5"), (True, "true"), (None, None), ("  ", None)]
)
def test_labels_are_texts_without_white_space_around(cell: object, label: str | None, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "a", "label": cell}), encoding="utf-8")
    (example,), _ = labelled(tmp_path / "a.jsonl")
    assert example.target == label


@pytest.mark.parametrize(
    ("cell", "read"),
    [("a;b", ("a", "b")), (["a", "b"], ("a", "b")), ("a; a ;", ("a",)), ("", ()), ([], ()), (None, None), (5, ("5",))],
)
def test_several_labels_come_from_a_cell_or_a_list(cell: object, read: object, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "a", "label": cell}), encoding="utf-8")
    (example,), _ = labelled(tmp_path / "a.jsonl", "labels", label_separator=";")
    assert example.target == read


def test_numbers_are_read_from_text_and_json(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a", "score": "-1e-3"}\n{"text": "a", "score": 5}\n', encoding="utf-8")
    examples, _ = labelled(tmp_path / "a.jsonl", "number")
    assert [example.target for example in examples] == [-0.001, 5.0]


def test_parquet_is_read_with_all_its_columns(tmp_path: Path) -> None:
    table = pyarrow.table({"text": ["a", "b"], "label": [0, None], "id": [7, 8]})
    parquet.write_table(table, tmp_path / "a.parquet")
    examples, _ = labelled(tmp_path / "a.parquet")
    assert [example.target for example in examples] == ["0", None]
    assert examples[0].row == {"text": "a", "label": 0, "id": 7}


def test_text_of_json_is_not_changed_so_that_offsets_hold(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": " a\r\nb "}), encoding="utf-8")
    (example,), _ = labelled(tmp_path / "a.jsonl")
    assert example.texts == (" a\r\nb ",)


def test_marks_are_taken_out_and_their_stretches_hold_in_any_order(tmp_path: Path) -> None:
    text = "The <e2>waste</e2> of <e1>the audit</e1>."
    (tmp_path / "a.tsv").write_text(f"text\tlabel\n{text}\tx\n", encoding="utf-8")
    (example,) = read_related([str(tmp_path / "a.tsv")], RelationSettings(), Ledger())
    assert example.text == "The waste of the audit."
    assert example.text[slice(*example.first)] == "the audit"
    assert example.text[slice(*example.second)] == "waste"


def test_stretches_come_from_columns_of_offsets(tmp_path: Path) -> None:
    row = {"text": "春眠不觉晓", "s1": 0, "e1": 2, "s2": "4", "e2": "5", "label": "x"}
    (tmp_path / "a.jsonl").write_text(json.dumps(row), encoding="utf-8")
    settings = RelationSettings(first=("s1", "e1"), second=("s2", "e2"))
    (example,) = read_related([str(tmp_path / "a.jsonl")], settings, Ledger())
    assert (example.first, example.second, example.target) == ((0, 2), (4, 5), "x")


def test_right_candidate_is_given_by_number_or_text(tmp_path: Path) -> None:
    rows = [
        {"query": "q", "choices": ["no", "yes"], "gold": 1},
        {"query": "q", "choices": ["no", "yes"], "gold": "yes"},
        {"query": "q", "choices": ["0", "1", "2"], "gold": "2"},
        {"query": "q", "choices": ["2", "1", "0"], "gold": "2"},
        {"query": "q", "choices": ["a", "b"]},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    examples = read_choices([str(tmp_path / "a.jsonl")], ChoiceSettings(), Ledger())
    assert [example.target for example in examples] == [1, 1, 2, 0, None]


def test_candidates_may_stand_in_columns_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question,A,B,answer\nwhy?,so,no,no\n", encoding="utf-8")
    settings = ChoiceSettings(choices=("A", "B"))
    (example,) = read_choices([str(tmp_path / "a.csv")], settings, Ledger())
    assert (example.texts, example.candidates, example.target) == (("why?",), ("so", "no"), 1)


def test_candidates_may_be_beginnings_that_the_text_ends(tmp_path: Path) -> None:
    row = {"context_options": ["so Ann", "so Mia"], "continuation": "slept.", "gold": 1}
    (tmp_path / "a.jsonl").write_text(json.dumps(row), encoding="utf-8")
    (example,) = read_choices([str(tmp_path / "a.jsonl")], ChoiceSettings(), Ledger())
    assert (example.texts, example.candidates, example.target) == (("slept.",), ("so Ann", "so Mia"), 1)
    assert example.candidates_first
    (example,) = read_choices([str(tmp_path / "a.jsonl")], ChoiceSettings(candidates_first=False), Ledger())
    assert not example.candidates_first


def test_each_question_of_c3_is_an_example_with_its_passage(tmp_path: Path) -> None:
    question = {"question": "问", "choice": ["甲", "乙"], "answer": "乙"}
    (tmp_path / "a.json").write_text(json.dumps([[["女：一", "男：二"], [question, question], "id"]]), encoding="utf-8")
    examples = read_choices([str(tmp_path / "a.json")], ChoiceSettings(), Ledger())
    assert [example.texts for example in examples] == [("女：一\n男：二", "问")] * 2
    assert (examples[0].candidates, examples[0].target) == (("甲", "乙"), 1)
