"""demo: the bundled recipe is sound, and the whole line runs on it."""

import json
from pathlib import Path

import pytest

from lexloom.stages import demo as module
from lexloom.stages.demo import demo, demo_recipe, describe

SMALL = (
    "train.minutes=0.01",
    "model.width=16",
    "model.layers=1",
    "model.heads=2",
    "model.kv_heads=2",
    "model.head_width=8",
    "model.ffn_width=32",
    "train.batch_tokens=256",
    "train.sample_every=2",
    "train.threads=1",
    "prepare.tokenizer.vocab_size=600",
    "prepare.data.documents=paragraph",
)


def test_the_bundled_recipe_is_complete_and_reads_the_bundled_texts(monkeypatch):
    monkeypatch.setenv("LEXLOOM_TRAIN__LR", "12345")
    recipe = demo_recipe()
    assert all(Path(source).is_file() for source in recipe.prepare.data.sources)
    assert recipe.train.lr < 1, "the environment must not change the demo"
    assert recipe.train.minutes is not None
    assert recipe.train.minutes <= 6, "the whole demo stays under eight minutes"


def few_texts(folder):
    """A hundred poems and speeches, so that the whole line takes seconds."""
    poems = "".join(f"《春》李白\n春風吹又生第{i}首，明月照{i}高樓。\n\n" for i in range(60))
    speeches = "".join(f"ROMEO:\nMy lord, number {i}, the {'night ' * (i % 7)}is young.\n\n" for i in range(60))
    (folder / "text.txt").write_text(poems + speeches)
    return f"prepare.data.sources={json.dumps([str(folder / 'text.txt')])}"


@pytest.mark.slow
def test_the_whole_line_runs_and_runs_again(tmp_path):
    overrides = (*SMALL, few_texts(tmp_path), "prepare.duplicates.near=false", "prepare.split.validation_share=0.3")
    facts = demo(tmp_path / "demo", overrides=overrides)
    assert Path(facts["report"]).is_file()
    assert (Path(facts["model"]) / "README.md").is_file()
    assert [text["prompt"] for text in facts["texts"]] == [*module.POEMS, *module.SPEECHES]
    assert facts["bits_per_byte"]["low"] < facts["bits_per_byte"]["high"]
    assert "4-gram" in Path(facts["comparison"]).read_text(encoding="utf-8")
    shown = describe(facts)
    assert "4-gram" in shown
    assert "lexloom generate" in shown
    assert json.loads(json.dumps(facts)) == facts
    again = demo(tmp_path / "demo", overrides=overrides)
    assert again["texts"] == facts["texts"]
