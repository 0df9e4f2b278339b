"""Unicode clean-up: named functions from text to text, applied in the order in which the user lists them."""

import html
import re
import unicodedata
from collections.abc import Callable

from pydantic import field_validator

from lexloom.base.ledger import Ledger
from lexloom.base.recipe import Settings, nearest


class CleanSettings(Settings):
    """What is mended in every document before anything else looks at it."""

    steps: tuple[str, ...] = ("nfc", "controls", "spaces")
    """Names from CLEANERS, in order: nfc, nfkc, controls, spaces, blank_lines, html, halfwidth.

    The default leaves Chinese punctuation, full-width forms and the ideographic space as they are."""

    @field_validator("steps")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in CLEANERS:
                raise ValueError(f"unknown step {name!r}; {nearest(name, list(CLEANERS))}")
        return names


def clean(text: str, where: str, settings: CleanSettings, ledger: Ledger) -> str:
    """Apply the steps in order; the ledger gets the documents that each changed and the characters it removed."""
    for name in settings.steps:
        before, text = text, CLEANERS[name](text)
        if text != before:
            ledger.count("clean", name, characters=max(0, len(before) - len(text)), where=where)
    return text


def nfc(text: str) -> str:
    """Canonical composition (UAX #15): é is one character. Full-width forms stay; compatibility ideographs unify."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def nfkc(text: str) -> str:
    """Compatibility composition (UAX #15): also ，→ , and Ａ → A and ﬁ → fi. It changes Chinese punctuation."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def controls(text: str) -> str:
    """Drop control and invisible format characters; other line separators become LF.

    Newline and tab stay; so do the joiners (ZWJ, ZWNJ) after an emoji or a letter of a joining script (Arabic,
    Indic, …), the tags of a flag emoji, and the visible format characters of Arabic.
    """
    if text.isascii():
        return _ASCII_CONTROLS.sub("", _SEPARATORS.sub("\n", text)) if _ASCII_UNUSUAL.search(text) else text
    if not _UNUSUAL.search(text):
        return text
    text = _CONTROLS.sub("", _SEPARATORS.sub("\n", text))
    return _LONE_JOINERS.sub("", _LONE_TAGS.sub("", text))


def spaces(text: str) -> str:
    """One plain space where a line has several or a typographic one, none at its end; indentation stays.

    Line breaks, tabs and the ideographic space stay as they are.
    """
    if not text.isascii():
        text = _OTHER_SPACES.sub(" ", text)
    if "  " in text:
        text = _INNER_SPACES.sub(" ", text)
    if " \n" in text or "\t\n" in text or text[-1:] in (" ", "\t"):
        text = _TRAILING_SPACES.sub("", text)
    return text


def blank_lines(text: str) -> str:
    """At most one blank line in a row, none at the start or the end."""
    return _BLANK_LINES.sub("\n\n", text).strip("\n") if "\n" in text else text


def markup(text: str) -> str:
    """Drop HTML tags, comments, scripts and styles; block elements become line breaks; entities become characters."""
    return html.unescape(_without_tags(text) if "<" in text else text) if "<" in text or "&" in text else text


def halfwidth(text: str) -> str:
    """Full-width letters and digits become ASCII (Ａ１ → A1); punctuation and the ideographic space stay."""
    return text if text.isascii() else text.translate(FULL_WIDTH_LETTERS)


CLEANERS: dict[str, Callable[[str], str]] = {
    "nfc": nfc,
    "nfkc": nfkc,
    "controls": controls,
    "spaces": spaces,
    "blank_lines": blank_lines,
    "html": markup,
    "halfwidth": halfwidth,
}

FULL_WIDTH_OFFSET = 0xFF01 - ord("!")
FULL_WIDTH_LETTERS = {ord(c) + FULL_WIDTH_OFFSET: c for c in map(chr, range(ord("!"), ord("~") + 1)) if c.isalnum()}

_INVISIBLE = (
    "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    "\ufeff\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001"
)
_BREAKS = "\x0b\x0c\x0d\x85\u2028\u2029"
_TAGS = "\U000e0020-\U000e007f"
_JOINERS = "\u200c\u200d"
# Scripts whose letters join (Arabic … Mongolian, Balinese …, Brahmi family) and what an emoji can end in.
_JOINING = (
    "\u0600-\u109f\u1780-\u18af\u1900-\u1bff\ua800-\uabff\ufb50-\ufdff\ufe70-\ufefe\U00010a00-\U00011fff"
    "\u00a9\u00ae\u2190-\u2bff\u3030\u303d\u3297\u3299\ufe0f\U0001f000-\U0001faff"
)
_ASCII_UNUSUAL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_ASCII_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f]")
_UNUSUAL = re.compile(f"[{_INVISIBLE}{_BREAKS}{_TAGS}{_JOINERS}]")
_SEPARATORS = re.compile(f"\r\n|[{_BREAKS}]")
_CONTROLS = re.compile(f"[{_INVISIBLE}]")
_LONE_TAGS = re.compile(f"(?<![\U0001f3f4{_TAGS}])[{_TAGS}]+")
_LONE_JOINERS = re.compile(f"(?<![{_JOINING}])[{_JOINERS}]+")

_OTHER_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f]")
_INNER_SPACES = re.compile(r"(?<=\S)  +")
# The look-behind lets a run be tried from its first space only: linear time.
_TRAILING_SPACES = re.compile(r"(?<![ \t])[ \t]+(?=\n|\Z)")
_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n){2,}|\A(?:[ \t]*\n)+")

_BLOCKS = (
    "address|article|blockquote|br|div|dd|dl|dt|footer|form|h[1-6]|header|hr|li|ol|p|pre|section|table|td|th|tr|ul"
)
_INLINES = (
    "a|abbr|b|body|button|center|cite|code|del|em|font|head|html|i|iframe|img|input|ins|label|link|main|mark|meta|nav|"
    "noscript|option|q|s|script|select|small|span|strike|strong|style|sub|sup|svg|tbody|thead|title|tt|u|var|video"
)
_MARKUP = re.compile(f"<!--|-->|<!doctype[^<>]*>|</?({_BLOCKS}|{_INLINES})(?:[\\s/][^<>]*)?>", re.IGNORECASE)
_BLOCK = re.compile(_BLOCKS)
_HIDING = ("script", "style")


def _without_tags(text: str) -> str:
    """What stands outside of tags; `hidden` is what must come before text is shown again."""
    kept: list[str] = []
    position, hidden = 0, ""
    for match in _MARKUP.finditer(text):
        mark, element = match[0].lower(), (match[1] or "").lower()
        if not hidden:
            kept.append(text[position : match.start()])
            hidden = "-->" if mark == "<!--" else f"</{element}" if element in _HIDING and mark[1] != "/" else ""
            if _BLOCK.fullmatch(element):
                kept.append("\n")
        elif mark.startswith(hidden):
            hidden = ""
        position = match.end()
    return "".join(kept) + ("" if hidden else text[position:])
