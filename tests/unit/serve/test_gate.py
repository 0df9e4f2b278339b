"""S7–S10: who is let in, what browsers may do, paths, and what is logged."""

import io
import json
import logging
import subprocess
import sys

import pytest

from lexloom.serve.gate import OPEN
from lexloom.serve.limits import Limits
from lexloom.serve.log import Log, take_over
from lexloom.serve.routes import ROUTES
from lexloom.serve.settings import ServeSettings
from tests.serving import NAME, FakeEngine, client_of, completion, error_of, fake_app, fake_tokenizer

KEY, OTHER = "the-right-key-of-this-server", "another-right-key-of-this-server"
EVERY_ROUTE = [(route.method, route.path) for route in ROUTES] + [("GET", "/openapi.json"), ("GET", "/nowhere")]


def app_with_keys(log: io.StringIO | None = None):
    return fake_app(settings=ServeSettings(keys=(KEY, OTHER)), log=log)


# ---- S7: keys ----


@pytest.mark.parametrize(("method", "path"), EVERY_ROUTE)
@pytest.mark.parametrize("key", [None, "wrong-key-of-many-letters", KEY[:-1], ""])
def test_every_route_but_liveness_needs_a_key(method, path, key):
    response = client_of(app_with_keys(), key).request(method, path, json={} if method == "POST" else None)
    if path in OPEN:
        assert response.status_code == 200
        return
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"


def test_liveness_says_nothing_about_the_models():
    assert NAME not in client_of(app_with_keys()).get("/health").text


@pytest.mark.parametrize("key", [KEY, OTHER])
def test_right_keys_open(key):
    assert client_of(app_with_keys(), key).get("/v1/models").status_code == 200


def test_a_request_without_key_is_refused_before_its_body_is_read():
    response = client_of(app_with_keys()).post("/v1/completions", content=b"x" * 10_000_000)
    assert response.status_code == 401


def test_jobs_carry_the_owner_of_their_key_so_that_no_prefix_is_shared():
    engine = FakeEngine(fake_tokenizer())
    application = fake_app(engine, settings=ServeSettings(keys=(KEY, OTHER)))
    for key in (KEY, OTHER):
        client_of(application, key).post("/v1/completions", json=completion())
    assert [job.owner for job in engine.jobs] == ["key-1", "key-2"]


# ---- S8: browsers ----


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:80", "10.0.0.1"]
)
def test_foreign_host_is_refused_as_dns_rebinding_would_bring_it(host):
    response = client_of(fake_app()).get("/v1/models", headers={"host": host})
    assert (response.status_code, error_of(response)["code"]) == (403, "unknown_host")


@pytest.mark.parametrize("host", ["", "localhost:99999999", "local host", "localhost/..", "a@localhost", "[::1"])
def test_malformed_host_is_refused(host):
    assert client_of(fake_app()).get("/v1/models", headers={"host": host}).status_code == 400


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:1", "[::1]:8000", "LOCALHOST"])
def test_this_machine_is_known_by_its_names(host):
    assert client_of(fake_app()).get("/v1/models", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:9999", "http://localhost.evil.example", "file://"]
)
def test_pages_of_other_origins_are_refused(origin):
    response = client_of(fake_app()).post("/v1/completions", json=completion(), headers={"origin": origin})
    assert (response.status_code, error_of(response)["code"]) == (403, "foreign_origin")


def test_own_page_may_call():
    headers = {"origin": "http://localhost", "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}
    assert client_of(fake_app()).post("/v1/completions", json=completion(), headers=headers).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_images_and_scripts_of_other_sites_get_nothing(site):
    headers = {"sec-fetch-site": site, "sec-fetch-mode": "no-cors"}
    assert client_of(fake_app()).get("/v1/models", headers=headers).status_code == 403


def test_no_cors_for_anybody():
    headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    response = client_of(fake_app()).options("/v1/completions", headers=headers)
    assert response.status_code == 403
    assert not [name for name in response.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/health", "/nowhere", "/v1/models", "/v1/completions"])
def test_every_answer_forbids_what_pages_could_do_with_it(path):
    headers = client_of(fake_app()).get(path).headers
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_text_plain_as_a_form_could_send_it_is_refused():
    response = client_of(fake_app()).post("/v1/completions", content=b"{}", headers={"content-type": "text/plain"})
    assert response.status_code == 415


# ---- S9: paths ----

WAYS_OUT = ["/../etc/passwd", "/..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/v1/models/..%00"]
WAYS_OUT += ["/a" * 500, "/v1/../openapi.json/", "/health/", "/%5c..%5cwindows", "/v1/models/" + "x" * 5000]


@pytest.mark.parametrize("path", WAYS_OUT)
def test_paths_lead_nowhere_and_open_nothing(path):
    client, opened = client_of(fake_app()), []
    client.get("/health")
    watching = [True]
    sys.addaudithook(lambda event, args: opened.append(args[0]) if watching and event == "open" else None)
    response = client.get(path)
    watching.clear()
    assert response.status_code == 404
    assert not opened


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a\x00b", "", "x" * 100_000])
def test_model_names_are_looked_up_and_nothing_else(name):
    response = client_of(fake_app()).post("/v1/completions", json=completion(model=name))
    assert (response.status_code, error_of(response)["code"]) == (404, "model_not_found")
    assert len(response.text) < 500


# ---- S10: logs ----

NASTY = 'a\nb\r\n{"event": "forged"}\x1b[31m\u2028\x00'


def lines_of(log: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_no_text_of_anybody_and_no_key_is_logged_by_default():
    log = io.StringIO()
    client = client_of(app_with_keys(log), KEY)
    client.post("/v1/completions", json=completion(prompt="my secret"))
    client.post("/v1/completions", json=completion(prompt="my secret", temperature="my secret"))
    client_of(app_with_keys(log), "a-wrong-key-of-many-letters").get("/v1/models")
    assert len(lines_of(log)) == 3
    for word in ("secret", "What", KEY, "a-wrong-key"):
        assert word not in log.getvalue()


def test_failures_are_logged_without_what_they_quote():
    log, engine = io.StringIO(), FakeEngine(fake_tokenizer())

    def fail(job, step):
        raise ValueError("my secret")

    engine.before_step = fail
    response = client_of(fake_app(engine, log=log)).post("/v1/completions", json=completion())
    assert response.status_code == 500
    assert "secret" not in response.text + log.getvalue()
    failure = next(line for line in lines_of(log) if line["event"] == "failure")
    assert failure["kind"] == "ValueError"
    assert failure["id"] in response.text


def test_prompts_are_logged_where_that_is_asked_for():
    log = io.StringIO()
    application = fake_app(settings=ServeSettings(log_prompts=True), log=log)
    client_of(application).post("/v1/completions", json=completion(prompt="my secret"))
    assert lines_of(log)[0]["body"]["prompt"] == "my secret"


def test_each_event_is_one_line_of_json_whatever_clients_send():
    log = io.StringIO()
    application = fake_app(settings=ServeSettings(log_prompts=True), log=log)
    client = client_of(application)
    client.post("/v1/completions", json=completion(prompt=NASTY, model=NASTY, user=NASTY))
    client.get("/x%0a%7b%22event%22:%22forged%22%7d%1b[31m")
    client.request("BREW", "/" + "x" * 10_000)
    events = [line["event"] for line in lines_of(log)]
    assert set(events) <= {"request", "prompt"}
    assert max(map(len, log.getvalue().splitlines())) < 2000
    assert "\x1b" not in log.getvalue()


def test_what_libraries_say_is_one_line_of_ours_and_quotes_nothing(capsys, caplog):
    log = io.StringIO()
    take_over("uvicorn.error", Log(log))
    try:
        raise ValueError("my secret")
    except ValueError:
        logging.getLogger("uvicorn.error").exception("broken\n\x1b[31m")
    logging.getLogger("uvicorn.error").warning("odd\n%s", "x" * 10_000)
    failure, odd = lines_of(log)
    assert (failure["event"], failure["kind"], odd["event"]) == ("failure", "ValueError", "library")
    assert "secret" not in log.getvalue()
    assert len(log.getvalue()) < 3000
    assert capsys.readouterr() == ("", "")
    assert caplog.records == []  # nothing reaches other loggers, which would write it as it came


def test_request_id_stands_in_answer_and_log():
    log = io.StringIO()
    response = client_of(fake_app(log=log)).get("/v1/models", headers={"x-request-id": "chosen-by-a-client"})
    assert lines_of(log)[-1]["id"] == response.headers["x-request-id"] != "chosen-by-a-client"


def test_rate_limit_answers_429_with_the_time_to_come_back():
    application = fake_app(settings=ServeSettings(limits=Limits(requests_per_minute=2)))
    client = client_of(application)
    assert [client.get("/v1/models").status_code for _ in range(3)] == [200, 200, 429]
    assert int(client.get("/v1/models").headers["retry-after"]) >= 1


def test_metrics_name_no_path_that_clients_made_up():
    client = client_of(fake_app())
    for number in range(50):
        client.get(f"/made-up-{number}")
    page = client.get("/metrics").text
    assert "made-up" not in page
    assert 'lexloom_requests_total{path="other",status="404"} 50.0' in page


def test_gate_and_all_before_it_do_without_torch():
    modules = "gate, bodies, callers, errors, limits, settings, listening, connections, parsing"
    schemas = "schema, schema_answers, schema_tasks"
    code = f"import sys; from lexloom.serve import {modules}, {schemas}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
