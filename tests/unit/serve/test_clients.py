"""What LangChain and `llm` sent when they were pointed at this server is understood, or refused by name.

tests/fixtures/clients/requests.json holds the bodies as these clients sent them, without the model's name.
"""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from lexloom.serve.app import app
from lexloom.serve.log import Log
from lexloom.serve.settings import ServeSettings
from tests.offline import with_engine
from tests.serving import FakeEngine, client_of, error_of, events_of, fake_model
from tests.task_folders import write_task_model

SENT: list[dict[str, Any]] = json.loads((Path(__file__).parents[2] / "fixtures/clients/requests.json").read_text())
READ = "/v1/embeddings"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    reader = with_engine(FakeEngine, "reader", write_task_model(tmp_path_factory.mktemp("m") / "model", "similarity"))
    return client_of(app({"reader": reader, "writer": fake_model()}, ServeSettings(), log=Log(io.StringIO())))


@pytest.mark.parametrize("number", range(len(SENT)))
def test_requests_that_clients_have_sent_are_understood_or_refused_by_name(client, number):
    sent = SENT[number]
    answer = client.post(sent["path"], json={**sent["body"], "model": "reader" if sent["path"] == READ else "writer"})
    if sent["refused"] is not None:
        assert (answer.status_code, error_of(answer)["param"]) == (400, sent["refused"])
        return
    assert answer.status_code == 200, answer.text
    if sent["body"].get("stream"):
        last = events_of(answer.text)[-1]
        assert (last.get("usage") is not None) == ("stream_options" in sent["body"])
    else:
        assert answer.json()["usage"]["prompt_tokens"] > 0
