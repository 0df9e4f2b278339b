"""The colours of all pages: words and signs can be read in light and dark, whatever lies behind them."""

import re

import pytest

from lexloom.report.html import resource
from lexloom.report.plots import BACK, DAY, NIGHT, TRAIN, VARIABLES, drawing, svg_file
from tests.contrast import SCHEMES, SIGN_AT_LEAST, TEXT_AT_LEAST, Palette, contrast, mixed, rgb

SHEETS = {name: resource(f"{name}.css") for name in ("page", "explanation", "attention", "compare", "translation")}
PALETTE = Palette(SHEETS["page"] + SHEETS["explanation"])
TEXT = ("ink", "muted", "validation", "warning")
SIGNS = ("train", "validation", "warning", "for", "against")
BEHIND = (("for", "paper"), ("against", "paper"), ("train", "wash"), ("warning", "wash"))
"""What lies behind words, at most by the share `deepest`, and upon what."""


@pytest.mark.parametrize("scheme", SCHEMES)
def test_words_and_signs_stand_out(scheme):
    named = PALETTE.colours(scheme)
    for back in ("paper", "wash"):
        for front in TEXT:
            assert contrast(named[front], named[back]) >= TEXT_AT_LEAST, f"{front} on {back}"
    for front in SIGNS:
        assert contrast(named[front], named["paper"]) >= SIGN_AT_LEAST, f"{front} on paper"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_words_stay_readable_on_the_deepest_colour(scheme):
    named, deepest = PALETTE.colours(scheme), PALETTE.shares(scheme)["deepest"]
    for over, under in BEHIND:
        assert contrast(named["ink"], mixed(named[over], named[under], deepest)) >= TEXT_AT_LEAST, over


def test_nothing_is_coloured_deeper_than_was_judged():
    assert (
        SHEETS["explanation"].count("background: color-mix(in srgb, var(--for) calc(var(--deepest) * var(--share))")
        == 1
    )
    assert (
        SHEETS["explanation"].count("background: color-mix(in srgb, var(--against) calc(var(--deepest) * var(--share))")
        == 1
    )
    assert SHEETS["page"].count("calc(var(--deepest) * var(--share))") == 2
    coloured = sum(sheet.count("background: color-mix(") for sheet in SHEETS.values())
    assert coloured == len(BEHIND)


def test_pictures_in_files_have_the_colours_of_the_pages():
    for scheme, fixed in zip(SCHEMES, (DAY, NIGHT), strict=True):
        named = PALETTE.colours(scheme)
        for colour, name in VARIABLES.items():
            assert rgb(fixed[colour]) == named[name], f"{name}, {scheme}"
        assert rgb(fixed[BACK]) == named["paper"]


def test_a_picture_in_a_file_turns_dark_with_the_screen():
    with drawing((2, 2)) as (figure, axes):
        axes.plot([1, 2], [1, 2], color=TRAIN)
        text = svg_file(figure)
    assert f"stroke: {DAY[TRAIN]}" in text
    day, night = DAY[TRAIN], NIGHT[TRAIN]
    (rules,) = re.findall(r"@media \(prefers-color-scheme: dark\)\{(.*?)\}</style>", text)
    assert f'[style*="stroke: {day}"]{{stroke:{night} !important}}' in rules
    assert "#01010" not in text
    assert "#ffffff" not in text
