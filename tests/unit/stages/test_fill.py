"""`fill` shows the candidates for each mask."""

import json
import sys

import pytest

import lexloom
from lexloom.cli import main
from lexloom.stages.fill import describe, fill
from tests.folders import write_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("fill") / "model", family="bert", kind="wordpiece", head="masked")


def test_candidates_are_those_of_the_api_for_every_mask(folder):
    text = "春[MASK]不觉晓 or [MASK] to be"
    result = fill(folder, text, top=3)
    assert [[one["token"] for one in mask] for mask in result.masks] == [
        [one.token for one in mask] for mask in lexloom.load(folder).fill(text, top=3)
    ]
    assert [len(mask) for mask in result.masks] == [3, 3]
    shown = describe(result)
    assert "mask 1" in shown
    assert "mask 2" in shown
    assert f"{100 * result.masks[0][0]['probability']:.1f} %" in shown


def test_the_command_line_takes_the_number_of_candidates(folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["lexloom", "fill", str(folder), "to [MASK]", "top=2", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert len(json.loads(capsys.readouterr().out)["masks"][0]) == 2


def test_a_text_without_a_mask_ends_with_the_way_to_write_one(folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["lexloom", "fill", str(folder), "to be"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "Write [MASK] where" in capsys.readouterr().err
