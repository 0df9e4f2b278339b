import json

import pytest

from lexloom.base.errors import UserError
from lexloom.serve.settings import ServeSettings
from lexloom.serve.studio.settings import StudioSettings, read_prompts
from tests.serving import client_of, error_of
from tests.studio import SPEAKERS, studio_app, write_run

KEY = "a-key-of-sixteen-characters"
CLASSIFY = {"model": "classify", "texts": ["what a lovely film"]}


@pytest.fixture
def studio(tmp_path):
    write_run(tmp_path / "runs" / "a")
    return StudioSettings(runs=tmp_path / "runs", votes=tmp_path / "votes.sqlite", prompts=("one", "two"))


@pytest.fixture
def client(studio):
    return client_of(studio_app(studio))


def pair_of(client, **fields):
    asked = {"models": list(SPEAKERS), "prompt": "What is the sky?", "max_tokens": 4, **fields}
    return client.post("/studio/votes/pair", json=asked)


def test_the_page_needs_no_key_and_everything_else_does(studio):
    client = client_of(studio_app(studio, ServeSettings(keys=(KEY,))))
    page = client.get("/")
    assert page.status_code == 200
    assert "script-src 'sha256-" in page.headers["content-security-policy"]
    assert not any(name in page.text for name in SPEAKERS)
    for path in ("/studio/state", "/studio/runs", "/studio/votes", "/studio/votes/export"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers={"authorization": f"Bearer {KEY}"}).status_code == 200
    assert client.post("/studio/explain", json=CLASSIFY).status_code == 401


def test_the_state_says_what_each_model_can_do_beyond_its_routes(client):
    state = client.get("/studio/state").json()
    assert state["explains"]["classify"] == ["bad", "good"]
    assert state["explains"]["tag"] == ["LOC", "PER"]
    assert state["explains"]["span"] == []
    assert "masked" not in state["explains"]
    assert state["masks"] == {"masked": "[MASK]"}
    assert state["scales"] == {"similarity": [0.0, 5.0]}
    assert state["prompts"] == ["one", "two"]
    assert (state["runs"], state["votes"]) == (True, True)


def test_without_folders_there_are_no_routes_to_them():
    client = client_of(studio_app(StudioSettings()))
    assert client.get("/studio/runs").status_code == 404
    assert pair_of(client).status_code == 404
    state = client.get("/studio/state").json()
    assert (state["runs"], state["votes"], state["prompts"]) == (False, False, [])


def test_an_answer_is_explained_as_the_command_does(client):
    found = client.post("/studio/explain", json=CLASSIFY).json()
    assert found["texts"] == CLASSIFY["texts"]
    assert found["prediction"]["label"] in ("good", "bad")
    methods = [target["method"] for target in found["targets"]]
    assert methods == ["gradients", "occlusion"]
    assert [word["word"] for word in found["targets"][0]["words"]] == ["what", "a", "lovely", "film"]
    assert len(found["attention"][0]["rollout"]) == len(found["attention"][0]["tokens"])


def test_another_label_can_be_asked_about(client):
    found = client.post("/studio/explain", json={**CLASSIFY, "label": "bad"}).json()
    assert {target["name"] for target in found["targets"]} == {"bad"}
    refused = client.post("/studio/explain", json={**CLASSIFY, "label": "<b>none</b>"})
    assert refused.status_code == 400
    assert "no label" in error_of(refused)["message"]


def test_a_translator_shows_where_it_looked(client):
    found = client.post("/studio/explain", json={"model": "text2text", "texts": ["这部电影真好看"]}).json()
    attention = found["attention"]
    assert len(attention["mean"]) == len(attention["written"])
    assert len(attention["mean"][0]) == len(attention["read"])


@pytest.mark.parametrize("model", ["masked", "model-one", "nobody"])
def test_what_can_not_be_explained_is_said(client, model):
    refused = client.post("/studio/explain", json={"model": model, "texts": ["a"]})
    assert refused.status_code == 404
    assert error_of(refused)["param"] == "model"


def test_runs_and_one_of_them(client):
    (line,) = client.get("/studio/runs").json()["runs"]
    assert line["name"] == "a"
    run = client.post("/studio/run", json={"name": "a"}).json()
    assert run["curve"]["validation"]
    assert client.post("/studio/report", json={"name": "a"}).text == "<p>report</p>"
    assert client.post("/studio/run", json={"name": "../runs/a"}).status_code == 400


def test_nothing_that_is_sent_before_a_vote_names_a_model(client):
    for _ in range(6):
        answer = pair_of(client)
        assert set(answer.json()) == {"pair", "prompt", "left", "right"}
        told = answer.text + json.dumps(dict(answer.headers))
        assert not any(name in told for name in SPEAKERS)
        kept = client.post("/studio/votes", json={"pair": answer.json()["pair"], "choice": "tie"})
        assert kept.json() == {"kept": True}


def test_votes_are_counted_and_exported(client):
    for choice in ("left", "tie", "right"):
        client.post("/studio/votes", json={"pair": pair_of(client).json()["pair"], "choice": choice})
    last = pair_of(client).json()["pair"]
    client.post("/studio/votes", json={"pair": last, "choice": "left"})
    assert client.post("/studio/votes/undo", json={"pair": last}).json() == {"kept": False}
    (result,) = client.get("/studio/votes").json()["results"]
    assert (result["first"], result["second"]) == SPEAKERS
    assert (result["votes"], result["ties"]) == (3, 1)
    rows = [json.loads(line) for line in client.get("/studio/votes/export").text.splitlines()]
    assert [row["choice"] for row in rows] == ["left", "tie", "right"]
    assert all({row["left_model"], row["right_model"]} == set(SPEAKERS) for row in rows)


@pytest.mark.parametrize(
    "fields", [{"models": ["model-one"]}, {"models": ["model-one", "nobody"]}, {"prompt": ""}, {"colour": "red"}]
)
def test_a_pair_that_can_not_be_made_is_refused_by_name(client, fields):
    refused = pair_of(client, **fields)
    assert refused.status_code in (400, 404)
    assert error_of(refused)["param"] is not None


def test_a_vote_on_nothing_is_refused(client):
    assert client.post("/studio/votes", json={"pair": "x", "choice": "left"}).status_code == 400
    assert client.post("/studio/votes", json={"pair": "x", "choice": "both"}).status_code == 400


def test_prompts_are_read_once_each_line(tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_text("one\n\n 春眠 \none\n", encoding="utf-8")
    assert read_prompts(file) == ("one", "春眠")
    assert read_prompts(None) == ()
    file.write_text("\n", encoding="utf-8")
    with pytest.raises(UserError, match="0 prompts"):
        read_prompts(file)
    with pytest.raises(UserError, match="can't be read"):
        read_prompts(tmp_path / "absent")
    with pytest.raises(UserError, match="is not a folder"):
        StudioSettings(runs=tmp_path / "absent")
