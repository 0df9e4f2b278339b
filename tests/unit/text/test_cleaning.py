import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexloom.base.errors import RecipeError
from lexloom.base.ledger import Ledger
from lexloom.base.recipe import check
from lexloom.text.cleaning import CLEANERS, CleanSettings, clean
from tests.linear import assert_linear

DEFAULT = CleanSettings()


def cleaned(text: str, *steps: str) -> str:
    settings = CleanSettings(steps=steps) if steps else DEFAULT
    return clean(text, "here:1", settings, Ledger())


@pytest.mark.parametrize(
    "text",
    [
        "“你好”，他说：「是。」《红楼梦》；……——！？（一）【二】·、",
        "ＡＢＣ１２３，．／＠",
        "\u3000\u3000段首两个全角空格\u3000中间",
        "plain words, with\ttabs\nand lines\n\n    and indentation",
        "👩‍👩‍👧 👍🏽 🏴󠁧󠁢󠁥󠁮󠁧󠁿 ❤️ 🏳️‍🌈",
        "क्‍ष ന്‍ می‌خواهم",
        "שלום عربي ไทย",
    ],
)
def test_default_leaves_ordinary_text_as_it_is(text: str) -> None:
    text = unicodedata.normalize("NFC", text)
    assert cleaned(text) == text


@pytest.mark.parametrize(
    ("step", "before", "after"),
    [
        ("nfc", "e\u0301", "é"),
        ("nfkc", "Ａ，ﬁ", "A,fi"),
        ("controls", "a\x00b\x07c\u200bd\u200ee\u202ef\ufeffg\u00adh", "abcdefgh"),
        ("controls", "a\r\nb\rc\x85d\u2028e\u2029f\x0bg\x0ch", "a\nb\nc\nd\ne\nf\ng\nh"),
        ("controls", "a\u200db 中\u200c文", "ab 中文"),
        ("controls", "中\U000e0041", "中"),
        ("spaces", "a  b   c \n  d\t\ne\u00a0f\u2003g", "a b c\n  d\ne f g"),
        ("spaces", "a \u00a0 ", "a"),
        ("blank_lines", "\n\na\n\n\n \n\nb\nc\n", "a\n\nb\nc"),
        ("halfwidth", "ＡＢｃ１２３，。！？：；（）\u3000＠", "ABc123，。！？：；（）\u3000＠"),
        ("html", "<p>a<br/>b</p><!-- c --> d &amp; &lt;e&gt; &#x4e2d;", "\na\nb\n d & <e> 中"),
        ("html", "<script>var a = '<p>';</script>x<style>p {}</style>y", "xy"),
        ("html", "a < b and c > d, x<y and z>w", "a < b and c > d, x<y and z>w"),
        ("html", '<a href="x">link</a> <unknown>', "link <unknown>"),
        ("html", "<p>cut <script>never closed", "\ncut "),
    ],
)
def test_each_step_does_what_its_name_says(step: str, before: str, after: str) -> None:
    assert cleaned(before, step) == after


@pytest.mark.parametrize("name", CLEANERS)
@given(text=st.text())
def test_a_step_done_twice_changes_nothing_more(name: str, text: str) -> None:
    if name != "html":  # &amp;lt; is &lt; and then <
        once = CLEANERS[name](text)
        assert CLEANERS[name](once) == once


@given(text=st.text())
def test_steps_take_any_text(text: str) -> None:
    for step in CLEANERS.values():
        step(text)


def test_what_changed_is_counted_by_step() -> None:
    ledger = Ledger()
    clean("a\u200b  b", "x.txt:3", DEFAULT, ledger)
    clean("clean", "x.txt:4", DEFAULT, ledger)
    assert [(stage, outcome, entry.documents, entry.characters) for stage, outcome, entry in ledger] == [
        ("clean", "controls", 1, 1),
        ("clean", "spaces", 1, 1),
    ]
    assert ledger["clean", "controls"].examples == ["x.txt:3"]


def test_unknown_step_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(RecipeError, match="did you mean 'controls'"):
        check(CleanSettings, {"steps": ["control"]}, where="recipe")


PATTERNS: dict[str, Callable[[int], str]] = {
    "letters": lambda n: "a" * n,
    "spaces": lambda n: " " * n + "a",
    "spaces between": lambda n: "a" + " " * n + "a",
    "tabs and spaces": lambda n: "\t " * (n // 2) + "a",
    "lines": lambda n: "\n" * n + "a",
    "lines and spaces": lambda n: "\n " * (n // 2) + "a",
    "less than": lambda n: "<" * n,
    "open tags": lambda n: "<p " * (n // 3),
    "open comments": lambda n: "<!--" * (n // 4),
    "open scripts": lambda n: "<script>" * (n // 8),
    "ampersands": lambda n: "&" * n,
    "joiners": lambda n: "\u200d" * n,
    "tags": lambda n: "\U000e0041" * n,
}


@pytest.mark.parametrize("step", CLEANERS)
def test_every_step_takes_linear_time(step: str) -> None:
    for name, make in PATTERNS.items():
        assert_linear(CLEANERS[step], make, name)
