"""I1: what is served equals what the same model says offline, alone and among 32 others."""

import asyncio
import base64
import io
import json
import random
import re
from collections.abc import Sequence
from typing import Any

import httpx2 as httpx
import jsonschema
import numpy as np
import pytest

import lexloom
from lexloom.generate.engine import generate_ids
from lexloom.generate.prompts import prompt_ids
from lexloom.generate.reply import end_ids, opening_ids
from lexloom.generate.settings import SamplingSettings
from lexloom.models import FAMILIES
from lexloom.models.folder import load_model
from lexloom.serve.app import app
from lexloom.serve.limits import Limits
from lexloom.serve.log import Log
from lexloom.serve.models import open_model
from lexloom.serve.settings import ServeSettings
from lexloom.serve.worker import Worker
from tests.chatting import write_speaker
from tests.folders import SHAPES, write_model
from tests.serving import LOCAL, client_of
from tests.task_folders import write_task_model
from tests.understanding import LIBAI, STEAM

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
OTHERS = 32
CLOSE = 1e-5
DECODERS = [family for family in SHAPES if FAMILIES[family].kind == "decoder"]
PROMPTS = ["To be, or not", "春眠不觉晓", "", "ABC 0123"]

TASKS: dict[str, tuple[str, list[Any], Any]] = {
    "classify": (
        "/v1/classify",
        ["a lovely film", ("the sky is", "very loud"), "太无聊了"],
        lambda one: {"input": [one]},
    ),
    "regress": ("/v1/regress", ["a lovely film", ("dull", "words")], lambda one: {"input": [one]}),
    "tag": ("/v1/tag", ["Anna lives in Paris", "王小明住在北京", "Mr. John Smith left"], lambda one: {"input": one}),
    "relation": (
        "/v1/relations",
        ["the <e1>fire</e1> caused <e2>damage</e2>", "<e1>汽车</e1>的<e2>轮子</e2>"],
        lambda one: {"input": one},
    ),
    "span": (
        "/v1/answer",
        [("When was it built?", STEAM), ("李白是谁？", LIBAI)],
        lambda one: {"question": one[0], "passage": one[1]},
    ),
    "similarity": (
        "/v1/similarity",
        [("a lovely film", "a quiet song"), ("太无聊了", "这部电影真好看")],
        lambda one: {"first": one[0], "second": one[1]},
    ),
    "choice": (
        "/v1/choose",
        [("the sky is", "blue", "loud"), ("大海是", "响的", "蓝的", "空的")],
        lambda one: {"input": one[0], "candidates": list(one[1:])},
    ),
    "text2text": ("/v1/translate", ["这部电影真好看", "the wheel of a car"], lambda one: {"input": one}),
}


def ask(path: Any, requests: Sequence[tuple[str, dict[str, Any]]]) -> list[Any]:
    """The answers of a server around this folder to requests that come together."""
    worker = Worker()
    served = open_model("m", path, worker, Limits())
    application = app({"m": served}, ServeSettings(), log=Log(io.StringIO()))

    async def all_at_once() -> list[Any]:
        transport = httpx.ASGITransport(app=application)
        async with httpx.AsyncClient(transport=transport, base_url=LOCAL, timeout=120) as client:
            return list(
                await asyncio.gather(*(client.post(route, json={"model": "m", **body}) for route, body in requests))
            )

    try:
        answers = asyncio.run(all_at_once())
    finally:
        served.engine.close()
    assert [answer.status_code for answer in answers] == [200] * len(requests), answers[0].text
    return [answer.json() for answer in answers]


def assert_same(served: Any, offline: Any) -> None:
    if isinstance(offline, dict):
        assert served.keys() == offline.keys()
        for name in offline:
            assert_same(served[name], offline[name])
    elif isinstance(offline, list | tuple):
        assert len(served) == len(offline)
        for one, other in zip(served, offline, strict=True):
            assert_same(one, other)
    else:
        assert served == pytest.approx(offline, abs=CLOSE)


def assert_predicted(answer: Any, offline: Any) -> None:
    (result,) = answer["data"]
    assert result.pop("index") == result.pop("cut_characters") == 0
    places = {"id"}  # the name of the input's place, not a part of the answer
    assert_same(
        {k: v for k, v in result.items() if k not in places}, {k: v for k, v in offline.items() if k not in places}
    )


@pytest.mark.parametrize("family", DECODERS)
def test_texts_and_scores_of_decoders_are_those_of_generate(family, tmp_path):
    path = write_model(tmp_path / "model", family=family)
    contents = load_model(path)
    greedy = SamplingSettings(temperature=0.0, max_tokens=8)
    expected = []
    for text in PROMPTS:
        prompt = prompt_ids(text, contents.tokenizer, opening=opening_ids(contents))
        tokens = list(generate_ids(contents.model, [prompt], greedy, eos_ids=end_ids(contents)))
        expected.append((lexloom.load(path).generate(text, max_tokens=8, temperature=0), tokens))

    def body(text: str, **fields: Any) -> tuple[str, dict[str, Any]]:
        return "/v1/completions", {"prompt": text, "max_tokens": 8, "temperature": 0, "logprobs": 1, **fields}

    rng = random.Random(1)
    wanted = [body(text) for text in PROMPTS]
    company = [
        body(rng.choice(PROMPTS) * rng.randint(1, 3), temperature=rng.choice([0, 1]), max_tokens=rng.randint(1, 16))
        for _ in range(OTHERS)
    ]
    for answers in (ask(path, wanted[:1]), ask(path, wanted + company)):
        for answer, (text, tokens) in zip(answers, expected, strict=False):
            choice = answer["choices"][0]
            assert choice["text"] == text
            assert choice["logprobs"]["token_logprobs"] == pytest.approx([t.log_probability for t in tokens], abs=CLOSE)


def test_seed_gives_the_same_text_as_offline(tmp_path):
    path = write_model(tmp_path / "model")
    offline = lexloom.load(path).generate("To be", max_tokens=12, temperature=1.0, seed=5, top_k=20)
    body = {"prompt": "To be", "max_tokens": 12, "temperature": 1.0, "seed": 5, "top_k": 20, "n": 2}
    (answer,) = ask(path, [("/v1/completions", body)])
    assert answer["choices"][0]["text"] == offline != answer["choices"][1]["text"]


@pytest.mark.parametrize("name", TASKS)
def test_answers_of_tasks_are_those_of_predict(name, tmp_path):
    route, inputs, body = TASKS[name]
    path = write_task_model(tmp_path / "model", name)
    offline = lexloom.load(path).predict(inputs)
    alone = ask(path, [(route, body(inputs[0]))])
    assert_predicted(alone[0], offline[0])
    together = ask(path, [(route, body(one)) for one in (inputs * OTHERS)[: OTHERS + 1]])
    for number, answer in enumerate(together):
        assert_predicted(answer, offline[number % len(inputs)])


def test_vectors_are_those_of_embed(tmp_path):
    path = write_task_model(tmp_path / "model", "similarity")
    texts = ["a lovely film", "太无聊了", "", "the sky is " * 40]
    offline = lexloom.load(path).embed(texts[:3])
    plain, packed = ask(
        path,
        [("/v1/embeddings", {"input": texts}), ("/v1/embeddings", {"input": texts, "encoding_format": "base64"})],
    )
    vectors = np.array([one["embedding"] for one in plain["data"]])
    np.testing.assert_allclose(vectors[:3], offline, atol=CLOSE)
    unpacked = [np.frombuffer(base64.b64decode(one["embedding"]), "<f4") for one in packed["data"]]
    np.testing.assert_allclose(unpacked, vectors, atol=CLOSE)
    assert [one["cut_characters"] > 0 for one in plain["data"]] == [False, False, False, True]


def test_masks_are_filled_as_offline(tmp_path):
    path = write_model(tmp_path / "model", family="bert", kind="wordpiece", head="masked")
    text = "To be, or [MASK] to be: [MASK]"
    offline = lexloom.load(path).fill(text, top=3)
    answers = ask(path, [("/v1/fill", {"input": text, "top": 3})] * 5)
    for answer in answers:
        for entry, candidates in zip(answer["data"], offline, strict=True):
            assert [one["id"] for one in entry["candidates"]] == [one.id for one in candidates]
            assert_same([one["probability"] for one in entry["candidates"]], [one.probability for one in candidates])


def test_what_is_cut_is_told(tmp_path):
    path = write_task_model(tmp_path / "model", "classify", max_tokens=16)
    (answer,) = ask(path, [("/v1/classify", {"input": ["a lovely film " * 30, "short"]})])
    assert [one["cut_characters"] > 0 for one in answer["data"]] == [True, False]


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
