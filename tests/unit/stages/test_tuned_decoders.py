"""Decoders are tuned, judged, compared and asked by the same commands as all models, and still write plain text."""

import json
from pathlib import Path

import pytest

from lexloom import load
from lexloom.base import files
from lexloom.base.errors import FolderError, RecipeError, UserError
from lexloom.stages.evaluating import describe, evaluate
from lexloom.stages.finetune import finetune
from lexloom.stages.predict import predict
from lexloom.text.chat import CHAT_FORMATS, Message, chat_format_of
from lexloom.text.tokenizers import load_tokenizer
from lexloom.train.diary import CLOCK_FIELDS
from tests.chatting import THINGS, place_of, recipe_of, write_speaker
from tests.folders import write_model

TASKS = ("chat", "preference")
LORA = {"rank": 4, "alpha": 8.0}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return place_of(tmp_path_factory.mktemp("place"))


@pytest.fixture(scope="module")
def tuned(place, tmp_path_factory):
    """A run of each task, long enough to learn."""
    runs = {name: tmp_path_factory.mktemp("runs") / name for name in TASKS}
    for name, run in runs.items():
        finetune(recipe_of(place, task={"name": name}, epochs=12, lora=LORA, lr=1e-2), run)
    return runs


def timeless(run):
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{name: value for name, value in line.items() if name not in CLOCK_FIELDS} for line in found]


def judged(models, data, **options):
    return evaluate([str(model) for model in models], [str(data)], **options)


@pytest.mark.parametrize("name", TASKS)
def test_an_interrupted_run_with_low_rank_products_ends_in_the_same_bytes(place, tmp_path, name):
    recipe = recipe_of(place, task={"name": name}, epochs=3, patience=3, lora=LORA)
    for run in ("whole", "cut"):
        finetune(recipe, tmp_path / run)
    files.discard(tmp_path / "cut" / "model")
    files.discard(tmp_path / "cut" / "checkpoints" / "step-00000009")
    finetune(recipe, tmp_path / "cut")
    assert timeless(tmp_path / "whole") == timeless(tmp_path / "cut")
    for file in ("results.json", "predictions.jsonl", "model/model.safetensors"):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "cut" / file).read_bytes()


def test_a_paired_test_says_that_tuning_helped(place, tuned):
    results = judged([place["model"]["folder"], tuned["chat"] / "model"], place["data"]["test"])
    (comparison,) = results["comparisons"]
    assert results["task"] == "chat"
    assert comparison["metric"] == "bits per byte of answers"
    assert comparison["real"]
    assert comparison["value"] < 0
    assert f"{tuned['chat'] / 'model'} is better than {place['model']['folder']}" in describe(results)


@pytest.mark.parametrize("name", TASKS)
def test_the_figures_of_a_run_are_those_of_its_folder(place, tuned, name):
    of_run = files.read_json(tuned[name] / "results.json")["splits"]["test"]["figures"]
    base, folder = judged([place["model"]["folder"], tuned[name] / "model"], place["data"]["test"])["models"]
    before, after = base["figures"], folder["figures"]
    for metric, figure in of_run.items():
        # In the run rewards are relative to the model before; between folders the difference is
        less = before[metric]["value"] if metric == "reward margin" else 0.0
        if metric != "preference accuracy":
            assert after[metric]["value"] - less == pytest.approx(figure["value"], rel=1e-4, abs=1e-5)


def test_preferences_are_learned(tuned):
    figures = files.read_json(tuned["preference"] / "results.json")["splits"]["test"]["figures"]
    assert figures["preference accuracy"]["value"] > 0.7
    assert figures["reward margin"]["value"] > 0.1


def test_a_tuned_decoder_is_still_judged_by_plain_text(place, tuned, tmp_path):
    (tmp_path / "plain.txt").write_text("The sky is blue.\n雪是白的。\n" * 20, encoding="utf-8")
    (tmp_path / "plain.jsonl").write_text('{"text": "The sky is blue."}\n' * 20, encoding="utf-8")
    for file in ("plain.txt", "plain.jsonl"):
        models = judged([place["model"]["folder"], tuned["chat"] / "model"], tmp_path / file)["models"]
        assert all(model["bits_per_byte"]["value"] > 0 for model in models)


def test_a_decoder_that_was_never_tuned_is_judged_where_the_task_is_named(place):
    results = judged([place["model"]["folder"]], place["data"]["test"], changes={"name": "chat"})
    assert set(results["models"][0]["figures"]) == {"bits per byte of answers", "nats per token"}
    written = judged([place["model"]["folder"]], place["data"]["test"], changes={"name": "chat", "answers": "written"})
    assert next(iter(written["models"][0]["figures"])) == "chrF2"


def test_a_model_tuned_by_preferences_is_judged_as_a_chat_too(place, tuned):
    models = [tuned["chat"] / "model", tuned["preference"] / "model"]
    assert judged(models, place["data"]["test"], changes={"name": "chat"})["task"] == "chat"


def test_an_unknown_task_is_refused(place):
    with pytest.raises(RecipeError, match="chat"):
        judged([place["model"]["folder"]], place["data"]["test"], changes={"name": "chatt"})


@pytest.mark.parametrize("model", ["tuned", "named"])
def test_instructions_are_answered_beside_their_rows(place, tuned, tmp_path, model):
    rows = [{"instruction": f"What is the {thing} here? {number}"} for number, thing in enumerate(THINGS)]
    (tmp_path / "asked.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    folder, changes = {"tuned": (tuned["chat"] / "model", {}), "named": (place["model"]["folder"], {"name": "chat"})}[
        model
    ]
    result = predict(
        Path(folder),
        [str(tmp_path / "asked.json")],
        out=str(tmp_path / "out.jsonl"),
        changes={**changes, "reply_tokens": 8},
    )
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert result.rows == len(rows)
    assert [row["instruction"] for row in written] == [row["instruction"] for row in rows]
    assert all({"predicted_reply", "predicted_finish"} <= row.keys() for row in written)
    speaker = load(folder)
    for row in written[:2]:
        turn = [{"role": "user", "content": row["instruction"]}]
        assert speaker.chat(turn, temperature=0, max_tokens=8).strip() == row["predicted_reply"]


@pytest.mark.parametrize("template", ["chatml", None])
def test_the_folder_tells_others_how_it_was_talked_with(place, tmp_path, template):
    from transformers import AutoTokenizer

    base = write_speaker(tmp_path / "base", template=template)
    outcome = finetune(recipe_of({**place, "model": {"folder": str(base)}}, epochs=1), tmp_path / "run")
    name = "plain" if template is None else template
    assert chat_format_of(outcome.model) == name
    theirs, ours = AutoTokenizer.from_pretrained(outcome.model), load_tokenizer(outcome.model)
    talk = [Message("user", "What is 雪?"), Message("assistant", "白的"), Message("user", "here")]
    messages = [{"role": each.role, "content": each.content} for each in talk]
    expected = theirs.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert CHAT_FORMATS[name].encode(talk, ours, reply=True)[0] == expected


def test_another_format_than_the_folder_s_own_is_written_instead(place, tmp_path):
    outcome = finetune(recipe_of(place, task={"name": "chat", "format": "plain"}, epochs=1), tmp_path / "run")
    assert chat_format_of(outcome.model) == "plain"


def test_only_products_and_the_last_norm_are_trained_under_low_rank(place, tuned):
    base, chat = (load(folder).module for folder in (place["model"]["folder"], tuned["chat"] / "model"))
    before, after = dict(base.named_parameters()), dict(chat.named_parameters())
    changed = {name for name in before if not before[name].equal(after[name])}
    assert "tokens.weight" not in changed
    assert {name for name in changed if not name.startswith("blocks.")} == {"norm.weight"}


def test_an_encoder_is_refused(place, tmp_path):
    folder = write_model(tmp_path / "bert", family="bert", kind="wordpiece", head="none")
    with pytest.raises(FolderError, match="chat needs a decoder"):
        finetune(recipe_of({**place, "model": {"folder": str(folder)}}), tmp_path / "run")


def test_data_that_is_no_conversation_is_refused_with_its_line(place, tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"instruction": "a", "output": "b"}\n{"prompt": "a"}\n')
    data = {**place["data"], "train": str(tmp_path / "bad.jsonl")}
    with pytest.raises(UserError, match=r"bad\.jsonl:2"):
        finetune(recipe_of({**place, "data": data}), tmp_path / "run")
