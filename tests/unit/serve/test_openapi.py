"""The OpenAPI document says what the server does."""

import jsonschema
import pytest

from lexloom.serve.routes import ROUTES
from tests.serving import client_of, completion, conversation, fake_app


@pytest.fixture(scope="module")
def client():
    return client_of(fake_app())


@pytest.fixture(scope="module")
def document(client):
    return client.get("/openapi.json").json()


def test_every_route_is_described(document):
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(route.method, route.path) for route in ROUTES}
    assert len({method["operationId"] for path in document["paths"].values() for method in path.values()}) == len(
        ROUTES
    )


def test_every_reference_leads_somewhere(document):
    def references(value):
        if isinstance(value, dict):
            yield from ([value["$ref"]] if "$ref" in value else [])
            value = list(value.values())
        if isinstance(value, list):
            for one in value:
                yield from references(one)

    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    found = set(references(document))
    assert found
    assert found <= known


@pytest.mark.parametrize(
    ("method", "path", "body", "schema"),
    [
        ("POST", "/v1/completions", completion(logprobs=2), "Completion"),
        ("POST", "/v1/chat/completions", conversation(logprobs=True, top_logprobs=1), "ChatCompletion"),
        ("POST", "/v1/completions", completion(temperature=-1), "Error"),
        ("POST", "/tokenize", {"model": "fake", "text": "a 月"}, "Tokens"),
        ("GET", "/v1/models", None, "Models"),
        ("GET", "/ready", None, "Health"),
        ("GET", "/nowhere", None, "Error"),
    ],
)
def test_answers_fit_their_schemas(client, document, method, path, body, schema):
    answer = client.request(method, path, json=body).json()
    jsonschema.validate(answer, {**document, "$ref": f"#/components/schemas/{schema}"})
