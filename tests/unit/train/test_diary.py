import errno
import json
import math

import pytest

from lexloom.base import files
from lexloom.train.diary import Diary


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_numbers_that_json_lacks_are_strings(tmp_path):
    diary = Diary(tmp_path / "m", 0, pytest.fail)
    diary.write("step", 1, {"loss": math.nan, "lr": math.inf, "grad_norm": -math.inf, "text": "春"})
    diary.close()
    assert lines(tmp_path / "m") == [
        {"kind": "step", "step": 1, "loss": "nan", "lr": "inf", "grad_norm": "-inf", "text": "春"}
    ]


def test_opening_again_cuts_what_came_after_the_checkpoint(tmp_path):
    diary = Diary(tmp_path / "m", 0, pytest.fail)
    diary.write("step", 1, {})
    kept = diary.sync()
    diary.write("step", 2, {})
    diary.close()
    again = Diary(tmp_path / "m", kept, pytest.fail)
    again.write("step", 2, {"again": True})
    again.close()
    assert [line["step"] for line in lines(tmp_path / "m")] == [1, 2]
    assert lines(tmp_path / "m")[1]["again"]


class FullDisk(files.Disk):
    """Takes half of every write while it is full."""

    full = False

    def write(self, handle, data):
        if self.full:
            handle.write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(handle, data)


def test_lines_that_a_full_disk_refuses_are_written_later_each_once(tmp_path, monkeypatch):
    disk = FullDisk()
    monkeypatch.setattr(files, "disk", disk)
    warnings = []
    diary = Diary(tmp_path / "m", 0, warnings.append)
    diary.write("step", 1, {})
    disk.full = True
    diary.write("step", 2, {})
    diary.write("step", 3, {})
    with pytest.raises(OSError, match="No space"):
        diary.sync()
    disk.full = False
    diary.write("step", 4, {})
    assert diary.sync() == (tmp_path / "m").stat().st_size
    diary.close()
    assert [line["step"] for line in lines(tmp_path / "m")] == [1, 2, 3, 4]
    assert len(warnings) == 2
    assert "2 lines wait" in warnings[1]
