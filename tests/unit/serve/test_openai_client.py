"""The public `openai` client, unmodified, against a server on a socket."""

import json

import openai
import pytest

from tests.listening import running
from tests.serving import NAME

KEY = "the-right-key-of-this-server"
SAID = [{"role": "user", "content": "What is snow? 雪"}]


@pytest.fixture(scope="module")
def server():
    with running(keys=(KEY,)) as server:
        yield server


@pytest.fixture(scope="module")
def client(server):
    with openai.OpenAI(base_url=server.url + "/v1", api_key=KEY, max_retries=0) as client:
        yield client


def test_models(client):
    assert [model.id for model in client.models.list()] == [NAME]


def test_chat(client):
    answer = client.chat.completions.create(model=NAME, messages=SAID, max_tokens=5, n=2, seed=1, user="me")
    assert len(answer.choices) == 2
    assert answer.choices[0].message.role == "assistant"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 10


def test_chat_streams(client):
    whole = client.chat.completions.create(model=NAME, messages=SAID, max_tokens=30)
    stream = client.chat.completions.create(
        model=NAME, messages=SAID, max_tokens=30, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage


def test_log_probabilities(client):
    answer = client.chat.completions.create(model=NAME, messages=SAID, max_tokens=2, logprobs=True, top_logprobs=3)
    assert len(answer.choices[0].logprobs.content[0].top_logprobs) == 3


def test_completions_whole_and_streamed(client):
    whole = client.completions.create(model=NAME, prompt="What is the sky?", max_tokens=4)
    parts = client.completions.create(model=NAME, prompt="What is the sky?", max_tokens=4, stream=True)
    assert "".join(part.choices[0].text for part in parts) == whole.choices[0].text == "What is the sky"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"model": "other"}, openai.NotFoundError),
        ({"temperature": -1}, openai.BadRequestError),
        ({"logit_bias": {"5": 1}}, openai.BadRequestError),
        ({"messages": []}, openai.BadRequestError),
    ],
)
def test_errors_have_the_right_class(client, change, error):
    with pytest.raises(error) as caught:
        client.chat.completions.create(**{"model": NAME, "messages": SAID, **change})
    assert caught.value.param == next(iter(change))
    assert caught.value.request_id.startswith("req-")


def test_wrong_key_is_an_authentication_error(server):
    wrong = openai.OpenAI(base_url=server.url + "/v1", api_key="wrong", max_retries=0)
    with wrong as other, pytest.raises(openai.AuthenticationError):
        other.models.list()


def test_foreign_host_is_a_permission_error(server):
    headers = {"Host": "evil.example"}
    foreign = openai.OpenAI(base_url=server.url + "/v1", api_key=KEY, default_headers=headers, max_retries=0)
    with foreign as other, pytest.raises(openai.PermissionDeniedError):
        other.models.list()


def test_rate_limit_is_a_rate_limit_error():
    with (
        running(requests_per_minute=1) as server,
        openai.OpenAI(base_url=server.url + "/v1", api_key="any", max_retries=0) as client,
    ):
        client.models.list()
        with pytest.raises(openai.RateLimitError):
            client.models.list()


def test_failure_in_the_middle_of_a_stream_is_an_error_and_no_short_answer(server, client):
    def fail(job, step):
        if step == 3:
            raise ValueError("broken")

    server.engine.before_step = fail
    try:
        with pytest.raises(openai.APIError, match="the server failed"):
            list(client.chat.completions.create(model=NAME, messages=SAID, max_tokens=9, stream=True))
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(model=NAME, messages=SAID, max_tokens=9)
    finally:
        server.engine.before_step = lambda job, step: None
    assert client.chat.completions.create(model=NAME, messages=SAID, max_tokens=9).choices[0].message.content
    assert all(json.loads(line) for line in server.log.getvalue().splitlines())
