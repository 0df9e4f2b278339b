import json
from pathlib import Path

import pytest

from lexloom.base.errors import DataError, RecipeError
from lexloom.base.files import new_folder
from lexloom.stages.check_data import check_data, describe
from lexloom.text.tokenizers import TokenizerSettings, train_tokenizer, write_tokenizer


def table(folder: Path, name: str, *rows: tuple[str, str]) -> list[str]:
    (folder / name).write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows), encoding="utf-8")
    return [str(folder / name)]


def test_report_says_balance_leak_and_conflict_with_their_lines(tmp_path: Path) -> None:
    sources = {
        "train": table(tmp_path, "train.csv", ("good", "pos"), ("bad", "neg"), ("good", "neg"), ("fine", "pos")),
        "test": table(tmp_path, "test.csv", ("good", "pos"), ("awful", "neg")),
    }
    report = check_data("classify", {}, sources)
    text = describe(report)
    assert f"{tmp_path}/train.csv:2 = {tmp_path}/test.csv:2" in text
    assert "'pos' or 'neg'" in text
    assert "2 (50.0%)" in text
    assert "taken as the label: 'label'" in text
    json.dumps(report.to_json())


def test_tags_that_start_inside_are_told_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "a.bio").write_text("a B-X\nb O\nc I-X\n\nd B-X\ne B-Y\n\nf O\n", encoding="utf-8")
    text = describe(check_data("tag", {}, {"train": [str(tmp_path / "a.bio")]}))
    assert f"1  an entity starts with a tag inside ({tmp_path}/a.bio:3)" in text


def test_lengths_are_held_against_the_context_of_the_model(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(iter(["one two three four"] * 4), TokenizerSettings(kind="wordpiece", vocab_size=60))
    with new_folder(tmp_path / "model") as folder:
        write_tokenizer(folder, tokenizer)
        folder.write_json("config.json", {"max_position_embeddings": 4})
    sources = {"train": table(tmp_path, "a.csv", ("one two three four", "a"), ("one", "b"))}
    report = check_data("classify", {}, sources, model=tmp_path / "model")
    assert (report.unit, report.limit, report.splits["train"].over_limit) == ("tokens", 4, 1)
    assert "over 4" in describe(report)
    assert check_data("classify", {}, sources, model=tmp_path / "model", max_tokens=64).splits["train"].over_limit == 0


def test_unknown_task_setting_and_missing_data_are_refused(tmp_path: Path) -> None:
    sources = {"train": table(tmp_path, "a.csv", ("good", "pos"))}
    with pytest.raises(RecipeError, match="did you mean 'classify'"):
        check_data("clasify", {}, sources)
    with pytest.raises(RecipeError, match="unknown key 'lable'; did you mean 'label'"):
        check_data("classify", {"lable": "x"}, sources)
    with pytest.raises(DataError, match="no example in any split"):
        check_data("classify", {}, {"train": table(tmp_path, "empty.csv")})
