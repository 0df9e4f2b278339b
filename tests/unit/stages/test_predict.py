"""`predict` keeps the rows as they are, in their order, and puts the model's answers beside them."""

import csv
import json
import sys

import pytest

import lexloom
from lexloom.base.errors import DataError, FolderError, RecipeError, UserError
from lexloom.cli import main
from lexloom.stages import predict as stage
from lexloom.stages.predict import _for_new_files, describe, predict
from lexloom.tasks.folder import changed, load_task_model
from tests.folders import write_model
from tests.task_folders import write_task_model

TEXTS = ["what a lovely film", "太无聊了，不想看", "", 'a "dull", empty song', "x " * 50_000, "好看\tand quiet"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_task_model(tmp_path_factory.mktemp("predict") / "model", "classify")


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def read_jsonl(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def table(tmp_path):
    return write_jsonl(tmp_path / "new.jsonl", [{"n": n, "text": text, "more": [n]} for n, text in enumerate(TEXTS)])


@pytest.mark.filterwarnings("ignore:.*longer than the model reads")
def test_rows_are_kept_in_order_with_the_answers_of_the_api_beside_them(folder, table, tmp_path):
    result = predict(folder, [table], out=str(tmp_path / "out.jsonl"))
    rows = read_jsonl(tmp_path / "out.jsonl")
    assert result.rows == len(TEXTS)
    assert [(row["n"], row["text"], row["more"]) for row in rows] == [(n, t, [n]) for n, t in enumerate(TEXTS)]
    for row, answer in zip(rows, lexloom.load(folder).classify(TEXTS), strict=True):
        assert row["predicted_label"] == answer["label"]
        assert row["predicted_probability"] == pytest.approx(answer["probability"], abs=1e-6)
        assert row["predicted_probabilities"] == pytest.approx(answer["probabilities"], abs=1e-6)


def test_new_tables_need_not_be_written_as_those_of_the_training(folder, tmp_path):
    settings = json.loads((folder / "lexloom.json").read_text(encoding="utf-8"))["task"]["settings"]
    assert settings["delimiter"] is None
    trained_otherwise = changed(load_task_model(folder), {"delimiter": [":", " "], "columns": ["a", "b", "text"]})
    assert _for_new_files(trained_otherwise, {}).setting.settings == load_task_model(folder).setting.settings
    assert _for_new_files(trained_otherwise, {"delimiter": ";"}).setting.settings.delimiter == ";"


def test_chunks_do_not_show(folder, table, tmp_path, monkeypatch):
    predict(folder, [table], out=str(tmp_path / "whole.jsonl"))
    monkeypatch.setattr(stage, "ROWS_AT_ONCE", 2)
    predict(folder, [table], out=str(tmp_path / "parts.jsonl"))
    whole, parts = read_jsonl(tmp_path / "whole.jsonl"), read_jsonl(tmp_path / "parts.jsonl")
    assert [row["predicted_label"] for row in whole] == [row["predicted_label"] for row in parts]
    for one, other in zip(whole, parts, strict=True):
        assert one["predicted_probability"] == pytest.approx(other["predicted_probability"], abs=1e-5)


def test_tables_are_read_in_parts(folder, tmp_path, monkeypatch):
    """However long the table, no more rows than a chunk are held."""
    file = tmp_path / "long.csv"
    file.write_text("text\n" + "film\n" * 1000, encoding="utf-8")
    monkeypatch.setattr(stage, "ROWS_AT_ONCE", 50)
    held = []
    before = stage.TaskModel.predict
    monkeypatch.setattr(
        stage.TaskModel, "predict", lambda self, some, **rest: (held.append(len(some)), before(self, some, **rest))[1]
    )
    assert predict(folder, [str(file)], out=str(tmp_path / "out.csv")).rows == 1000
    assert held == [50] * 20


def test_csv_and_tsv_hold_what_json_lines_hold(folder, table, tmp_path):
    for suffix in (".jsonl", ".csv", ".tsv"):
        result = predict(folder, [table], out=str(tmp_path / f"out{suffix}"))
    whole = read_jsonl(tmp_path / "out.jsonl")
    with open(tmp_path / "out.csv", encoding="utf-8", newline="") as file:
        csv.field_size_limit(10**6)
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == TEXTS
    assert [row["predicted_label"] for row in rows] == [row["predicted_label"] for row in whole]
    assert [json.loads(row["predicted_probabilities"]) for row in rows] == [
        row["predicted_probabilities"] for row in whole
    ]
    lines = (tmp_path / "out.tsv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(TEXTS) + 1
    assert {line.count("\t") for line in lines} == {lines[0].count("\t")}
    (tab,) = [row for row in result.ledger if "made a space" in row["outcome"]]
    assert tab["documents"] == 1


def test_columns_named_like_ours_are_not_overwritten(folder, tmp_path):
    rows = [{"text": "a film", "predicted_label": "mine", "predicted_label_2": "too", "label": "good"}]
    predict(folder, [write_jsonl(tmp_path / "in.jsonl", rows)], out=str(tmp_path / "out.jsonl"))
    (found,) = read_jsonl(tmp_path / "out.jsonl")
    assert (found["predicted_label"], found["predicted_label_2"], found["label"]) == ("mine", "too", "good")
    assert found["predicted_label_3"] in ("good", "bad")


def test_other_columns_are_named_by_settings(folder, tmp_path):
    file = write_jsonl(tmp_path / "in.jsonl", [{"words": "a film", "text": 3}])
    predict(folder, [file], out=str(tmp_path / "out.jsonl"), changes={"text": "words"})
    with pytest.raises(RecipeError, match="wrods"):
        predict(folder, [file], changes={"wrods": "text"})
    with pytest.raises(RecipeError, match="does classify, not tag"):
        predict(folder, [file], changes={"name": "tag"})


def test_a_row_that_cannot_be_read_is_found_before_anything_is_written(folder, tmp_path):
    file = tmp_path / "in.csv"
    file.write_text("id,text\n1,a film\n2\n3,a song\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"in\.csv:3.*cells"):
        predict(folder, [str(file)], out=str(tmp_path / "out.csv"))
    assert not (tmp_path / "out.csv").exists()
    result = predict(folder, [str(file)], out=str(tmp_path / "out.csv"), changes={"skip_bad_rows": 1})
    assert result.rows == 2
    assert "in.csv:3" in describe(result)


def test_what_is_cut_is_counted_and_windows_are_offered(folder, table, tmp_path):
    result = predict(folder, [table], out=str(tmp_path / "out.jsonl"))
    assert "1 texts were cut at 64 tokens" in describe(result)
    assert "task.long_texts=windows" in describe(result)
    result = predict(folder, [table], out=str(tmp_path / "out.jsonl"), changes={"long_texts": "windows"})
    assert result.hint is None


def test_rows_of_different_columns_go_to_json_lines_only(folder, tmp_path):
    file = write_jsonl(tmp_path / "in.jsonl", [{"text": "a"}, {"text": "b", "more": 1}])
    assert predict(folder, [file], out=str(tmp_path / "out.jsonl")).rows == 2
    with pytest.raises(DataError, match=r"columns.*\n.*\.jsonl"):
        predict(folder, [file], out=str(tmp_path / "out.csv"))
    assert not (tmp_path / "out.csv").exists()


def test_other_suffixes_and_models_without_a_task_are_refused(folder, table, tmp_path):
    with pytest.raises(UserError, match=r"\.xlsx"):
        predict(folder, [table], out=str(tmp_path / "out.xlsx"))
    with pytest.raises(FolderError, match="no task"):
        predict(write_model(tmp_path / "m", family="bert", kind="wordpiece", head="masked"), [table])


@pytest.mark.parametrize("name", ["regress", "tag", "relation", "span", "similarity", "choice"])
def test_every_task_predicts_new_data(tmp_path, name):
    folder = write_task_model(tmp_path / "model", name)
    rows = {
        "regress": ("in.jsonl", '{"text": "a film"}\n{"text": "好看"}\n'),
        "tag": ("in.txt", "Anna\nlives\n\n李\n白\n"),
        "relation": ("in.csv", "text\n<e1>a</e1> <e2>b</e2>\n<e2>火</e2><e1>灾</e1>\n"),
        "span": (
            "in.json",
            '{"data": [{"paragraphs": [{"context": "Anna lives", "qas": '
            '[{"id": "1", "question": "Who?"}, {"id": "2", "question": "谁?"}]}]}]}',
        ),
        "similarity": ("in.tsv", "sentence1\tsentence2\na\tb\n好\t好看\n"),
        "choice": ("in.jsonl", '{"text": "a", "choices": ["b", "c"]}\n{"text": "天", "choices": ["x", "y"]}\n'),
    }
    file, content = rows[name]
    (tmp_path / file).write_text(content, encoding="utf-8")
    assert predict(folder, [str(tmp_path / file)], out=str(tmp_path / "out.jsonl")).rows == 2
    for row in read_jsonl(tmp_path / "out.jsonl"):
        assert any(key.startswith("predicted_") for key in row)


def run(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["lexloom", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, capsys.readouterr()


def test_standard_input_goes_to_standard_output(folder, tmp_path, monkeypatch, capsys):
    file = write_jsonl(tmp_path / "in", [{"text": "a film"}, {"text": "好看"}])
    with open(file, encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        code, shown = run(monkeypatch, capsys, "predict", str(folder), "-", "task.suffix=.jsonl")
    assert code == 0
    rows = [json.loads(line) for line in shown.out.splitlines()]
    assert [row["text"] for row in rows] == ["a film", "好看"]
    assert "2 rows written" in shown.err


def test_the_command_line_tells_what_it_did_as_json(folder, table, tmp_path, monkeypatch, capsys):
    code, shown = run(monkeypatch, capsys, "predict", str(folder), table, "--out", str(tmp_path / "o.csv"), "--json")
    assert code == 0
    assert json.loads(shown.out)["rows"] == len(TEXTS)
    code, shown = run(monkeypatch, capsys, "predict", str(folder), table, "task.txet=a", "--json")
    assert code == 2
    assert "did you mean 'text'" in json.loads(shown.out)["error"]["what"]
