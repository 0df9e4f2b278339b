"""`evaluate` asks decoders to do a task, alone or beside fine-tuned models, and says exactly how it asked."""

import json
import math
import sys
from pathlib import Path

import pytest

from lexloom.base.errors import DataError, RecipeError, UserError
from lexloom.cli import main
from lexloom.generate.reply import continue_texts, load_speaker
from lexloom.generate.settings import SamplingSettings
from lexloom.generate.text import collect
from lexloom.stages.evaluating import describe, evaluate
from tests.folders import write_model
from tests.task_folders import write_task_model
from tests.understanding import BAD, GOOD

CHOICES = [
    {"query": f"To be, or not {number}", "choices": ["to be", "not to be: that"], "gold": number % 2}
    for number in range(20)
]


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    return str(write_model(tmp_path_factory.mktemp("few-shot") / "decoder", context=256))


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    return str(write_task_model(tmp_path_factory.mktemp("few-shot") / "tuned", "classify"))


def written(path: Path, rows) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def choices(tmp_path):
    return written(tmp_path / "choices.jsonl", CHOICES)


def sentiment(numbers):
    return [
        {"text": f"{text} {number}", "label": label}
        for number in numbers
        for label, texts in (("good", GOOD), ("bad", BAD))
        for text in texts
    ]


def test_every_number_of_shots_is_a_column_and_predictions_are_saved(decoder, choices, tmp_path):
    examples = written(tmp_path / "examples.jsonl", [{**row, "query": f"other {row['query']}"} for row in CHOICES])
    results = evaluate(
        [decoder], [choices], changes={"name": "choice"}, shots=[0, 2], examples=[examples], out=tmp_path / "out"
    )
    assert [model["folder"] for model in results["models"]] == [f"{decoder}, 0 shots", f"{decoder}, 2 shots"]
    assert results["comparisons"][0]["first"] == f"{decoder}, 0 shots"
    assert json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8")) == json.loads(
        json.dumps(results)
    )
    again = evaluate(
        [],
        [choices],
        predictions=[str(tmp_path / "out" / model["predictions"]) for model in results["models"]],
        changes={"name": "choice"},
    )
    for model, saved in zip(results["models"], again["models"], strict=True):
        assert model["figures"]["accuracy"] == saved["figures"]["accuracy"]
    first = results["prompt"]["first"]
    assert first.count("Answer:") == 3
    assert first.endswith("\n\nTo be, or not 0\nAnswer: ")
    shown = describe(results)
    for part in ("accuracy, per byte", "accuracy, over unconditional", "2 shots", "    To be, or not 0", "20 examples"):
        assert part in shown


def test_the_score_that_decides_is_the_one_that_was_named(decoder, choices):
    by = {
        score: evaluate([decoder], [choices], changes={"name": "choice"}, prompt={"score": score})["models"][0][
            "figures"
        ]
        for score in ("total", "byte")
    }
    assert by["byte"]["accuracy"]["value"] == by["total"]["accuracy, per byte"]["value"]
    assert by["total"]["accuracy"]["value"] == by["byte"]["accuracy, whole answers"]["value"]


def test_an_untrained_and_a_fine_tuned_model_stand_in_one_table(decoder, tuned, tmp_path):
    data, examples = (
        written(tmp_path / "t.jsonl", sentiment(range(3))),
        written(tmp_path / "e.jsonl", sentiment(range(2, 6))),
    )
    results = evaluate([tuned, decoder], [data], shots=[1], examples=[examples])
    assert [model["folder"] for model in results["models"]] == [tuned, f"{decoder}, 1 shot"]
    assert results["comparisons"][0]["second"] == f"{decoder}, 1 shot"
    assert results["models"][1]["calibration"] is not None
    assert results["prompt"]["examples"] == 3 * 8
    assert next(row for row in results["ledger"] if "also in the test" in row["outcome"])["documents"] == 8
    assert "–" in describe(results)


def test_labels_are_read_as_the_words_given(decoder, tmp_path):
    data = written(tmp_path / "t.jsonl", sentiment(range(1)))
    examples = written(tmp_path / "e.jsonl", [row for row in sentiment(range(1, 2)) if row["label"] == "good"])
    prompt = {"words": {"good": "positive"}, "template": "{answer}: {text}"}
    asked = {"changes": {"name": "classify"}, "shots": [1], "examples": [examples]}
    assert evaluate([decoder], [data], **asked, prompt=prompt)["prompt"]["first"].startswith("positive: ")
    for words, said in (({"fine": "x"}, "no label of the data"), ({"good": "bad"}, "two labels")):
        with pytest.raises(RecipeError, match=said):
            evaluate([decoder], [data], changes={"name": "classify"}, prompt={"words": words})


def test_beginnings_are_compared_by_what_follows_them(decoder, tmp_path):
    row = {"context_options": ["To be", "Not to be"], "continuation": "that is the question", "gold": 1}
    results = evaluate([decoder], [written(tmp_path / "w.jsonl", [row])], changes={"name": "choice"})
    assert results["prompt"]["template"] == "{answer} {text}"
    assert results["prompt"]["first"] == "To be"


def test_the_nearest_examples_are_those_of_an_encoder(decoder, choices, tmp_path):
    encoder = write_task_model(tmp_path / "encoder", "similarity")
    examples = written(
        tmp_path / "e.jsonl",
        [{**row, "query": row["query"] + " now"} for row in CHOICES] + [{**CHOICES[0], "query": "春眠不觉晓"}] * 1,
    )
    results = evaluate(
        [decoder],
        [choices],
        changes={"name": "choice"},
        shots=[1],
        examples=[examples],
        prompt={"nearest": str(encoder)},
    )
    assert "春" not in results["prompt"]["first"]
    assert results["prompt"]["first"].startswith("To be, or not ")


def test_what_is_left_out_of_prompts_is_said(choices, tmp_path):
    narrow = write_model(tmp_path / "narrow", context=40)
    examples = written(tmp_path / "e.jsonl", [{**row, "query": f"other {row['query']}"} for row in CHOICES])
    (model,) = evaluate([str(narrow)], [choices], changes={"name": "choice"}, shots=[4], examples=[examples])["models"]
    assert any("example left out, the context is full" in note for note in model["notes"])


def test_a_cloze_is_right_where_greedy_decoding_says_the_target(decoder, tmp_path):
    rows = [
        {"context": text, "word": word} for text in ("To be, or not", "春眠不觉晓，") for word in ("to", "处处", "0")
    ]
    data = written(tmp_path / "cloze.jsonl", [*rows, {"context": "no target", "word": None}])
    columns = {"name": "text2text", "source": "context", "target": "word"}
    results = evaluate([decoder], [data], changes=columns, prompt={"cloze": True}, out=tmp_path / "out")
    (model,) = results["models"]
    lines = (tmp_path / "out" / model["predictions"]).read_text(encoding="utf-8").splitlines()
    said = [json.loads(line) for line in lines]
    assert len(said) == len(rows)
    assert [one["predicted_foretold"] for one in said] == [one["predicted_text"] == one["word"] for one in said]
    assert list(model["figures"]) == ["exact text", "perplexity"]
    nats = [-one["predicted_score"] for one in said]
    assert model["figures"]["perplexity"]["value"] == pytest.approx(math.exp(sum(nats) / len(nats)))
    assert next(row for row in results["ledger"] if "not asked" in row["outcome"])["documents"] == 1


def test_written_answers_are_the_greedy_line_after_the_prompt(decoder, tmp_path):
    rows = [{"source": text, "target": "be"} for text in ("To be", "or not", "春眠")]
    data = written(tmp_path / "qa.jsonl", rows)
    results = evaluate(
        [decoder],
        [data],
        changes={"name": "text2text"},
        prompt={"max_tokens": 5, "template": "{text} = {answer}"},
        out=tmp_path / "out",
    )
    settings = SamplingSettings(temperature=0, max_tokens=5, stop=("\n",))
    prompts = [f"{row['source']} =" for row in rows]
    alone = collect(continue_texts(load_speaker(Path(decoder)), prompts, settings), len(rows))
    lines = (tmp_path / "out" / "predictions-1.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["predicted_text"] for line in lines] == [reply.text.strip() for reply in alone]
    assert next(iter(results["models"][0]["figures"])) == "exact text"


def test_models_that_write_are_judged_alike_trained_or_not(decoder, tmp_path):
    tuned = write_task_model(tmp_path / "tuned", "text2text")
    data = written(tmp_path / "qa.jsonl", [{"source": text, "target": "be"} for text in ("To be", "or not", "春眠")])
    results = evaluate([str(tuned), decoder], [data], prompt={"max_tokens": 5})
    assert [next(iter(model["figures"])) for model in results["models"]] == ["exact text", "exact text"]
    assert results["comparisons"][0]["metric"] == "exact text"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"query": "q", "choices": [], "gold": 0}, "has 0 candidates"),
        ({"query": "q", "choices": ["one"], "gold": 0}, "has 1 candidates"),
        ({"query": "q", "choices": ["one", " "], "gold": 0}, "an answer is empty"),
        ({"query": "q", "choices": ["one", "two"], "gold": 2}, "is none of the 2 candidates"),
        ({"query": "q", "choices": ["one", "0123456789 " * 99], "gold": 0}, "more than the model's context"),
    ],
)
def test_hostile_rows_are_named_with_their_place(decoder, tmp_path, row, said):
    data = written(tmp_path / "bad.jsonl", [row])
    with pytest.raises(DataError, match=said) as caught:
        evaluate([decoder], [data], changes={"name": "choice"})
    assert "bad.jsonl:1" in str(caught.value.where)


def test_questions_that_make_no_sense_are_refused(decoder, tuned, choices):
    choice = {"changes": {"name": "choice"}}
    for more, said in (
        ({**choice, "shots": [2]}, "none are named"),
        ({**choice, "examples": [choices]}, "nothing says how many"),
        ({**choice, "shots": [1], "examples": [choices]}, "only 0 to choose from"),
        ({**choice, "shots": [-1], "examples": [choices]}, "can't be shown"),
        ({**choice, "prompt": {"template": "no place"}}, "no single"),
        ({**choice, "prompt": {"tmplate": "x"}}, "did you mean 'template'"),
        ({"shots": [1]}, "Set task.name"),
        ({"changes": {"name": "classify", "several": True, "text": "query", "label": "choices"}}, "several labels"),
        ({"changes": {"name": "chioce"}}, "did you mean 'choice'"),
    ):
        with pytest.raises(UserError, match=said):
            evaluate([decoder], [choices], **more)
    with pytest.raises(UserError, match=r"unknown value 'regress'|is for models that were fine-tuned"):
        evaluate([decoder], [choices], changes={"name": "regress"})


def test_the_command_takes_shots_examples_and_prompts(decoder, choices, capsys, monkeypatch):
    words = [
        "evaluate",
        decoder,
        "--data",
        choices,
        "--shots",
        "0",
        "task.name=choice",
        "prompt.template={query} {answer}",
        "--json",
    ]
    monkeypatch.setattr(sys, "argv", ["lexloom", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)["prompt"]["template"] == "{query} {answer}"
