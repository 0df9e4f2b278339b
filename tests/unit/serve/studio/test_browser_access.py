"""Everybody can use the studio: by keyboard, with little sight, with a screen reader, on a phone."""

import pytest

from tests.contrast import SCHEMES, TEXT_AT_LEAST, contrast, mixed
from tests.visiting import LOCALES, PANELS, SHOWS, Visit

pytestmark = pytest.mark.slow

PHONE = {"width": 360, "height": 740}
EVERYWHERE = (*PANELS, *SHOWS)


TEXTS = """() => {
    const numbers = (colour) => {
        const [red, green, blue, share = 1] = colour.match(/[\\d.]+(e-?\\d+)?/g).map(Number);
        const whole = colour.startsWith("color(srgb") ? 1 : 255;
        return [red / whole, green / whole, blue / whole, share];
    };
    const behind = (element) => {
        const layers = [];
        for (let at = element; at; at = at.parentElement) layers.push(numbers(getComputedStyle(at).backgroundColor));
        return layers;
    };
    const faded = (element) => {
        let share = 1;
        for (let at = element; at; at = at.parentElement) share *= Number(getComputedStyle(at).opacity);
        return share;
    };
    const told = (element, words, style) => {
        const front = numbers(element.closest("svg") ? style.fill : style.color);
        return { words, front, behind: behind(element), faded: faded(element) };
    };
    const seen = (element) =>
        element.checkVisibility({ visibilityProperty: true }) && !element.closest(".skip, script, style");
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const [element, words] = [walker.currentNode.parentElement, walker.currentNode.data.trim()];
        if (words && seen(element)) found.push(told(element, words, getComputedStyle(element)));
    }
    for (const field of document.querySelectorAll("textarea, input")) {
        if (!seen(field)) continue;
        if (field.value) found.push(told(field, field.value, getComputedStyle(field)));
        if (field.placeholder) found.push(told(field, field.placeholder, getComputedStyle(field, "::placeholder")));
    }
    return found;
}"""
"""Every text that is to be seen, with its colour and those behind it, the nearest first: [red, green, blue, share]."""

STOPS = """() => [...document.querySelectorAll("a[href], button, textarea, input, select, summary, [tabindex]")]
    .filter((e) => e.checkVisibility({ visibilityProperty: true }) && e.tabIndex >= 0 && !e.disabled)
    .map((e) => { e.dataset.stop ??= String(Math.random()); return e.dataset.stop; })"""
"""What can be reached by Tab, in the order of the page."""

WHERE = """() => {
    const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
    return [document.activeElement.dataset.stop ?? null, outlineStyle === "solid" && parseFloat(outlineWidth) >= 1];
}"""


def stands_out(text):
    """The contrast of a text as it is seen."""
    under = (1.0, 1.0, 1.0)
    for *colour, share in reversed(text["behind"]):
        under = mixed(colour, under, share)
    *front, share = text["front"]
    return contrast(mixed(front, under, share * text["faded"]), under)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_text_can_be_read(browser, address, scheme):
    with Visit(browser, address, color_scheme=scheme, reduced_motion="reduce") as visit:
        for name in EVERYWHERE:
            panel = visit.use(name)
            panel.locator("details").evaluate_all("all => all.forEach((each) => { each.open = true })")
            texts = visit.page.evaluate(TEXTS)
            assert len(texts) > 10
            faint = {
                text["words"][:40]: round(stands_out(text), 2) for text in texts if stands_out(text) < TEXT_AT_LEAST
            }
            assert not faint, name


@pytest.mark.parametrize("name", EVERYWHERE)
def test_tab_leads_through_all_of_a_panel_in_order(browser, address, name):
    with Visit(browser, address) as visit:
        panel = visit.use(name)
        panel.locator("details").evaluate_all("all => all.forEach((each) => { each.open = true })")
        stops = visit.page.evaluate(STOPS)
        visit.page.locator(".skip").focus()
        reached = [stops[0]]
        while reached[-1] != stops[-1]:
            visit.page.keyboard.press("Tab")
            at, seen = visit.page.evaluate(WHERE)
            if at is not None:  # a browser adds places that scroll
                reached.append(at)
                assert seen, "where one is must be seen"
            assert len(reached) <= len(stops)
        assert reached == stops


def test_words_are_walked_by_arrows_and_panels_run_by_control_and_enter(browser, address):
    with Visit(browser, address) as visit:
        press, active = visit.page.keyboard.press, "document.activeElement"
        press("Tab")
        assert visit.page.evaluate(f"{active}.className") == "skip"
        press("Enter")
        assert visit.page.evaluate(f"{active}.id") == "main"
        press("Tab")
        assert visit.page.evaluate(f"{active}.tagName") == "TEXTAREA"
        visit.page.locator('nav a[href="#rewrite"]').focus()
        press("Enter")
        visit.page.locator("#rewrite-title:focus").wait_for()
        panel = visit.page.locator("#panel-rewrite")
        panel.locator("textarea").fill("这部电影真好看")
        press("Control+Enter")
        takers = panel.locator(".taker")
        takers.first.wait_for()
        assert panel.locator('.taker[tabindex="0"]').count() == 1
        takers.first.focus()
        press("ArrowRight")
        if takers.count() > 1:
            assert takers.nth(1).get_attribute("aria-pressed") == "true"


def test_a_screen_reader_finds_its_way(browser, address):
    with Visit(browser, address) as visit:
        for role in ("banner", "navigation", "main", "contentinfo"):
            assert visit.page.get_by_role(role).count() == 1, role
        for name in EVERYWHERE:
            panel = visit.open(name)
            assert panel.get_by_role("heading", level=1).count() == 1
            nameless = panel.locator("textarea, input, select, button").evaluate_all(
                "all => all.filter(e => e.offsetParent)"
                ".filter(e => !(e.labels?.length || e.ariaLabel || e.textContent.trim())).length"
            )
            assert nameless == 0, name
            assert panel.get_by_role("status").count() + panel.get_by_role("alert").count() > 0, name
        assert visit.page.locator('nav [aria-current="page"]').count() == 1
        ids = visit.page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
        assert len(ids) == len(set(ids))


@pytest.mark.parametrize("language", LOCALES)
def test_it_fits_a_phone(browser, address, language):
    with Visit(browser, address, language, viewport=PHONE, has_touch=True, color_scheme="dark") as visit:
        for name in EVERYWHERE:
            panel = visit.use(name)
            wide = visit.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= PHONE["width"], f"{name} is {wide} pixels wide"
            small = panel.locator("button").evaluate_all(
                "all => all.filter(e => e.offsetParent && e.offsetHeight < 24).map(e => e.textContent)"
            )
            assert not small, "WCAG 2.2, 2.5.8: a finger needs 24 pixels"
