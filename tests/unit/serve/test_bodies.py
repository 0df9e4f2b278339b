import asyncio
import time

import pytest

from lexloom.serve.bodies import ClientGone, parse_json, read_body
from lexloom.serve.errors import ApiError
from lexloom.serve.limits import Limits

LIMITS = Limits(body_bytes=1000, body_s=0.2, json_depth=8, json_digits=20)
JSON = [(b"content-type", b"application/json")]


def read(*parts: bytes, headers=JSON, more: bool = False, limits: Limits = LIMITS) -> bytes:
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    if messages and not more:
        messages[-1]["more_body"] = False

    async def receive():
        return messages.pop(0) if messages else await asyncio.Future()

    return asyncio.run(read_body(headers, receive, limits))


def refused(body: bytes, limits: Limits = LIMITS) -> ApiError:
    with pytest.raises(ApiError) as caught:
        parse_json(body, limits)
    assert caught.value.status == 400
    return caught.value


def test_body_is_what_was_sent():
    assert read(b'{"a', b'":1}') == b'{"a":1}'
    assert parse_json('{"月": [1, 2.5, "é\\u00e9", null, true]}'.encode(), LIMITS) == {"月": [1, 2.5, "éé", None, True]}


@pytest.mark.parametrize("kind", [b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data", b""])
def test_only_json_is_taken_so_that_no_form_of_another_site_works(kind):
    with pytest.raises(ApiError, match="application/json") as caught:
        read(b"{}", headers=[(b"content-type", kind)])
    assert caught.value.status == 415


@pytest.mark.parametrize("length", [b"1001", b"9" * 50])
def test_declared_length_is_refused_before_a_byte_is_read(length):
    with pytest.raises(ApiError, match="body_bytes is 1,000") as caught:
        read(headers=[*JSON, (b"content-length", length)])
    assert caught.value.status == 413


@pytest.mark.parametrize("length", [b"-1", b"1e3", b"\xb2"])
def test_length_that_is_no_number_is_refused(length):
    with pytest.raises(ApiError, match="not a number"):
        read(b"{}", headers=[*JSON, (b"content-length", length)])


def test_body_larger_than_declared_is_refused_at_the_limit():
    with pytest.raises(ApiError) as caught:
        read(*[b"x" * 300] * 5, headers=[*JSON, (b"content-length", b"10")])
    assert caught.value.status == 413


def test_slow_body_ends_at_the_deadline():
    with pytest.raises(ApiError, match="body_s") as caught:
        read(b"{", more=True)
    assert caught.value.status == 408


def test_client_that_leaves_in_the_middle_is_noticed():
    async def receive():
        return {"type": "http.disconnect"}

    with pytest.raises(ClientGone):
        asyncio.run(read_body(JSON, receive, LIMITS))


def test_header_that_stands_twice_is_refused():
    with pytest.raises(ApiError, match="more than once"):
        read(b"{}", headers=[*JSON, *JSON])


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 21, "-" + "9" * 5000])
def test_numbers_that_are_not_finite_or_are_huge_are_refused(number):
    refused(b'{"temperature": %s}' % number.encode(), Limits())


def test_same_key_twice_is_refused():
    assert "same key twice" in refused(b'{"model": "a", "model": "b"}').message


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b'"a"', b"{", b"{]", b'{"a": 1} x', b"{'a': 1}", b"\xff\xfe{}"])
def test_what_is_no_json_object_is_refused(body):
    assert refused(body).code == "invalid_json"


def test_depth_is_bounded_and_brackets_in_texts_do_not_count():
    assert "json_depth is 8" in refused(b'{"a":' + b"[" * 8 + b"]" * 8 + b"}").message
    text = "[{" * 50 + '\\"' + "[" * 50
    assert parse_json(b'{"a": "%s"}' % text.encode(), LIMITS)["a"].count("[") == 100


@pytest.mark.parametrize("escape", [rb"\ud800", rb"\uDFFF", rb"\ud83d\u0041"])
def test_half_of_a_surrogate_pair_is_refused(escape):
    assert "surrogate" in refused(b'{"a": "%s"}' % escape).message


def test_whole_surrogate_pairs_are_one_character():
    assert parse_json(rb'{"a": "\ud83d\ude00"}', LIMITS) == {"a": "😀"}


@pytest.mark.parametrize("unit", [b"[", b'"\\', b'\\"', b'{"a":', b"[]", b'""', b"\\"])
def test_time_is_linear_in_the_size_of_a_hostile_body(unit):
    def seconds(count: int) -> float:
        body, best = b'{"x":' + unit * count, float("inf")
        for _ in range(3):
            started = time.process_time()
            refused(body, Limits(json_depth=10**9 if unit == b"[]" else 32))
            best = min(best, time.process_time() - started)
        return best

    assert seconds(160_000) < 12 * seconds(40_000) + 0.05
