import json

import numpy as np
import pytest

from lexloom.base.errors import UserError
from lexloom.serve.studio.runs import CURVE_POINTS, find_runs, list_runs, report_of, show_run


def write_run(folder, steps=300, *, finished=False):
    folder.mkdir(parents=True)
    rows = [
        {"kind": "step", "step": step, "loss": 5 - step / 100, "lr": 1e-3, "tokens": 10 * step, "seconds": 0.1}
        for step in range(1, steps + 1)
    ]
    rows.insert(7, {"kind": "step", "step": 7, "loss": "nan", "lr": 1e-3, "tokens": 70, "seconds": 0.1})
    rows.append({"kind": "validation", "step": steps, "loss": 2.5})
    rows.append({"kind": "sample", "step": steps, "prompt": "床前", "text": "床前<b>明月"})
    text = "".join(json.dumps(row) + "\n" for row in rows) + '{"kind": "st'
    (folder / "metrics.jsonl").write_text(text, encoding="utf-8")
    (folder / "plan.json").write_text(json.dumps({"steps": 400}), encoding="utf-8")
    if finished:
        (folder / "model").mkdir()
    return folder


def test_runs_are_found_with_what_they_came_to(tmp_path):
    write_run(tmp_path / "a")
    write_run(tmp_path / "b" / "run", 50, finished=True)
    write_run(tmp_path / ".trash-c")
    lines = {line["name"]: line for line in list_runs(tmp_path)}
    assert sorted(lines) == ["a", "b/run"]
    assert (lines["a"]["step"], lines["a"]["steps"], lines["a"]["best"]) == (300, 400, 2.5)
    assert lines["a"]["loss"] == pytest.approx(2.0)
    assert not lines["a"]["finished"]
    assert lines["b/run"]["finished"]


def test_a_run_folder_itself_is_a_list_of_one(tmp_path):
    write_run(tmp_path / "only")
    assert list(find_runs(tmp_path / "only")) == ["only"]


@pytest.mark.parametrize("name", ["..", "../other", "a/..", "/etc", "", "a/", "./a"])
def test_a_name_leads_nowhere_else(tmp_path, name):
    write_run(tmp_path / "other")
    write_run(tmp_path / "runs" / "a")
    with pytest.raises(UserError, match="no such run"):
        show_run(tmp_path / "runs", name)


def test_one_run_with_its_curve(tmp_path):
    write_run(tmp_path / "a", 5000)
    run = show_run(tmp_path, "a")
    curve = run["curve"]
    assert 0 < len(curve["every"]) <= CURVE_POINTS
    assert len(curve["mean"]) <= CURVE_POINTS
    assert curve["every"][0][1] == pytest.approx(4.99)
    assert np.isfinite(curve["every"]).all()
    assert curve["validation"] == [[5000, 2.5]]
    assert run["samples"] == [{"step": 5000, "prompt": "床前", "text": "<b>明月"}]
    assert all(len(twin) == 2 for twin in (run["title"], run["lede"], run["unit"]))
    json.dumps(run, allow_nan=False)


def test_a_run_that_has_just_begun_is_shown(tmp_path):
    write_run(tmp_path / "a", 0)
    run = show_run(tmp_path, "a")
    assert run["step"] in (0, 7)
    json.dumps(run, allow_nan=False)


def test_what_a_run_adds_is_seen_at_once(tmp_path):
    folder = write_run(tmp_path / "a", 10)
    assert list_runs(tmp_path)[0]["step"] == 10
    with open(folder / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write('ep", "step": 11, "loss": 1.5}\n{"kind": "step", "step": 12, "loss": 1.25}\n')
    assert list_runs(tmp_path)[0]["step"] == 12
    assert list_runs(tmp_path)[0]["loss"] == 1.25


def test_the_report_is_told_of_where_there_is_one(tmp_path):
    folder = write_run(tmp_path / "a", 10)
    with pytest.raises(UserError, match="no report"):
        report_of(tmp_path, "a")
    (folder / "report.html").write_text("<p>", encoding="utf-8")
    assert report_of(tmp_path, "a") == b"<p>"
    assert show_run(tmp_path, "a")["report"]
