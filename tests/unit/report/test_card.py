"""The model card: valid front matter, true numbers only, and data can't break its tables."""

import json

import yaml

from lexloom.report.card import model_card
from lexloom.report.read import read_run

LINES = [
    {"kind": "step", "step": 10, "loss": 3.25, "lr": 1e-3, "grad_norm": 1.0, "tokens": 20480, "seconds": 75.0},
    {"kind": "validation", "step": 10, "loss": 3.5},
]


def card_of(folder, **options):
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return model_card(read_run(folder), family="llama", parameters=1_234_567, **options)


def front_matter(card):
    _, head, _ = card.split("---\n", 2)
    return yaml.safe_load(head)


def test_front_matter_is_yaml_with_what_is_known(tmp_path):
    known = front_matter(card_of(tmp_path, languages=["en", "zh"], license_name="cc0-1.0"))
    assert known["language"] == ["en", "zh"]
    assert known["license"] == "cc0-1.0"
    assert known["library_name"] == "lexloom"
    assert known["pipeline_tag"] == "text-generation"


def test_what_is_not_known_is_not_stated(tmp_path):
    card = card_of(tmp_path)
    assert front_matter(card).keys() == {"library_name", "pipeline_tag", "tags"}
    assert "The run holds no ledger" in card
    assert "interval" not in card


def test_numbers_are_those_of_the_run(tmp_path):
    (tmp_path / "results.json").write_text(
        json.dumps({"models": [{"bits_per_byte": {"value": 1.91234, "low": 1.8, "high": 2.0}, "documents": 51}]})
    )
    card = card_of(tmp_path)
    for words in (
        "1.2 M",
        "1,234,567",
        "10 steps",
        "20,480 tokens",
        "1 min 15 s",
        "3.25",
        "1.912",
        "1.800–2.000",
        "51",
    ):
        assert words in card


def test_data_cannot_break_out_of_a_table(tmp_path):
    row = {"stage": "read", "outcome": "a|b\n# <b>x", "documents": 1, "characters": 2, "examples": []}
    (tmp_path / "ledger.json").write_text(json.dumps([row]))
    assert "| read | a\\|b # &lt;b>x | 1 | 2 |\n" in card_of(tmp_path)
