"""I1: what is served equals what the same model says offline, for every family and task, alone and among 32 others."""

import base64
import random
from functools import partial
from typing import Any

import numpy as np
import pytest

import lexloom
from lexloom.models import FAMILIES
from tests.folders import write_model
from tests.offline import ask, everything
from tests.task_folders import write_task_model

OTHERS = 32
CLOSE = 1e-5
EVERYTHING = everything()
every_case = pytest.mark.parametrize("case", EVERYTHING)
every_writer = pytest.mark.parametrize("case", [case for case in EVERYTHING if case.endswith(("completions", "chat"))])


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


def test_every_family_is_in_the_table():
    assert {case.split()[0] for case in EVERYTHING} == FAMILIES.keys()


@every_case
def test_answers_are_those_of_offline_alone_and_among_others(case, tmp_path):
    asked = EVERYTHING[case](tmp_path / "model")
    (alone,) = ask(asked.path, [(asked.route, asked.bodies[0])])
    assert_same(asked.said(alone), asked.offline[0])
    together = [number % len(asked.bodies) for number in range(OTHERS + 1)]
    answers = ask(asked.path, [(asked.route, asked.bodies[number]) for number in together])
    for number, answer in zip(together, answers, strict=True):
        assert_same(asked.said(answer), asked.offline[number])


@every_writer
def test_texts_are_those_of_offline_among_others_of_any_length_and_temperature(case, tmp_path):
    asked, rng = EVERYTHING[case](tmp_path / "model"), random.Random(1)
    wild = partial(rng.choice, asked.bodies)
    others = [{**wild(), "temperature": rng.choice([0, 1]), "max_tokens": rng.randint(1, 16)} for _ in range(OTHERS)]
    answers = ask(asked.path, [(asked.route, body) for body in asked.bodies + others])
    for answer, offline in zip(answers, asked.offline, strict=False):
        assert_same(asked.said(answer), offline)


def test_seed_gives_the_same_text_as_offline(tmp_path):
    path = write_model(tmp_path / "model")
    offline = lexloom.load(path).generate("To be", max_tokens=12, temperature=1.0, seed=5, top_k=20)
    body = {"prompt": "To be", "max_tokens": 12, "temperature": 1.0, "seed": 5, "top_k": 20, "n": 2}
    (answer,) = ask(path, [("/v1/completions", body)])
    assert answer["choices"][0]["text"] == offline != answer["choices"][1]["text"]


def test_vectors_as_bytes_are_those_as_numbers_and_say_what_was_cut(tmp_path):
    path = write_task_model(tmp_path / "model", "similarity")
    texts = ["a lovely film", "太无聊了", "", "the sky is " * 40]
    forms = [{"input": texts}, {"input": texts, "encoding_format": "base64"}]
    plain, packed = ask(path, [("/v1/embeddings", form) for form in forms])
    unpacked = [np.frombuffer(base64.b64decode(one["embedding"]), "<f4") for one in packed["data"]]
    np.testing.assert_allclose(unpacked, [one["embedding"] for one in plain["data"]], atol=CLOSE)
    assert [one["cut_characters"] > 0 for one in plain["data"]] == [False, False, False, True]


def test_what_is_cut_is_told(tmp_path):
    path = write_task_model(tmp_path / "model", "classify", max_tokens=16)
    (answer,) = ask(path, [("/v1/classify", {"input": ["a lovely film " * 30, "short"]})])
    assert [one["cut_characters"] > 0 for one in answer["data"]] == [True, False]
