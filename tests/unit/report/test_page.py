"""The report: whole from any run folder, self-contained, and model text stays text."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from lexloom.base.errors import DamagedError, FolderError
from lexloom.report import plots
from lexloom.report.headline import stats
from lexloom.report.page import REPORT, _spread, ledger_stages, render_report, write_report
from lexloom.report.read import read_metrics, read_run
from lexloom.report.sections import plan_rows

HOSTILE = "<script>alert('詩')</script><img src=https://example.com/x.png>"
VOID = {"meta", "input", "br", "img", "link"}
FETCHING = {"src", "srcset", "data", "action", "poster", "background", "formaction"}


def step_line(step, **changes):
    line = {"kind": "step", "step": step, "loss": 8.0 / step + 3, "lr": 1e-3, "grad_norm": 0.5}
    return line | {"tokens": 2048 * step, "seconds": 0.25} | changes


@pytest.fixture
def make_run(tmp_path):
    def make(lines, **others):
        (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        for name, value in others.items():
            (tmp_path / f"{name}.json").write_text(json.dumps(value))
        return tmp_path

    return make


class Page(HTMLParser):
    """Checks that tags nest and collects what a test asks for."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.fetched, self.ids, self.words = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.ids += [value for name, value in attributes if name == "id"]
        self.fetched += [value for name, value in attributes if name in FETCHING]
        self.fetched += [value for name, value in attributes if name.endswith("href") and not value.startswith("#")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return "".join(self.words)


def test_page_is_whole_and_loads_nothing(make_run):
    run = make_run(
        [
            *(step_line(step) for step in range(1, 60)),
            {"kind": "validation", "step": 30, "loss": 3.4, "bits_per_byte": 1.9},
            {"kind": "sample", "step": 30, "prompt": "春", "text": "春風吹又生。"},
        ],
        ledger=[{"stage": "read", "outcome": "documents", "documents": 4, "characters": 40, "examples": ["a.txt:1"]}],
        results={"models": [{"bits_per_byte": {"value": 1.9, "low": 1.8, "high": 2.0}, "documents": 12}]},
        tokenizer_quality={"vocab_size": 300, "vocabulary_use": 0.9, "bytes_per_token": 2.5,
                 "scripts": {"Han": {"characters": 5, "tokens": 6, "unknown": 0, "tokens_per_character": 1.2}}},
    )  # fmt: skip
    path = write_report(run)
    assert path == run / REPORT
    html = path.read_text()
    page = Page(html)
    assert page.fetched == []
    assert re.findall(r"https?://|@import|url\((?!#)", html) == []
    assert "script" not in page.tags
    assert len(page.ids) == len(set(page.ids))
    assert page.tags.count("h2") == 5
    for words in ("1.900", "1.800–2.000", "春風吹又生。".removeprefix("春"), "a.txt:1", "Han", "1.2"):
        assert words in page.text


def test_hostile_text_is_shown_as_text(make_run):
    run = make_run(
        [step_line(1), {"kind": "sample", "step": 1, "prompt": HOSTILE, "text": HOSTILE},
         {"kind": "skipped", "step": 2, "reason": HOSTILE}],
        ledger=[{"stage": HOSTILE, "outcome": HOSTILE, "documents": 1, "characters": 1, "examples": [HOSTILE]}],
    )  # fmt: skip
    (run / "recipe.toml").write_text(f"[model]\nfamily = {json.dumps(HOSTILE)}\n", encoding="utf-8")
    page = Page(write_report(run).read_text())
    assert not {"script", "img"} & set(page.tags)
    assert page.fetched == []
    assert page.text.count(HOSTILE) >= 6


def test_every_text_is_there_in_english_and_chinese(make_run):
    html = write_report(make_run([step_line(1), step_line(2)])).read_text()
    assert html.count('class="t" lang="en"') == html.count('class="t" lang="zh-Hans"') > 10


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_a_run_of_few_steps_without_validation_has_its_page(make_run, steps):
    Page(render_report(read_run(make_run([step_line(step) for step in range(1, steps + 1)]))))


def test_non_finite_and_skipped_steps_are_marked_not_hidden(make_run):
    lines = [
        step_line(1),
        step_line(2, loss="nan"),
        step_line(3, loss="inf"),
        step_line(4, grad_norm="inf"),
        {"kind": "skipped", "step": 5, "reason": "the gradient is not finite"},
        step_line(6),
    ]
    run = read_run(make_run(lines))
    assert plots.troubled_steps(run) == [2, 3, 5]
    assert run.metrics.steps["loss"][2] == np.inf
    page = Page(render_report(run))
    assert "steps skipped or without a finite loss: 3" in page.text
    assert "the gradient is not finite" in page.text


def test_leaked_documents_are_told(make_run):
    model = {"bits_per_byte": {"value": 1.9, "low": None, "high": None}, "documents": 12}
    run = make_run([step_line(1)], results={"models": [model], "leaked_documents": 3})
    assert "3 validation documents also stand in the training part" in Page(write_report(run).read_text()).text


def test_plan_and_outcome_stand_side_by_side(make_run):
    plan = {"steps": 4, "tokens": 8192, "seconds": 2.0, "tokens_per_s": 4096.0}
    run = read_run(make_run([step_line(step) for step in (1, 2, 3, 4)], plan=plan))
    rows = {row["label"][0]: (row["planned"], row["measured"], row["ratio"]) for row in plan_rows(run)}
    assert rows["training time"] == ("2.0 s", "1.0 s", "0.50×")
    assert rows["tokens per second"] == ("4,096", "8,192", "2.00×")
    assert "0.50×" in Page(render_report(run)).text


def test_a_run_without_any_finite_loss_has_its_page(make_run):
    Page(render_report(read_run(make_run([step_line(step, loss="nan") for step in (1, 2, 3)]))))


def test_a_huge_run_gives_a_small_page(make_run):
    html = render_report(read_run(make_run([step_line(step) for step in range(1, 30_001)])))
    Page(html)
    assert len(html) < 1_000_000


def test_a_half_written_last_line_is_left_out_and_a_bad_line_is_named(make_run):
    run = make_run([step_line(1)])
    with open(run / "metrics.jsonl", "a") as file:
        file.write('{"kind": "step", "st')
    assert read_metrics(run / "metrics.jsonl").steps["step"].tolist() == [1]
    with open(run / "metrics.jsonl", "a") as file:
        file.write("\n")
    with pytest.raises(DamagedError, match=r"metrics\.jsonl:2"):
        read_run(run)


def test_a_folder_without_metrics_is_refused(tmp_path):
    with pytest.raises(FolderError, match="not a run folder"):
        write_report(tmp_path)


def test_thinning_keeps_the_extremes():
    x = np.arange(10_000.0)
    y = np.zeros(10_000)
    y[1234], y[8765] = 5.0, -5.0
    thin_x, thin_y = plots.thin(x, y)
    assert thin_x.size <= plots.MOST_POINTS
    assert (thin_y.max(), thin_y.min()) == (5.0, -5.0)
    assert np.all(np.diff(thin_x) > 0)


def test_smoothing_is_a_mean_of_neighbours():
    assert plots.smooth(np.array([1.0, 2.0, 6.0, 2.0, 1.0]), 3) == pytest.approx([1.5, 3.0, 10 / 3, 3.0, 1.5])


def test_samples_are_picked_denser_early_with_first_and_last():
    picked = _spread(100, 8)
    assert (picked[0], picked[-1]) == (0, 99)
    assert len(picked) <= 8
    assert np.all(np.diff(np.diff(picked)) >= 0)


def test_ledger_shares_are_of_the_documents_read():
    rows = [
        {"stage": "read", "outcome": "documents", "documents": 200, "characters": 9, "examples": []},
        {"stage": "clean", "outcome": "too short", "documents": 50, "characters": 9, "examples": []},
    ]
    read, clean = ledger_stages(rows)
    assert read["rows"][0]["share"] == "100.0%"
    assert (clean["rows"][0]["share"], clean["rows"][0]["percent"]) == ("25.0%", "25.00")


def test_the_head_speaks_both_languages(make_run):
    run = make_run([*(step_line(step) for step in range(1, 800)), {"kind": "validation", "step": 729, "loss": 3.4}])
    (found,) = [stat for stat in stats(read_run(run)) if stat["value"] == "3.400"]
    english, chinese = found["label"]
    assert "best validation (step 729)" in english
    assert "第 729 步" in chinese
    assert not re.search("[a-z]", chinese)
    assert not found["note"]
