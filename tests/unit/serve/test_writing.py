"""Completions and chat behind a scripted engine: what is asked for, what comes back, whole and streamed."""

import pytest

from lexloom.text.chat import CHAT_FORMATS, Message
from tests.serving import (
    CONTEXT,
    FakeEngine,
    client_of,
    completion,
    conversation,
    error_of,
    events_of,
    fake_app,
    fake_tokenizer,
)

BOTH = [("/v1/completions", completion), ("/v1/chat/completions", conversation)]


@pytest.fixture
def engine():
    return FakeEngine(fake_tokenizer())


@pytest.fixture
def client(engine):
    return client_of(fake_app(engine))


def test_completion_has_text_reason_and_counts(client):
    answer = client.post("/v1/completions", json=completion()).json()
    assert answer["object"] == "text_completion"
    assert answer["choices"] == [{"index": 0, "text": "What is the sky", "logprobs": None, "finish_reason": "length"}]
    assert answer["usage"] == {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}


def test_text_that_ends_by_itself_is_said_to_stop(client):
    answer = client.post("/v1/completions", json=completion(max_tokens=100)).json()
    assert answer["choices"][0]["finish_reason"] == "stop"


def test_several_prompts_and_n_are_numbered_prompt_by_prompt(client):
    answer = client.post("/v1/completions", json=completion(prompt=["What", "snow"], n=2, max_tokens=1)).json()
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    texts = [choice["text"] for choice in answer["choices"]]
    assert texts[0] == texts[1] != texts[2] == texts[3]


def test_ids_are_taken_as_prompts(client):
    ids = client.post("/tokenize", json={"model": "fake", "text": "What is the sky?"}).json()["ids"]
    for prompt in (ids, [ids]):
        answer = client.post("/v1/completions", json=completion(prompt=prompt)).json()
        assert answer["choices"][0]["text"] == "What is the sky"


def test_first_of_n_has_the_seed_that_was_given_and_the_others_have_seeds_of_their_own(client, engine):
    client.post("/v1/completions", json=completion(seed=7, n=3))
    seeds = [job.settings.seed for job in engine.jobs]
    assert seeds[0] == 7
    assert len(set(seeds)) == 3


def test_settings_reach_the_engine(client, engine):
    fields = {"temperature": 0.5, "top_p": 0.9, "top_k": 3, "min_p": 0.1, "repetition_penalty": 1.2, "stop": ["a", "b"]}
    client.post("/v1/chat/completions", json=conversation(**fields))
    given = engine.jobs[0].settings.model_dump()
    assert {name: given[name] for name in fields if name != "stop"} == {k: v for k, v in fields.items() if k != "stop"}
    assert given["stop"] == ("a", "b", *CHAT_FORMATS["plain"].stop)


def test_conversation_is_written_in_the_models_own_format(client, engine):
    client.post("/v1/chat/completions", json=conversation())
    ids, _ = CHAT_FORMATS["plain"].encode([Message("user", "What is snow?")], fake_tokenizer(), reply=True)
    assert engine.jobs[0].prompt_ids == tuple(ids)


def test_content_may_come_in_parts(client, engine):
    parts = [{"type": "text", "text": "What is "}, {"type": "text", "text": "snow?"}]
    client.post("/v1/chat/completions", json=conversation(messages=[{"role": "user", "content": parts}]))
    client.post("/v1/chat/completions", json=conversation())
    assert engine.jobs[0].prompt_ids == engine.jobs[1].prompt_ids


@pytest.mark.parametrize(("path", "body"), BOTH)
@pytest.mark.parametrize("n", [1, 3])
def test_sum_of_a_stream_is_the_whole_text(client, path, body, n):
    whole = client.post(path, json=body(n=n, max_tokens=12)).json()
    parts = events_of(client.post(path, json=body(n=n, max_tokens=12, stream=True)).text)
    for number in range(n):
        mine = [choice for part in parts for choice in part["choices"] if choice["index"] == number]
        said = "".join(one["text"] if "text" in one else one["delta"].get("content", "") for one in mine)
        choice = whole["choices"][number]
        assert said == (choice["text"] if "text" in choice else choice["message"]["content"])
        assert [one["finish_reason"] for one in mine if one["finish_reason"]] == [choice["finish_reason"]]


@pytest.mark.parametrize(("path", "body"), BOTH)
def test_stream_ends_with_its_mark_and_counts_tokens_if_asked(client, path, body):
    text = client.post(path, json=body(stream=True, stream_options={"include_usage": True})).text
    assert text.endswith("\n\ndata: [DONE]\n\n")
    *parts, last = events_of(text)
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 4
    assert all(part["usage"] is None for part in parts)


def test_log_probabilities_of_chat(client):
    answer = client.post("/v1/chat/completions", json=conversation(logprobs=True, top_logprobs=2)).json()
    told = answer["choices"][0]["logprobs"]["content"]
    assert len(told) == 4
    assert told[0]["bytes"] == list(told[0]["token"].encode())
    assert len(told[0]["top_logprobs"]) == 2


def test_log_probabilities_of_completions(client):
    told = client.post("/v1/completions", json=completion(logprobs=1)).json()["choices"][0]["logprobs"]
    assert told["tokens"] == ["What", " is", " the", " sky"]
    assert told["text_offset"] == [0, 4, 7, 11]
    assert told["token_logprobs"] == [-0.5] * 4


# ---- refusals ----

UNSUPPORTED = ["logit_bias", "tools", "tool_choice", "functions", "presence_penalty", "frequency_penalty", "echo"]
UNSUPPORTED += ["best_of", "suffix", "modalities", "audio", "prediction", "reasoning_effort", "nonsense"]


@pytest.mark.parametrize("field", UNSUPPORTED)
@pytest.mark.parametrize(("path", "body"), BOTH)
def test_field_that_is_not_supported_is_refused_by_name(client, path, body, field):
    response = client.post(path, json=body(**{field: 2}))
    assert response.status_code == 400
    error = error_of(response)
    assert (error["param"], error["code"]) == (field, "unsupported_parameter")
    assert field in error["message"]


@pytest.mark.parametrize(("path", "body"), BOTH)
def test_fields_that_ask_for_nothing_pass(client, path, body):
    nothing = {
        "presence_penalty": 0,
        "frequency_penalty": 0.0,
        "logit_bias": None,
        "tools": [],
        "stop": None,
        "n": None,
    }
    assert client.post(path, json=body(**nothing, user="somebody")).status_code == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("messages", []),
        ("messages", [{"role": "robot", "content": "a"}]),
        ("messages", [{"role": "user"}]),
        ("messages", [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://a"}}]}]),
        ("stop", [f"stop {number}" for number in range(17)]),
        ("stop", ""),
        ("stop", [""]),
        ("top_logprobs", 2),
        ("max_completion_tokens", 5),
        ("response_format", {"type": "xml"}),
        ("response_format", {"type": "json_schema"}),
        ("stream", "yes"),
    ],
)
def test_bad_values_are_refused_with_the_fields_path(client, field, value):
    response = client.post("/v1/chat/completions", json=conversation(**{field: value}))
    assert response.status_code == 400
    assert error_of(response)["param"].startswith(field)


def test_path_of_a_bad_field_leads_to_it(client):
    messages = [{"role": "user", "content": "a"}, {"role": "user", "content": [{"type": "text", "text": 5}]}]
    error = error_of(client.post("/v1/chat/completions", json=conversation(messages=messages)))
    assert error["param"] == "messages[1].content[0].text"


# ---- I4: empty, over-long, boundary prompts ----


@pytest.mark.parametrize("prompt", [[], [[]], "missing"])
def test_prompt_without_anything_is_refused(client, prompt):
    body = completion(prompt=prompt)
    if prompt == "missing":
        del body["prompt"]
    assert client.post("/v1/completions", json=body).status_code == 400


def test_empty_text_begins_a_document(client):
    assert client.post("/v1/completions", json=completion(prompt="")).status_code == 200


@pytest.mark.parametrize(
    ("tokens", "reply", "status"),
    [(CONTEXT - 1, 1, 200), (CONTEXT, 1, 400), (CONTEXT + 1, 1, 400), (CONTEXT - 4, 4, 200), (CONTEXT - 4, 5, 400)],
)
def test_context_is_the_limit_and_nothing_is_cut(client, tokens, reply, status):
    response = client.post("/v1/completions", json=completion(prompt=[5] * tokens, max_tokens=reply))
    assert response.status_code == status
    if status == 400:
        error = error_of(response)
        assert error["code"] == "context_length_exceeded"
        assert all(f"{number:,}" in error["message"] for number in (tokens, reply, CONTEXT))


# ---- I5: wild numbers ----

WILD = [-1, -0.0001, 0, 1e-30, 0.5, 1, 1.0, 1.1, 2, 101, 2**31, 2**63, 10**19, 1e300, True, False, "1", [], {}]
FIELDS = ["temperature", "top_p", "top_k", "min_p", "repetition_penalty", "seed", "n", "logprobs", "max_tokens"]
FIELDS += ["min_tokens", "no_repeat_ngram", "top_logprobs", "max_completion_tokens", "stream_options"]


# What each may be; beside these numbers, only null
MEANT = {
    "temperature": lambda value: 0 <= value <= 100,
    "top_p": lambda value: 0 < value <= 1,
    "top_k": lambda value: type(value) is int and 0 <= value < 2**31,
    "min_p": lambda value: 0 <= value <= 1,
    "repetition_penalty": lambda value: 0.1 <= value <= 10,
    "seed": lambda value: type(value) is int and 0 <= value < 2**63,
    "n": lambda value: type(value) is int and 1 <= value <= 16,
    "min_tokens": lambda value: type(value) is int and 0 <= value <= 4,
    "no_repeat_ngram": lambda value: type(value) is int and 0 <= value <= 1000,
    "max_tokens": lambda value: type(value) is int and 1 <= value < CONTEXT - 100,
}


@pytest.mark.parametrize("field", FIELDS)
def test_wild_numbers_are_obeyed_or_refused_by_name(client, field):
    for path, body in BOTH:
        for value in WILD:
            response = client.post(path, json=body(**{field: value}))
            assert response.status_code in (200, 400), (path, field, value, response.text)
            if response.status_code == 400:
                assert field in error_of(response)["message"], (value, response.text)
            if field in MEANT:
                number = type(value) in (int, float)
                assert (response.status_code == 200) == (number and MEANT[field](value)), (path, value, response.text)
    assert client.post("/v1/completions", json=completion()).json()["choices"][0]["text"] == "What is the sky"


@pytest.mark.parametrize("token", [-1, 2**31, True, 1.0, "5", None])
def test_ids_that_are_none_are_refused(client, token):
    assert client.post("/v1/completions", json=completion(prompt=[1, token])).status_code == 400


def test_refused_requests_reach_no_engine(client, engine):
    client.post("/v1/completions", json=completion(temperature=-1))
    client.post("/v1/chat/completions", json=conversation(nonsense=1))
    assert engine.jobs == []


# ---- I7: control tokens in people's texts ----


@pytest.mark.parametrize("token", ["<|im_start|>", "<|im_end|>", "<|endoftext|>"])
def test_control_tokens_in_texts_stay_text(token):
    tokenizer, engine = fake_tokenizer(), FakeEngine(fake_tokenizer())
    assert tokenizer.id(token) in tokenizer.special_ids
    client = client_of(fake_app(engine))
    for text in (token, token * 2, f"a{token[:4]}{token}b"):
        client.post("/v1/completions", json=completion(prompt=text))
        client.post("/v1/chat/completions", json=conversation(messages=[{"role": "user", "content": text}]))
    for job in engine.jobs:
        assert tokenizer.special_ids.isdisjoint(job.prompt_ids)
    assert tokenizer.decode(list(engine.jobs[-2].prompt_ids)) == f"a{token[:4]}{token}b"


def test_models_list_tells_what_each_can_be_asked(client):
    (model,) = client.get("/v1/models").json()["data"]
    assert "/v1/chat/completions" in model["routes"]
    assert "/v1/classify" not in model["routes"]


def test_model_of_another_kind_is_refused(client):
    response = client.post("/v1/classify", json={"model": "fake", "input": "a"})
    assert (response.status_code, error_of(response)["code"]) == (400, "wrong_kind_of_model")


def test_tokens_and_back(client):
    text = "What is 天空 😀?"
    told = client.post("/tokenize", json={"model": "fake", "text": text}).json()
    assert told["count"] == len(told["ids"]) == len(told["tokens"]) == len(told["offsets"])
    assert client.post("/detokenize", json={"model": "fake", "ids": told["ids"]}).json() == {"text": text}
    assert client.post("/detokenize", json={"model": "fake", "ids": [10**6]}).status_code == 400
