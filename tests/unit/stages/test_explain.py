"""`lexloom explain`: every task from bare texts, a page that loads nothing, and numbers that JSON can hold."""

import json
from dataclasses import asdict, replace

import pytest

from lexloom.base.errors import FolderError, UserError
from lexloom.models import new_model
from lexloom.models.bert import PRESETS
from lexloom.models.folder import save_model
from lexloom.report.explanation import signed
from lexloom.stages.explain import describe, explain
from tests.task_folders import write_task_model
from tests.understanding import model_for, setting_of, tokenizer

GIVEN = {
    "classify": ("a lovely film", ()),
    "regress": ("a lovely film", ("a dull film",)),
    "tag": ("Anna lives in 北京", ()),
    "relation": ("the <e1>fire</e1> caused <e2>damage</e2>", ()),
    "span": ("Who built it?", ("The engine was built by Thomas.",)),
    "similarity": ("一部好电影", ("a lovely film",)),
    "choice": ("the sky is", ("blue", "loud", "empty")),
}


def folder_of(name, place):
    setting = setting_of(name)
    task = {
        "name": name,
        "settings": setting.settings.model_dump(mode="json"),
        "labels": list(setting.labels),
        "max_tokens": setting.max_tokens,
    }
    model = model_for(name, setting)
    labels = list(setting.labels) or None
    save_model(place, model, setting.tokenizer, provenance={}, generation=None, card="", labels=labels, task=task)
    return place


@pytest.mark.parametrize("name", GIVEN)
def test_every_task_of_an_encoder_is_explained_from_bare_texts(name, tmp_path):
    text, pairs = GIVEN[name]
    label = "LOC" if name == "tag" else None
    result = explain(folder_of(name, tmp_path / "m"), [text], pairs=pairs, label=label, out=tmp_path / "why.html")
    (found,) = json.loads(json.dumps(asdict(result)))["explanations"]
    gradients = [target for target in found["targets"] if target["method"] == "gradients"]
    assert gradients
    for target in gradients:
        total = sum(word["value"] for word in target["words"])
        assert total - (target["output"] - target["baseline"]) == pytest.approx(target["error"], abs=1e-6)
        for word in target["words"]:
            assert found["texts"][word["text"]][word["start"] : word["end"]] == word["word"]
    assert (tmp_path / "why.html").read_text().startswith("<!doctype html>")
    assert gradients[0]["words"][0]["word"] in describe(result)


def test_of_a_writer_each_word_is_told_with_the_source_word_it_looked_at(tmp_path):
    folder = write_task_model(tmp_path / "m", "text2text")
    result = explain(folder, ["她住在北京", "damage from fire"], out=tmp_path / "look.html")
    one, two = json.loads(json.dumps(asdict(result)))["explanations"]
    assert one["source"] == "她住在北京"
    assert one["attention"]["read"][:5] == list("她住在北京")
    assert {word["looked_at"] for word in two["words"]} <= {"damage", "from", "fire", "[UNK]"}
    for found in (one, two):
        assert len(found["attention"]["mean"]) == len(found["attention"]["written"])
        assert sum(found["attention"]["mean"][0]) == pytest.approx(1, abs=1e-3)
        assert found["written"] in describe(result)
    assert (tmp_path / "look.html").read_text().count('class="attention"') == 2


def test_of_a_writer_only_its_attention_can_be_asked_for(tmp_path):
    folder = write_task_model(tmp_path / "m", "text2text")
    for wrong in ({"label": "good"}, {"methods": ["gradients"]}):
        with pytest.raises(UserError, match="attention to the source"):
            explain(folder, ["a fire"], out=None, **wrong)
    with pytest.raises(UserError, match="no word in it"):
        explain(folder, [" "], out=None)
    assert explain(folder, ["a fire"], methods=["attention"], out=None).page is None


@pytest.mark.parametrize(
    ("name", "text", "pairs", "message"),
    [
        ("span", "Who?", (), "passage"),
        ("similarity", "one", (), "two texts"),
        ("choice", "the sky is", ("blue",), "candidates"),
        ("relation", "no marks", (), "<e1>"),
        ("tag", "Anna", ("pair",), "single texts"),
        ("classify", "one", ("two", "three"), "a pair"),
    ],
)
def test_texts_that_do_not_fit_the_task_are_refused_with_what_it_needs(name, text, pairs, message, tmp_path):
    with pytest.raises(UserError, match=message):
        explain(folder_of(name, tmp_path / "m"), [text], pairs=pairs, out=tmp_path / "why.html")
    assert not (tmp_path / "why.html").exists()


def test_a_model_without_task_is_refused(tmp_path):
    config = replace(PRESETS["toy"], vocab_size=tokenizer().vocab_size, layers=1)
    model = new_model("bert", config, seed=0)
    save_model(tmp_path / "m", model.eval(), tokenizer(), provenance={}, generation=None, card="")
    with pytest.raises(FolderError, match=r"no task.*\n.*finetune"):
        explain(tmp_path / "m", ["a film"], out=None)


def test_an_unknown_method_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(UserError, match="gradients"):
        explain(folder_of("classify", tmp_path / "m"), ["a film"], methods=["gradient"], out=None)


def test_of_a_long_text_the_weightiest_words_are_told(tmp_path):
    text = "a lovely film and a dull song " * 8
    result = explain(folder_of("classify", tmp_path / "m"), [text], methods=["gradients"], out=None)
    (target,) = result.explanations[0]["targets"]
    told = describe(result)
    assert "the 30 weightiest of 56 words" in told
    weightiest = max(target["words"], key=lambda word: abs(word["value"]))
    assert signed(weightiest["value"]) in told
