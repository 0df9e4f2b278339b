"""Requests made from the OpenAPI document, right ones and wrong ones, never break the server."""

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error

from lexloom.serve.openapi import document
from lexloom.serve.routes import ROUTES
from tests.listening import running
from tests.serving import NAME

DOCUMENT = document(ROUTES)
for described in DOCUMENT["components"]["schemas"].values():
    if "model" in described.get("properties", {}):
        described["properties"]["model"] = {"enum": [NAME, "other"]}  # or no request would reach an engine
schema = schemathesis.openapi.from_dict(DOCUMENT)


@pytest.fixture(scope="module")
def server():
    with running(requests_per_minute=10**9) as server:
        yield server


@pytest.mark.slow
@schema.parametrize()
@settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
def test_no_request_makes_a_server_error(case, server):
    response = case.call(base_url=server.url)
    case.validate_response(response, checks=[not_a_server_error])
