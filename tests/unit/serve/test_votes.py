import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest
from typer.testing import CliRunner

from lexloom.base.errors import DamagedError, FolderError
from lexloom.cli import app
from lexloom.serve.votes import CHOICES, Vote, Votes, read_votes, results_of


def vote(pair: str, choice: str = "left", *, left: str = "b", right: str = "a") -> Vote:
    return Vote(
        pair=pair, voter="key-1", prompt="明月 and", left_model=left, right_model=right,
        left_text="one", right_text="two", choice=choice,
    )  # fmt: skip


def test_votes_survive_and_keep_their_order(tmp_path):
    path = tmp_path / "new" / "votes.sqlite"
    votes = Votes(path)
    for number, choice in enumerate(CHOICES):
        votes.add(vote(str(number), choice))
    again = read_votes(path).rows()
    assert [row["pair"] for row in again] == ["0", "1", "2"]
    assert again[0]["prompt"] == "明月 and"
    assert again[0]["left_model"] == "b"


def test_the_file_has_one_table_and_a_write_ahead_log(tmp_path):
    Votes(tmp_path / "votes.sqlite").add(vote("1"))
    with sqlite3.connect(tmp_path / "votes.sqlite") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall() == [("votes",)]
    connection.close()


def test_a_vote_taken_back_is_gone(tmp_path):
    votes = Votes(tmp_path / "votes.sqlite")
    votes.add(vote("1"))
    votes.add(vote("2"))
    votes.remove("1")
    assert [row["pair"] for row in votes.rows()] == ["2"]


def test_a_pair_can_not_be_kept_twice(tmp_path):
    votes = Votes(tmp_path / "votes.sqlite")
    votes.add(vote("1"))
    with pytest.raises(DamagedError, match="UNIQUE"):
        votes.add(vote("1"))


def test_another_choice_is_refused_by_the_table_itself(tmp_path):
    with pytest.raises(DamagedError, match="CHECK"):
        Votes(tmp_path / "votes.sqlite").add(vote("1", "both"))


def test_many_vote_at_once(tmp_path):
    path = tmp_path / "votes.sqlite"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: Votes(path).add(vote(str(number))), range(24)))
    assert len(Votes(path).rows()) == 24


def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "poem.txt"
    path.write_text("明月光\n" * 100, encoding="utf-8")
    with pytest.raises(DamagedError, match="file of votes"):
        Votes(path)
    assert path.read_text(encoding="utf-8") == "明月光\n" * 100
    with pytest.raises(FolderError, match="no such file"):
        read_votes(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


def test_results_count_for_models_whatever_side_they_were_on():
    rows = [
        {"left_model": "b", "right_model": "a", "choice": "left"},
        {"left_model": "a", "right_model": "b", "choice": "right"},
        {"left_model": "a", "right_model": "b", "choice": "left"},
        {"left_model": "b", "right_model": "a", "choice": "tie"},
        {"left_model": "c", "right_model": "a", "choice": "left"},
    ]
    first, second = results_of(rows)
    assert (first["first"], first["second"]) == ("a", "b")
    assert (first["wins"], first["losses"], first["ties"], first["votes"]) == (1, 2, 1, 4)
    assert first["rate"] == pytest.approx(1.5 / 4)
    assert (second["first"], second["second"], second["losses"]) == ("a", "c", 1)


def test_the_command_says_what_votes_say(tmp_path):
    path, out = tmp_path / "votes.sqlite", tmp_path / "votes.jsonl"
    votes = Votes(path)
    for number in range(10):
        votes.add(vote(str(number), "left" if number else "tie"))
    assert CliRunner().invoke(app, ["votes", str(path), "--json"]).exit_code == 0
    told = CliRunner().invoke(app, ["votes", str(path), "--out", str(out)])
    assert "b" in told.output
    assert "5.0%" in told.output
    assert "p = 0.00391" in told.output
    assert [json.loads(line)["pair"] for line in out.read_text(encoding="utf-8").splitlines()] == list("0123456789")
