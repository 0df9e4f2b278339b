import json
import os
import subprocess
import sys

import pytest

from lexloom.base import files
from lexloom.base.errors import DamagedError, FolderError


def make(folder, *, replace=False, text="one"):
    with files.new_folder(folder, facts={"step": 3}, replace=replace) as new:
        new.write("a.txt", text)
        new.write_json("deep/b.json", {"诗": 1})


def test_folder_is_complete_with_hashes_and_facts(tmp_path):
    make(tmp_path / "made")
    manifest = files.verify_folder(tmp_path / "made")
    assert manifest["step"] == 3
    assert set(manifest["files"]) == {"a.txt", "deep/b.json"}
    assert files.read_json(tmp_path / "made/deep/b.json") == {"诗": 1}


def test_an_exception_leaves_nothing_behind(tmp_path):
    def fail():
        with files.new_folder(tmp_path / "made") as new:
            new.write("a.txt", "half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_existing_folder_is_refused_unless_replaced(tmp_path):
    make(tmp_path / "made")
    with pytest.raises(FolderError, match="already exists"):
        make(tmp_path / "made")
    make(tmp_path / "made", replace=True, text="two")
    assert (tmp_path / "made/a.txt").read_text() == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.unlink(), "missing"),
        (lambda path: path.write_text("on"), "2 bytes instead of 3"),
        (lambda path: path.write_text("0ne"), "SHA-256"),
    ],
)
def test_damage_is_named(tmp_path, damage, words):
    make(tmp_path / "made")
    damage(tmp_path / "made/a.txt")
    with pytest.raises(DamagedError, match=words) as caught:
        files.verify_folder(tmp_path / "made")
    assert "a.txt" in str(caught.value)


def test_manifest_can_not_name_a_file_outside(tmp_path):
    make(tmp_path / "made")
    (tmp_path / "made" / files.MANIFEST).write_text(json.dumps({"files": {"../x": {"bytes": 0, "sha256": ""}}}))
    with pytest.raises(FolderError, match="outside"):
        files.verify_folder(tmp_path / "made")


def test_second_process_is_refused_with_the_first_ones_pid(tmp_path):
    code = f"from lexloom.base import files; from pathlib import Path\nwith files.lock(Path({str(tmp_path)!r})): pass"
    with files.lock(tmp_path):
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert second.returncode != 0
    assert f"in use by process {os.getpid()}" in second.stderr
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_lock_sweeps_what_a_killed_owner_left(tmp_path):
    (tmp_path / f"{files.TEMPORARY}step-1-99").mkdir()
    (tmp_path / f"{files.TRASH}step-0-99").mkdir()
    (tmp_path / "kept").mkdir()
    with files.lock(tmp_path):
        assert sorted(path.name for path in tmp_path.iterdir()) == [files.LOCK, "kept"]


def test_lines_are_cut_to_the_known_good_length(tmp_path):
    lines = files.Lines(tmp_path / "metrics.jsonl")
    lines.write({"step": 1})
    good = lines.size
    lines.write({"step": 2})
    lines.close()
    lines = files.Lines(tmp_path / "metrics.jsonl", keep_bytes=good)
    lines.write({"step": 2, "again": True})
    lines.sync()
    lines.close()
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1}\n{"step": 2, "again": true}\n'


def test_short_writes_are_continued(tmp_path, monkeypatch):
    class Short(files.Disk):
        def write(self, handle, data):
            return super().write(handle, data[:2])

    monkeypatch.setattr(files, "disk", Short())
    files.write_file(tmp_path / "x", "seven letters")
    assert (tmp_path / "x").read_text() == "seven letters"


def test_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    files.write_file(tmp_path / "x", "old")

    class Full(files.Disk):
        def write(self, handle, data):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "disk", Full())
    with pytest.raises(OSError, match="No space left"):
        files.write_file(tmp_path / "x", "new")
    assert (tmp_path / "x").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_symbolic_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").symlink_to("/etc/passwd")
    with pytest.raises(FolderError, match="outside"):
        files.inside(tmp_path / "model", "config.json")
