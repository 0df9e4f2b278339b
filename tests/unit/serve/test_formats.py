"""Answers keep the format that was asked for, and a format that can't be kept is refused."""

import io
import json
import re

import jsonschema
import pytest

from lexloom.serve.app import app
from lexloom.serve.limits import Limits
from lexloom.serve.log import Log
from lexloom.serve.models import open_model
from lexloom.serve.settings import ServeSettings
from lexloom.serve.worker import Worker
from tests.chatting import write_speaker
from tests.offline import ask
from tests.serving import client_of

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"enum": ["sky", "snow"]},
        "number": {"type": "integer", "minimum": 0, "maximum": 99},
        "sure": {"type": "boolean"},
    },
    "required": ["name", "number", "sure"],
    "additionalProperties": False,
}
FORMATS = [
    (
        {"type": "json_schema", "json_schema": {"name": "thing", "schema": SCHEMA, "strict": True}},
        lambda text: jsonschema.validate(json.loads(text), SCHEMA),
    ),
    ({"type": "choices", "choices": ["sky", "snow", "天空"]}, lambda text: ["sky", "snow", "天空"].index(text)),
    ({"type": "regex", "pattern": "[a-c]{3}-[0-9]{2}"}, lambda text: re.fullmatch("[a-c]{3}-[0-9]{2}", text).group()),
]


def test_answers_keep_the_format_that_was_asked_for(tmp_path):
    path = write_speaker(tmp_path / "model", context=256)
    body = {"messages": [{"role": "user", "content": "What is snow?"}], "max_tokens": 120, "temperature": 1.0}
    wanted = [(form, check, stream) for form, check in FORMATS for stream in (False, True)]
    answers = ask(path, [("/v1/chat/completions", {**body, "response_format": form}) for form, _, _ in wanted])
    for answer, (_, check, _) in zip(answers, wanted, strict=True):
        assert answer["choices"][0]["finish_reason"] == "stop"
        check(answer["choices"][0]["message"]["content"])


@pytest.mark.parametrize("form", [{"type": "regex", "pattern": "(a"}, {"type": "regex", "pattern": r"(a)\1"}])
def test_format_that_can_not_be_kept_is_refused(form, tmp_path):
    body = {"model": "m", "messages": [{"role": "user", "content": "a"}], "response_format": form}
    worker = Worker()
    served = open_model("m", write_speaker(tmp_path / "model"), worker, Limits())
    try:
        answer = client_of(app({"m": served}, ServeSettings(), log=Log(io.StringIO()))).post(
            "/v1/chat/completions", json=body
        )
    finally:
        served.engine.close()
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "response_format"
