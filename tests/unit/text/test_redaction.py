from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexloom.base.errors import RecipeError
from lexloom.base.ledger import Ledger
from lexloom.base.recipe import check
from lexloom.text.redaction import (
    IDENTITY_CHECKS,
    IDENTITY_WEIGHTS,
    REDACTIONS,
    RedactSettings,
    is_card_number,
    is_identity_number,
    redact,
)
from tests.linear import assert_linear


def redacted(text: str, *kinds: str) -> str:
    return redact(text, "a:1", RedactSettings(kinds=kinds or ("all",)), Ledger())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("write to zhang.san+x@mail.example.com.", "write to [EMAIL]."),
        ("邮箱zhangsan@qq.com或电话", "邮箱[EMAIL]或电话"),
        ("ｚｓ＠ｑｑ．ｃｏｍ", "[EMAIL]"),
        ("手机13812345678，谢谢", "手机[PHONE]，谢谢"),
        ("手机138 1234 5678或139-1234-5678", "手机[PHONE]或[PHONE]"),
        ("手机１３８１２３４５６７８。", "手机[PHONE]。"),
        ("+86 13812345678", "[PHONE]"),
        ("电话010-62345678转", "电话[PHONE]转"),
        ("电话(0755)26543210", "电话[PHONE]"),
        ("电话（021）62345678-801", "电话[PHONE]"),
        ("客服400-123-4567", "客服[PHONE]"),
        ("call +44 20 7946 0958 now", "call [PHONE] now"),
        ("call +1 (555) 234-5678", "call [PHONE]"),
        ("call (415) 555-2671 or 415-555-2671", "call [PHONE] or [PHONE]"),
        ("call 415.555.2671", "call [PHONE]"),
        ("身份证11010519491231002X号", "身份证[ID]号"),
        ("身份证440524188001010014", "身份证[ID]"),
        ("旧身份证110105491231002", "旧身份证[ID]"),
        ("卡号6222021234567890128", "卡号[CARD]"),
        ("card 4111 1111 1111 1111", "card [CARD]"),
        ("card 4111-1111-1111-1111", "card [CARD]"),
        ("amex 3782 822463 10005", "amex [CARD]"),
        ("host 192.168.1.254:80", "host [IP]:80"),
        ("地址10.0.0.1。", "地址[IP]。"),
        ("host 2001:db8::ff00:42:8329", "host [IP]"),
        ("host fe80::1", "host [IP]"),
    ],
)
def test_personal_data_is_replaced_by_its_mark(before: str, after: str) -> None:
    assert redacted(before) == after


@pytest.mark.parametrize(
    "text",
    [
        "in 1989 and 2023-01-02, at 12:30:45",
        "pi is 3.14159265358979",
        "10000000000",
        "版本 1.2.3 或 1.2.3.4.5",
        "256.1.1.1",
        "身份证110105194912310021",  # wrong check character
        "身份证110105194913310028",  # month 13
        "身份证990105491231002",  # no such province
        "card 4111 1111 1111 1112",  # wrong Luhn digit
        "0000000000000000",
        "std::vector and a::b",
        "a@b",
        "@mention",
        "12345678901",
        "订单编号 9913812345678001",
        "ISBN 978-7-02-000220-7",
        "３０００公里",
    ],
)
def test_other_numbers_and_signs_stay(text: str) -> None:
    assert redacted(text) == text


def test_only_the_named_kinds_are_replaced() -> None:
    text = "zs@qq.com 13812345678"
    assert redacted(text, "email") == "[EMAIL] 13812345678"
    assert redact(text, "", RedactSettings(), Ledger()) == text


def test_replacements_are_counted_by_kind() -> None:
    ledger = Ledger()
    redact("a@b.cn c@d.cn 13812345678", "x:1", RedactSettings(kinds=("all",)), ledger)
    counts = [(outcome, entry.documents, entry.characters) for _, outcome, entry in ledger]
    assert counts == [("email", 1, 12), ("telephone", 1, 11)]
    assert ledger["redact", "email"].examples == ["x:1"]


@given(st.integers(0, 36_000), st.integers(0, 999))
def test_identity_numbers_with_a_right_check_character_are_known(day: int, order: int) -> None:
    year, month, date = 1900 + day // 360, day % 360 // 30 + 1, min(day % 30 + 1, 28)
    body = f"440524{year}{month:02}{date:02}{order:03}"
    total = sum(weight * int(digit) for weight, digit in zip(IDENTITY_WEIGHTS, body, strict=True))
    right = IDENTITY_CHECKS[total % 11]
    assert is_identity_number(body + right)
    assert not any(is_identity_number(body + wrong) for wrong in IDENTITY_CHECKS if wrong != right)


def test_published_check_numbers() -> None:
    assert is_identity_number("11010519491231002X")  # the example of GB 11643-1999
    for card in ("4111111111111111", "5500000000000004", "340000000000009", "6011000000000004"):
        assert is_card_number(card)


@given(st.text(alphabet="0123456789 -+()@.:aAxX中", max_size=200))
def test_any_mixture_is_taken_and_marks_are_left_alone(text: str) -> None:
    once = redacted(text)
    assert redacted("[EMAIL][ID][CARD][IP][PHONE]") == "[EMAIL][ID][CARD][IP][PHONE]"
    assert isinstance(once, str)


def test_unknown_kind_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(RecipeError, match="did you mean 'email'"):
        check(RedactSettings, {"kinds": ["e-mail"]}, where="recipe")


HARD: dict[str, Callable[[int], str]] = {
    "letters": lambda n: "a" * n,
    "letters and @": lambda n: "a" * n + "@",
    "many @": lambda n: "a@" * (n // 2),
    "domains": lambda n: "a@" + "a." * (n // 2),
    "digits": lambda n: "1" * n,
    "digits and spaces": lambda n: "4 " * (n // 2),
    "groups": lambda n: "4111 " * (n // 5),
    "pluses": lambda n: "+1" * (n // 2),
    "plus and blanks": lambda n: "+1" + " " * n,
    "brackets": lambda n: "(0" * (n // 2),
    "dots": lambda n: "1." * (n // 2),
    "colons": lambda n: ":" * n + "1",
    "hexadecimal": lambda n: "a:" * (n // 2) + "1",
    "identity": lambda n: "110105194912310021" * (n // 18),
    "full-width": lambda n: "１" * n,
}


@pytest.mark.parametrize("kind", REDACTIONS)
def test_every_kind_takes_linear_time(kind: str) -> None:
    for name, make in HARD.items():
        assert_linear(lambda text: redacted(text, kind), make, name)
