import hmac

import pytest

from lexloom.serve.callers import ANYBODY, Keys, Shares
from lexloom.serve.errors import ApiError
from lexloom.serve.limits import Limits

ONE, TWO = "first-key-of-many-letters", "second-key-of-many-letters"


@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer ", f"Basic {ONE}", ONE, f"Bearer {ONE[:-1]}", f"Bearer {ONE}x", "Bearer é"]
)
def test_no_key_and_wrong_keys_are_refused(given):
    with pytest.raises(ApiError) as caught:
        Keys([ONE, TWO]).owner(given)
    assert caught.value.status == 401
    assert ONE not in caught.value.message


def test_each_key_has_an_owner_of_its_own():
    keys = Keys([ONE, TWO])
    assert [keys.owner(f"Bearer {key}") for key in (ONE, TWO)] == ["key-1", "key-2"]
    assert keys.owner(f"bearer  {TWO} ") == "key-2"


def test_without_keys_everybody_is_let_in():
    assert Keys([]).owner(None) == ANYBODY


def test_every_key_is_compared_in_constant_time_whichever_is_right(monkeypatch):
    compared = []
    compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((len(a), len(b))) or compare(a, b))
    keys = Keys([ONE, TWO])
    keys.owner(f"Bearer {ONE}")
    assert compared == [(32, 32)] * 2


def test_rate_is_per_key_and_says_when_to_come_back():
    now = [0.0]
    shares = Shares(Limits(requests_per_minute=3), clock=lambda: now[0])
    for _ in range(3):
        shares.spend("a")
    with pytest.raises(ApiError, match="requests_per_minute is 3") as caught:
        shares.spend("a")
    assert (caught.value.status, caught.value.retry_after_s) == (429, 21)
    shares.spend("b")
    now[0] = float(caught.value.retry_after_s)
    shares.spend("a")
    with pytest.raises(ApiError):
        shares.spend("a")


def test_refill_never_exceeds_a_minutes_share():
    now = [0.0]
    shares = Shares(Limits(requests_per_minute=2), clock=lambda: now[0])
    now[0] = 1e9
    shares.spend("a")
    shares.spend("a")
    with pytest.raises(ApiError):
        shares.spend("a")


def test_one_key_can_not_take_all_places():
    shares = Shares(Limits(concurrent=3, concurrent_per_key=2))
    with shares.place("a"), shares.place("a"):
        with pytest.raises(ApiError, match="concurrent_per_key is 2"), shares.place("a"):
            pass
        with shares.place("b"), pytest.raises(ApiError, match="concurrent is 3"), shares.place("c"):
            pass
    assert shares.running == 0


def test_place_is_given_back_after_an_error():
    shares = Shares(Limits(concurrent=1))
    with pytest.raises(ZeroDivisionError), shares.place("a"):
        raise ZeroDivisionError
    assert shares.running == 0
