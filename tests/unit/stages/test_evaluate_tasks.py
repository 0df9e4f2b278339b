"""`evaluate` judges fine-tuned models by labelled examples, and saved predictions without any model."""

import json
import sys
from pathlib import Path

import pytest
from sacrebleu import corpus_bleu

from lexloom.base.errors import DataError, FolderError, RecipeError, UserError
from lexloom.cli import main
from lexloom.stages.evaluating import describe, evaluate
from lexloom.stages.predict import predict
from tests.folders import write_model
from tests.task_folders import write_task_model
from tests.understanding import BAD, GOOD

ROWS = [(text, "good") for text in GOOD * 4] + [(text, "bad") for text in BAD * 4]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("evaluate")
    return [str(write_task_model(root / name, "classify", seed=seed)) for name, seed in (("one", 0), ("two", 1))]


@pytest.fixture
def data(tmp_path):
    lines = [f"{text.replace(',', '，')} {number},{label}" for number, (text, label) in enumerate(ROWS)]
    (tmp_path / "test.csv").write_text("\n".join(["text,label", *lines, "no label,"]) + "\n", encoding="utf-8")
    return str(tmp_path / "test.csv")


def test_two_models_are_compared_on_the_same_examples(folders, data, tmp_path):
    results = evaluate(folders, [data], out=tmp_path / "out")
    assert json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8")) == json.loads(
        json.dumps(results)
    )
    first, second = results["models"]
    assert (first["examples"], first["unlabelled"]) == (32, 1)
    (comparison,) = results["comparisons"]
    apart = second["figures"]["accuracy"]["value"] - first["figures"]["accuracy"]["value"]
    assert comparison["value"] == pytest.approx(apart)
    assert comparison["low"] <= comparison["value"] <= comparison["high"]
    assert first["wrong"] == sum(
        count for row, counts in enumerate(first["confusion"]["counts"]) for column, count in enumerate(counts)
        if row != column
    )  # fmt: skip
    shown = describe(results)
    for part in ("accuracy", "confuses", "script", "32 examples with a label, 1 without", comparison["verdict"]):
        assert part in shown
    assert f"{100 * first['figures']['accuracy']['value']:.2f} (" in shown


def test_a_model_does_not_differ_from_itself(folders, data):
    (comparison,) = evaluate([folders[0], folders[0]], [data])["comparisons"]
    assert (comparison["value"], comparison["real"]) == (0.0, False)
    assert "can't be told apart" in comparison["verdict"]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv"])
def test_saved_predictions_are_judged_as_the_model_is(folders, data, tmp_path, suffix):
    saved = [str(tmp_path / f"{number}{suffix}") for number in range(2)]
    for folder, out in zip(folders, saved, strict=True):
        predict(Path(folder), [data], out=out)
    with_models = evaluate(folders, [data])
    without = evaluate([], [data], predictions=saved, changes={"name": "classify"})
    for one, other in zip(with_models["models"], without["models"], strict=True):
        for part in ("figures", "confusion", "wrong", "calibration"):
            assert _rounded(one[part]) == _rounded(other[part])
    assert [each["value"] for each in without["comparisons"]] == [each["value"] for each in with_models["comparisons"]]


def test_predictions_of_others_need_only_the_field_of_the_task(data, tmp_path):
    file = tmp_path / "theirs.jsonl"
    labels = [label for _, label in ROWS] + ["good"]
    file.write_text("".join(json.dumps({"label": label}) + "\n" for label in labels), encoding="utf-8")
    (model,) = evaluate([], [data], predictions=[str(file)], changes={"name": "classify"})["models"]
    assert model["figures"]["accuracy"]["value"] == 1
    assert describe(evaluate([], [data], predictions=[str(file)], changes={"name": "classify"}))


@pytest.mark.parametrize(
    ("lines", "message"),
    [(['{"label": "good"}'], "holds 1 predictions for 33"), (['{"lable": "good"}'] * 33, "only the fields lable")],
)
def test_predictions_that_do_not_fit_are_refused(data, tmp_path, lines, message):
    file = tmp_path / "theirs.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=message):
        evaluate([], [data], predictions=[str(file)], changes={"name": "classify"})


@pytest.mark.parametrize("file", ["theirs.txt", "theirs.de", "theirs.jsonl", "theirs.csv"])
def test_texts_that_were_saved_are_judged_line_by_line_with_the_signature_of_their_figures(tmp_path, file):
    english, german, written = (
        ["one man", "two men", "a dog"],
        ["ein Mann", "zwei Männer", "ein Hund"],
        ["ein Mann"] * 2,
    )
    for name, texts in (("test.en", english), ("test.de", german)):
        (tmp_path / name).write_text("\n".join(texts) + "\n", encoding="utf-8")
    lines = {
        ".jsonl": [json.dumps({"text": text}) for text in [*written, ""]],
        ".csv": ["predicted_text,predicted_score", *(f"{text},-1" for text in [*written, ""])],
    }
    saved = tmp_path / file
    saved.write_text("\n".join(lines.get(saved.suffix, [*written, ""])) + "\n", encoding="utf-8")
    changes = {"name": "text2text", "source": "en", "target": "de"}
    results = evaluate([], [str(tmp_path / "test.{}")], predictions=[str(saved)], changes=changes)
    (model,) = results["models"]
    assert model["figures"]["BLEU"]["value"] == pytest.approx(corpus_bleu([*written, ""], [german]).score / 100)
    assert (model["examples"], model["wrong"]) == (3, 0)
    assert "\nBLEU: nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:" in describe(results)


def test_summaries_are_judged_beside_the_first_sentence(tmp_path):
    rows = [
        {"source": f"Meeting {day} at noon. Please bring the papers.", "target": f"Meeting {day}"} for day in range(9)
    ]
    (tmp_path / "test.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (tmp_path / "said.txt").write_text("\n".join(row["target"] for row in rows), encoding="utf-8")
    results = evaluate(
        [], [str(tmp_path / "test.jsonl")],
        predictions=[str(tmp_path / "said.txt")], changes={"name": "text2text", "preset": "summarise"},
    )  # fmt: skip
    said, lead = results["models"]
    assert lead["folder"] == "the first sentence"
    # Two of its four words are in the subject
    assert lead["figures"]["ROUGE-1"]["value"] == pytest.approx(2 / 3)
    assert said["figures"]["ROUGE-1"]["value"] == 1.0
    (comparison,) = results["comparisons"]
    assert comparison["value"] == pytest.approx(-1 / 3)
    assert comparison["real"]


def test_as_many_saved_texts_are_asked_for_as_there_are_examples(tmp_path):
    (tmp_path / "pairs.tsv").write_text("source\ttarget\na b\tc\n", encoding="utf-8")
    (tmp_path / "theirs.txt").write_text("c\n\n", encoding="utf-8")
    with pytest.raises(DataError, match="holds 2 predictions for 1"):
        evaluate(
            [], [str(tmp_path / "pairs.tsv")], predictions=[str(tmp_path / "theirs.txt")], changes={"name": "text2text"}
        )


@pytest.mark.parametrize("name", ["regress", "tag", "relation", "span", "similarity", "choice"])
def test_every_task_is_judged_and_told(tmp_path, name):
    folder = str(write_task_model(tmp_path / "model", name))
    files = {
        "regress": ("in.csv", "text,label\na film,1.5\n好看,2\na book,3\n"),
        "tag": ("in.txt", "Anna B-PER\nlives O\n\n李 B-PER\n白 I-PER\n"),
        "relation": ("in.csv", "text,label\n<e1>a</e1> <e2>b</e2>,Other\n<e2>火</e2><e1>灾</e1>,Unseen\n"),
        "span": (
            "in.json",
            '{"data": [{"paragraphs": [{"context": "Anna lives", "qas": [{"id": "1", "question": "Who?", '
            '"answers": [{"text": "Anna", "answer_start": 0}]}, {"id": "2", "question": "谁?", "answers": [], '
            '"is_impossible": true}]}]}]}',
        ),
        "similarity": ("in.tsv", "sentence1\tsentence2\tscore\na\tb\t1\n好\t好看\t2\nfilm\tfilm\t5\n"),
        "choice": ("in.jsonl", '{"text": "a", "choices": ["b", "c"], "label": 0}\n'),
    }
    file, content = files[name]
    (tmp_path / file).write_text(content, encoding="utf-8")
    results = evaluate([folder, folder], [str(tmp_path / file)])
    assert results["task"] == name
    assert results["models"][0]["main"] in describe(results)


def test_data_without_labels_is_refused(folders, tmp_path):
    (tmp_path / "new.csv").write_text("text\na film\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"no example has a label(.|\n)*task\.label"):
        evaluate(folders, [str(tmp_path / "new.csv")])
    (tmp_path / "empty.csv").write_text("text,label\n", encoding="utf-8")
    with pytest.raises(DataError, match="no examples"):
        evaluate(folders, [str(tmp_path / "empty.csv")])


def test_models_of_different_kinds_are_not_compared(folders, data, tmp_path):
    tagger = str(write_task_model(tmp_path / "tag", "tag"))
    masked = str(write_model(tmp_path / "masked", family="bert", kind="wordpiece", head="masked"))
    writer = str(write_model(tmp_path / "writer"))
    with pytest.raises(UserError, match=r"does tag, but .* does classify"):
        evaluate([folders[0], tagger], [data])
    with pytest.raises(UserError, match=r"finds what is hidden, but .* does a task"):
        evaluate([folders[0], masked], [data])
    with pytest.raises(UserError, match=r"task\.text is for models that were fine-tuned"):
        evaluate([writer], [data], changes={"text": "x"})
    with pytest.raises(FolderError, match="prepared folder"):
        evaluate([masked], [data])


def test_what_is_missing_is_named(folders, data):
    with pytest.raises(UserError, match="--data"):
        evaluate(folders, [])
    with pytest.raises(UserError, match="--predictions"):
        evaluate([], [data])
    with pytest.raises(UserError, match="one go"):
        evaluate(folders, [data], predictions=["x"])
    with pytest.raises(RecipeError, match=r"task\.name"):
        evaluate([], [data], predictions=["x"])


def test_the_command_line_takes_models_and_settings(folders, data, tmp_path, monkeypatch, capsys):
    words = ["evaluate", *folders, "--data", data, "task.label=label", "--out", str(tmp_path / "out"), "--json"]
    monkeypatch.setattr(sys, "argv", ["lexloom", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert len(json.loads(capsys.readouterr().out)["models"]) == 2
    assert (tmp_path / "out" / "results.json").is_file()


def _rounded(value):
    return json.loads(json.dumps(value), parse_float=lambda text: round(float(text), 4))
