import json

import pytest

from lexloom.base.errors import DamagedError, FolderError
from lexloom.serve.studio.comparison import read_comparison
from lexloom.serve.studio.settings import StudioSettings
from tests.serving import client_of
from tests.studio import studio_app


def model(name, value, **more):
    return {"name": name, "family": name, "parameters": 10, "seconds": 2.5, **more, **value}


def figure(value, low=None, high=None):
    return {"value": value, "low": low, "high": high}


WRITERS = {
    "kind": "language models",
    "models": [
        model("gpt", {"bits_per_byte": figure(2.0, 1.9, 2.1)}),
        model("ngram", {"bits_per_byte": figure(1.5, 1.4, 1.6)}),
    ],
    "pairs": [{"first": "gpt", "second": "ngram", "real": True}],
}
TASK = {
    "kind": "task",
    "metric": "accuracy",
    "percent": True,
    "models": [
        model(
            "bow", {"points": [{"seconds": 1, "figure": figure(0.2)}, {"seconds": 3, "figure": figure(0.8, 0.7, 0.9)}]}
        ),
        model("bert", {"points": [{"seconds": 9, "figure": figure(0.9)}]}),
    ],
    "pairs": [{"first": "bow", "second": "bert"}],
}


def write(folder, results):
    (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    return folder


def test_fewer_bits_come_first(tmp_path):
    found = read_comparison(write(tmp_path, WRITERS))
    assert [line["name"] for line in found["models"]] == ["ngram", "gpt"]
    assert (found["measure"][0], found["alike"]) == ("bits per byte", [])
    assert found["less_is_better"]
    assert found["picture"] is None


def test_more_right_answers_come_first_in_per_cent(tmp_path):
    found = read_comparison(write(tmp_path, TASK))
    first, second = found["models"]
    assert (first["name"], first["value"], first["low"]) == ("bert", pytest.approx(90), None)
    assert (second["value"], second["high"], second["seconds"]) == (pytest.approx(80), pytest.approx(90), 3)
    assert found["alike"] == [["bow", "bert"]]


def test_what_is_no_comparison_is_said(tmp_path):
    with pytest.raises(FolderError, match=r"results\.json"):
        read_comparison(tmp_path)
    with pytest.raises(DamagedError, match="no comparison"):
        read_comparison(write(tmp_path, {"models": []}))


def test_the_server_shows_it(tmp_path):
    write(tmp_path, WRITERS)
    client = client_of(studio_app(StudioSettings(compare=tmp_path)))
    assert client.get("/studio/state").json()["compare"]
    assert client.get("/studio/compare").json()["models"][0]["name"] == "ngram"
    assert client.get("/studio/compare/page").status_code == 404
    (tmp_path / "report.html").write_text("<p>", encoding="utf-8")
    assert client.get("/studio/compare/page").text == "<p>"


def test_of_errors_the_fewest_come_first(tmp_path):
    found = read_comparison(write(tmp_path, {**TASK, "metric": "MAE", "percent": False, "lower_is_better": True}))
    assert [line["name"] for line in found["models"]] == ["bow", "bert"]
    assert found["less_is_better"]


def test_the_picture_comes_along(tmp_path):
    write(tmp_path, WRITERS)
    (tmp_path / "picture.svg").write_text("<svg/>", encoding="utf-8")
    assert read_comparison(tmp_path)["picture"] == "<svg/>"
