"""The card of a fine-tuned model: valid front matter, the figures of the run, nothing that can break its tables."""

import pytest
import yaml

from lexloom.api.encoder import Encoder
from lexloom.api.language import LanguageModel
from lexloom.api.writer import Writer
from lexloom.report.task_card import CALLS, PIPELINES, task_card
from lexloom.tasks import TASKS

LOADED = {"encoder": Encoder, "decoder": LanguageModel, "encoder-decoder": Writer}
FIGURE = {"value": 0.91234, "low": 0.9, "high": 0.9251, "percent": True}
RESULTS = {"splits": {"test": {"examples": 1821, "main": "accuracy", "figures": {"accuracy": FIGURE}}}}
PROVENANCE = {
    "train_examples": 6920,
    "steps": 649,
    "began_with": {"folder": "/somewhere/minilm", "from_nothing": False},
    "recipe": {"data": {"train": ["/somewhere/train.tsv"], "test": []}, "train": {"lr": 5e-5, "lora": None}},
}


def card_of(name="classify", results=RESULTS, labels=("good", "bad"), **settings):
    return task_card(
        {"name": name, "labels": list(labels), "max_tokens": 128, "settings": settings}, results, PROVENANCE
    )


def front_matter(card):
    _, head, _ = card.split("---\n", 2)
    return yaml.safe_load(head)


@pytest.mark.parametrize("name", TASKS)
def test_front_matter_names_the_pipeline_of_every_task(name):
    known = front_matter(card_of(name))
    assert known["pipeline_tag"] == PIPELINES[name]
    assert known["library_name"] == "lexloom"
    assert "language" not in known


def test_figures_stand_with_their_intervals_and_paths_are_not_told():
    card = card_of()
    assert "| test 测试集 | accuracy | 91.23 | 90.00–92.51 | 1,821 |\n" in card
    for words in ("6,920 examples", "649 steps", "`minilm`", "train.tsv", "`good`, `bad`"):
        assert words in card
    assert "somewhere" not in card


def test_how_a_figure_was_computed_stands_beside_its_name_and_breaks_no_table():
    bleu = {"test": {"examples": 2, "main": "BLEU", "figures": {"BLEU": FIGURE | {"detail": "nrefs:1|tok:zh"}}}}
    assert "| BLEU (nrefs:1\\|tok:zh) | 91.23 |" in card_of(results={"splits": bleu})


def test_a_figure_without_interval_and_a_model_without_figures_say_so():
    alone = {"test": {"examples": 1, "main": "accuracy", "figures": {"accuracy": FIGURE | {"low": None, "high": None}}}}
    assert "| 91.23 | – | 1 |" in card_of(results={"splits": alone})
    assert "Nothing was measured" in card_of(results={"splits": {}})


def test_labels_cannot_break_out_and_a_known_language_is_stated():
    assert "`a\\|b`" in card_of(labels=["a|b"])
    assert front_matter(card_of("span", labels=(), language="zh"))["language"] == ["zh"]


@pytest.mark.parametrize("name", TASKS)
def test_the_call_that_the_card_shows_is_one_of_a_loaded_model(name):
    call = CALLS[name].partition("(")[0]
    assert f'lexloom.load("model").{call}(' in card_of(name)
    assert callable(getattr(LOADED[TASKS[name].needs[0]], call))


def test_settings_that_are_not_set_are_not_stated():
    card = card_of()
    assert "| lr | 5e-05 |" in card
    assert "null" not in card
