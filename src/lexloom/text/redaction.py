"""Personal data out of the text: e-mail addresses, telephone, identity and card numbers, IP addresses.

Patterns run in linear time: every repetition is bounded, and look-arounds on digits stand where others write \\b, which
doesn't see a border between a Chinese character and a digit. Check digits and dates are verified, so that few other
numbers are hit; names and postal addresses are not found at all.
"""

import calendar
import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from pydantic import field_validator

from lexloom.base.ledger import Ledger
from lexloom.base.recipe import Settings, nearest
from lexloom.text.cleaning import FULL_WIDTH_LETTERS


class RedactSettings(Settings):
    """Which personal data is replaced by a mark such as [EMAIL]."""

    kinds: tuple[str, ...] = ()
    """Names from REDACTIONS: email, identity_number, bank_card, ip_address, telephone; or ["all"]."""

    @field_validator("kinds")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in (*REDACTIONS, ALL):
                raise ValueError(f"unknown kind {name!r}; {nearest(name, [*REDACTIONS, ALL])}")
        return names


def redact(text: str, where: str, settings: RedactSettings, ledger: Ledger) -> str:
    """Replace what the settings name; the ledger gets the documents and the characters replaced, by kind.

    The order is that of REDACTIONS, whatever the settings' order: an identity number is not taken for a card.
    """
    plain = _with_ascii_digits(text)
    for name, redaction in REDACTIONS.items():
        if (name in settings.kinds or ALL in settings.kinds) and redaction.needs.search(plain):
            replaced = _replace(text, plain, where, name, redaction, ledger)
            plain = _with_ascii_digits(replaced) if replaced is not text else plain
            text = replaced
    return text


@dataclass(frozen=True, slots=True)
class Redaction:
    """A pattern, a check that its match must pass, the mark that replaces it, and what a text needs to be looked at."""

    mark: str
    pattern: re.Pattern[str]
    is_one: Callable[[str], bool]
    needs: re.Pattern[str]


def is_identity_number(text: str) -> bool:
    """A Chinese resident identity number: 18 characters (GB 11643, check of ISO 7064 mod 11-2) or the old 15."""
    if text[:2] not in PROVINCES:
        return False
    if len(text) == 15:
        return _is_date(1900 + int(text[6:8]), int(text[8:10]), int(text[10:12]))
    total = sum(weight * int(digit) for weight, digit in zip(IDENTITY_WEIGHTS, text[:17], strict=True))
    right = IDENTITY_CHECKS[total % 11]
    return text[17].upper() == right and _is_date(int(text[6:10]), int(text[10:12]), int(text[12:14]))


def is_card_number(text: str) -> bool:
    """13 to 19 digits, with spaces or hyphens, whose Luhn check (ISO/IEC 7812) is right, and not all the same."""
    digits = [int(character) for character in text if character.isdigit()]
    doubled = [digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and len(set(digits)) > 1 and (sum(digits[::-2]) + sum(doubled)) % 10 == 0


def is_ip_address(text: str) -> bool:
    """An IPv4 or IPv6 address; of IPv6 only what has a digit, so that `std::cafe` isn't one."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return any(character.isdigit() for character in text)


def is_telephone(text: str) -> bool:
    """At most 15 digits (E.164), at least 7."""
    return 7 <= sum(character.isdigit() for character in text) <= 15


# The first two digits by region: North, North-East, East, South, South-West, North-West, Taiwan and the rest.
PROVINCES = tuple(
    f"{region}{province}"
    for region, provinces in enumerate(("12345", "123", "1234567", "123456", "01234", "12345", "1", "123", "1"), 1)
    for province in provinces
)
IDENTITY_WEIGHTS = [pow(2, 18 - place, 11) for place in range(1, 18)]
IDENTITY_CHECKS = "10X98765432"
ALL = "all"

# What a text must hold to be worth the real pattern: each begins with one set of characters, which re finds fast.
_AT = re.compile("@")
_LONG_NUMBER = re.compile("[0-9]{4}[0-9 -][0-9]{4}")
_NUMBER = re.compile("[0-9][0-9 ().-]{5}")
_ADDRESS = re.compile("[0-9:][0-9A-Fa-f]{0,3}[.:][0-9A-Fa-f]")

_EMAIL = r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9])"
_IDENTITY = r"(?<![0-9A-Za-z])[1-9][0-9]{5}(?:(?:18|19|20)[0-9]{9}[0-9Xx]|[0-9]{9})(?![0-9A-Za-z])"
_CARD = (
    r"(?<![0-9])(?<![0-9][ .-])(?:[2-69][0-9]{12,18}"
    r"|[2-69][0-9]{3}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{1,4}(?:\1[0-9]{1,3})?"
    r"|3[47][0-9]{2}([ -])[0-9]{6}\2[0-9]{5})(?![0-9])"
)
_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"(?<![0-9A-Za-z.]){_BYTE}(?:\.{_BYTE}){{3}}(?![0-9]|\.[0-9])"
_IPV6 = r"(?<![0-9A-Za-z:.])(?=[0-9A-Fa-f]{0,4}:)[0-9A-Fa-f:]{3,39}(?![0-9A-Za-z:])"
_CHINESE_MOBILE = r"(?:(?:\+|00)?86[ -]?)?1[3-9][0-9](?:[0-9]{8}| [0-9]{4} [0-9]{4}|-[0-9]{4}-[0-9]{4})"
_CHINESE_LANDLINE = (
    r"(?:(?:\+|00)86[ -]?)?(?:[(（]0[1-9][0-9]{1,2}[)）] ?|0[1-9][0-9]{1,2}[ -])[2-9][0-9]{6,7}(?:-[0-9]{1,6})?"
)
_CHINESE_SERVICE = r"[48]00[ -][0-9]{3}[ -][0-9]{4}"
_INTERNATIONAL = r"\+[1-9][0-9 ().-]{5,20}[0-9]"
_AMERICAN = r"(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])[2-9][0-9]{2}[ .-][0-9]{4}"
_NUMBERS = "|".join((_CHINESE_MOBILE, _CHINESE_LANDLINE, _CHINESE_SERVICE, _INTERNATIONAL, _AMERICAN))
_TELEPHONE = rf"(?<![0-9])(?<![0-9][.-])(?:{_NUMBERS})(?![0-9])"

REDACTIONS: dict[str, Redaction] = {
    "email": Redaction("[EMAIL]", re.compile(_EMAIL), lambda text: True, _AT),
    "identity_number": Redaction("[ID]", re.compile(_IDENTITY), is_identity_number, _LONG_NUMBER),
    "bank_card": Redaction("[CARD]", re.compile(_CARD), is_card_number, _LONG_NUMBER),
    "ip_address": Redaction("[IP]", re.compile(f"{_IPV4}|{_IPV6}"), is_ip_address, _ADDRESS),
    "telephone": Redaction("[PHONE]", re.compile(_TELEPHONE), is_telephone, _NUMBER),
}

_TO_ASCII = FULL_WIDTH_LETTERS | {ord("＠"): "@", ord("．"): ".", ord("－"): "-", ord("＋"): "+", ord("："): ":"}
_FULL_WIDTH = re.compile("[０-９＠Ａ-Ｚａ-ｚ]")


def _with_ascii_digits(text: str) -> str:
    """A copy of the same length whose full-width letters and digits are ASCII, to search in."""
    return text.translate(_TO_ASCII) if not text.isascii() and _FULL_WIDTH.search(text) else text


def _replace(text: str, plain: str, where: str, name: str, redaction: Redaction, ledger: Ledger) -> str:
    kept, position, replaced = [], 0, 0
    for match in redaction.pattern.finditer(plain):
        if redaction.is_one(match[0]):
            kept += [text[position : match.start()], redaction.mark]
            position = match.end()
            replaced += len(match[0])
    if not kept:
        return text
    ledger.count("redact", name, characters=replaced, where=where)
    return "".join(kept) + text[position:]


def _is_date(year: int, month: int, day: int) -> bool:
    if not 1 <= month <= 12 or not 1 <= day <= calendar.monthrange(year, month)[1]:
        return False
    return date(year, month, day) >= EARLIEST_BIRTH


EARLIEST_BIRTH = date(1850, 1, 1)
