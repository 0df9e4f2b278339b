"""The page of a fine-tuning run: what the files say, for every form of answer, and nothing that isn't there."""

import json

import numpy as np
import pytest

from lexloom.evaluate.calibration import calibration
from lexloom.evaluate.confusion import confusion
from lexloom.report.answers import answers_of
from lexloom.report.page import render_report
from lexloom.report.read import read_run
from lexloom.report.task_sections import labels_table, shown, task_sections
from tests.unit.report.test_page import HOSTILE, Page, step_line

TEXTS = ["short", "a text of middling length", "这是一段中文文本，比较长一些，用来测试", "a much longer text " * 9]


def line(number, reference, **prediction):
    return {
        "where": f"/data/x.csv:{number + 2}",
        "texts": [TEXTS[number % 4]],
        "reference": reference,
        "prediction": prediction,
    }


def classified(number, reference, given, share):
    other = {"good": "bad", "bad": "good"}[given]
    return line(number, reference, label=given, probability=share, probabilities={given: share, other: 1 - share})


TAGS = ["B-PER", "I-PER", "O", "B-LOC"]
LINES = {
    "classify": [
        classified(n, "good" if n % 3 else "bad", "good" if n % 4 else "bad", 0.6 + n / 200) for n in range(60)
    ],
    "regress": [line(n, float(n), score=float(n % 7)) for n in range(60)],
    "tag": [line(n, TAGS, entities=[], tags=TAGS if n % 2 else [*TAGS[:3], "O"]) for n in range(20)],
    "relation": [classified(n, "good", "good" if n % 4 else "bad", 0.7) for n in range(40)],
    "span": [line(n, ["the Answer"], answer="answer" if n % 2 else "wrong", probability=0.5) for n in range(20)],
    "similarity": [line(n, n / 10, score=np.cos(n)) for n in range(30)],
    "choice": [line(n, n % 2, choice=n % 3 % 2, text="blue", probability=0.5) for n in range(20)],
    "text2text": [line(n, [f"ein Mann {n}"], text=f"ein Mann {n % 7}", score=-0.5) for n in range(40)],
    "several": [line(n, ["a", "b"], labels=["a"] if n % 2 else ["b", "a"]) for n in range(20)],
}


def figure(value, **changes):
    return {"value": value, "low": value - 0.01, "high": value + 0.01, "percent": True} | changes


def looked_into(lines):
    """The further fields of a split's results, as evaluate/tasks.py writes them for labels."""
    found, wanted = [row["prediction"]["label"] for row in lines], [row["reference"] for row in lines]
    shares = np.array([[row["prediction"]["probabilities"][label] for label in ("bad", "good")] for row in lines])
    wrong = [row for row in lines if row["prediction"]["label"] != row["reference"]]
    part = {"name": "5 to 40 characters", "examples": 30, "figure": {"value": 0.5, "low": 0.4, "high": 0.6}}
    return {
        "confusion": confusion(found, wanted).to_json(),
        "calibration": calibration(shares, np.array([label == "good" for label in wanted], np.int64)).to_json(),
        "slices": {"length": [part, part | {"name": "tiny", "examples": 2}]},
        "wrong": len(wrong),
        "mistakes": [
            {"where": row["where"], "text": row["texts"][0], "reference": row["reference"],
             "prediction": row["prediction"]["label"], "confidence": row["prediction"]["probability"]}
            for row in wrong
        ],
    }  # fmt: skip


@pytest.fixture
def make_run(tmp_path):
    def make(task="classify", lines=None, **results):
        steps = [step_line(step) for step in range(1, 40)]
        validations = [
            {"kind": "validation", "step": s, "loss": 1 / s, "accuracy": 0.5 + s / 100} for s in (10, 20, 39)
        ]
        (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*steps, *validations]))
        lines = LINES[task] if lines is None else lines
        (tmp_path / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
        splits = {
            "validation": {"examples": 50, "main": "accuracy", "figures": {"accuracy": figure(0.89)}},
            "test": {
                "examples": 60,
                "main": "accuracy",
                "figures": {"accuracy": figure(0.91), "macro F1": figure(0.9)},
            },
        }
        if "label" in lines[0]["prediction"] and lines[0]["reference"] in ("good", "bad"):
            splits["test"] |= looked_into(lines)
        (tmp_path / "results.json").write_text(json.dumps({"task": task, "splits": splits, **results}))
        (tmp_path / "recipe.toml").write_text('[task]\nname = "classify"\n[model]\nfolder = "/somewhere/minilm"\n')
        return tmp_path

    return make


@pytest.mark.parametrize("task", LINES)
def test_every_form_of_answer_has_a_whole_page_in_two_languages(make_run, task):
    page = Page(html := render_report(read_run(make_run(task))))
    assert page.fetched == []
    assert len(page.ids) == len(set(page.ids))
    assert html.count('class="t" lang="en"') == html.count('class="t" lang="zh-Hans"')
    for words in ("91.00", "90.00–92.00", "test", "测试集", "minilm"):
        assert words in page.text


def test_how_a_figure_was_computed_stands_below_its_name(make_run):
    splits = {
        "test": {"examples": 2, "main": "BLEU", "figures": {"BLEU": figure(0.4, detail="nrefs:1|tok:13a")}},
    }
    page = render_report(read_run(make_run("span", splits=splits)))
    assert "BLEU<small>nrefs:1|tok:13a</small>" in page
    assert "<small></small>" not in page


def test_a_page_about_an_encoder_says_nothing_of_writing(make_run):
    text = Page(render_report(read_run(make_run()))).text
    for word in ("perplexity", "wrote", "the prompt", "nats per token", "bits per byte"):
        assert word not in text


def test_pre_training_an_encoder_counts_hidden_tokens_and_shows_what_was_filled(tmp_path):
    lines = [
        step_line(1),
        step_line(2),
        {"kind": "sample", "step": 2, "prompt": "床前[MASK]月光", "text": "床前明月光"},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    (tmp_path / "recipe.toml").write_text('objective = "masked"\n[model]\nfamily = "bert"\n')
    measure = {"masked_accuracy": {"value": 0.41, "low": 0.4, "high": 0.42}, "sequences": 12, "resampled": "sequences"}
    (tmp_path / "results.json").write_text(json.dumps({"models": [measure]}))
    text = Page(render_report(read_run(tmp_path))).text
    for words in ("nats per masked token", "accuracy at masked tokens", "0.410", "in the place of hidden tokens"):
        assert words in text
    assert "wrote" not in text


def test_labels_are_counted_as_the_field_counts_them(make_run):
    rows = {row["name"]: row for row in labels_table(answers_of(read_run(make_run("tag"))))["rows"]}
    assert rows["LOC"]["wanted"] == "20"
    assert rows["LOC"]["scores"] == ["100.0", "50.0", "66.7"]
    assert rows["PER"]["scores"] == ["100.0", "100.0", "100.0"]


def test_confusion_has_a_row_for_every_true_label(make_run):
    table = task_sections(read_run(make_run()))["confusion"]
    assert table["labels"] == ["bad", "good"]
    counts = [[cell["count"] for cell in row["cells"]] for row in table["rows"]]
    assert counts == [["5", "15"], ["10", "30"]]
    assert table["worst"][0] == ("bad", "good", "15", "75.0%")


def test_errors_calibration_and_slices_are_those_of_the_results(make_run):
    sections = task_sections(read_run(make_run()))
    errors, calibrated, slices = sections["errors"], sections["calibration"], sections["slices"]
    assert (errors["total"], errors["of"], len(errors["rows"])) == ("25", "60", 20)
    assert all(row["reference"] != row["prediction"] for row in errors["rows"])
    assert sum(int(examples) for _, examples, _, _ in calibrated["rows"]) == 60
    assert calibrated["picture"].startswith("<svg")
    (group,) = slices["groups"]
    assert group["rows"] == [("5 to 40 characters", "30", {"value": "50.00", "interval": "40.00–60.00", "detail": ""})]


def test_of_texts_some_are_shown_that_nobody_has_chosen(make_run):
    sections = task_sections(read_run(make_run("text2text")))
    rows = sections["written"]["rows"]
    assert [row["where"] for row in rows] == [f"x.csv:{number * 40 // 12 + 2}" for number in range(12)]
    assert (rows[3]["reference"], rows[3]["written"]) == ("ein Mann 10", "ein Mann 3")
    assert (sections["scatter"], sections["ranks"], sections["labels"]) == (None, [], None)
    assert task_sections(read_run(make_run("choice")))["written"] is None


def test_of_numbers_those_furthest_off_in_rank_are_told(make_run):
    rows = task_sections(read_run(make_run("regress")))["ranks"]
    assert rows[0]["where"] == "x.csv:58"
    assert (rows[0]["reference"], rows[0]["prediction"]) == ("56", "0")


@pytest.mark.parametrize(
    ("answer", "words"),
    [(["O", "B-LOC", "I-LOC"], "LOC 2–3"), (["O"], "—"), ([], "—"), (["a", "b"], "a / b"), ("", "—"), (0.25, "0.25")],
)
def test_answers_are_told_in_a_few_words(answer, words):
    assert shown(answer) == words


def test_several_seeds_are_shown_with_their_spread_and_the_one_that_was_chosen(make_run):
    rows = [(f"seed-{n}", 0.9 + n / 100) for n in range(3)]
    runs = [
        {"run": name, "splits": {"test": {"main": "accuracy", "figures": {"accuracy": figure(v)}}}} for name, v in rows
    ]
    spread = {"mean": 0.91, "deviation": 0.01, "least": 0.9, "greatest": 0.92, "percent": True}
    run = make_run(runs=runs, spread={"test": {"accuracy": spread}}, chosen="seed-2")
    text = Page(render_report(read_run(run))).text
    for words in ("91.00 ± 1.00", "seed-0", "seed-2", "the model of this run"):
        assert words in text


def test_without_texts_labels_or_predictions_the_page_is_whole(make_run):
    bare = [{key: value for key, value in row.items() if key != "texts"} for row in LINES["regress"]]
    Page(render_report(read_run(make_run("regress", lines=bare))))
    unlabelled = [row | {"reference": None} for row in LINES["classify"]]
    run = read_run(make_run(lines=unlabelled))
    assert task_sections(run)["errors"] is None
    Page(render_report(run))
    (make_run(splits={}) / "predictions.jsonl").unlink()
    Page(render_report(read_run(run.folder)))


def test_hostile_texts_and_labels_are_shown_as_text(make_run):
    share = {"label": HOSTILE, "probability": 0.9, "probabilities": {HOSTILE: 0.9, "x": 0.1}}
    rows = [{"where": HOSTILE, "texts": [HOSTILE], "reference": "x", "prediction": share} for _ in range(12)]
    wrong = {"where": "x:1", "text": HOSTILE, "reference": "x", "prediction": HOSTILE, "confidence": None}
    split = {"examples": 12, "main": HOSTILE, "figures": {HOSTILE: figure(0.1)}, "wrong": 12, "mistakes": [wrong] * 12}
    split["confusion"] = confusion([HOSTILE] * 3, ["x", HOSTILE, "y"]).to_json()
    page = Page(render_report(read_run(make_run(lines=rows, splits={"test": split}))))
    assert not {"script", "img"} & set(page.tags)
    assert page.text.count(HOSTILE) > 12
