"""People judge two models blindly, in real Chromium."""

import json
import sqlite3
from contextlib import closing

import pytest

from lexloom.evaluate.preference import preference
from lexloom.serve.votes import judge
from tests.studio import SPEAKERS
from tests.visiting import Visit

pytestmark = pytest.mark.slow

VOTES = 20


def test_twenty_blind_votes_by_keyboard(browser, address, place):
    with Visit(browser, address) as visit:
        panel = visit.open("vote")
        panel.get_by_label(visit.texts["vote.prompts"]).fill(
            "\n".join(f"What is sky {number}?" for number in range(VOTES))
        )
        answers = []
        visit.page.on("response", lambda response: answers.append(response) if "/votes/pair" in response.url else None)
        visit.button(panel, "vote.begin").click()
        ready = panel.get_by_text(visit.texts["vote.ready"])
        ready.wait_for()
        assert not panel.locator(".results").is_visible()
        assert not any(name in panel.locator(".duel").inner_text() for name in SPEAKERS)
        for number in range(VOTES):
            place_told = visit.texts["vote.place"].format(at=number + 1, all=VOTES)
            panel.get_by_text(place_told, exact=True).wait_for()
            ready.wait_for()
            if number == 3:
                visit.page.keyboard.press("u")
                panel.get_by_text(visit.texts["vote.place"].format(at=3, all=VOTES), exact=True).wait_for()
                visit.page.keyboard.press("=")
                panel.get_by_text(place_told, exact=True).wait_for()
                ready.wait_for()
            # Votes for what reads like the prompt, whatever side it is on
            left = panel.locator("article").nth(0).locator(".written").text_content()
            first = "What is sky" in left
            visit.page.keyboard.press("ArrowLeft" if first else "ArrowRight")
        panel.get_by_text(visit.texts["vote.over"].format(count=VOTES)).wait_for()
        assert len(answers) == VOTES
        assert not any(name in json.dumps(each.json()) for each in answers for name in SPEAKERS)
        visit.button(panel, "vote.result").click()
        panel.locator(".preference").wait_for()
        assert panel.locator(".preference .figure").text_content() == "97.5 %"
        said = preference(VOTES - 1, 0, 1)
        interval = f"{said.low:.1%} to {said.high:.1%}".replace("%", " %")
        assert interval in panel.locator(".preference figcaption").text_content()
        assert SPEAKERS[0] in panel.locator(".preference h3").text_content()
        with visit.page.expect_download() as download:
            visit.button(panel, "vote.export").click()
        lines = download.value.path().read_text(encoding="utf-8").splitlines()
        assert len(lines) == VOTES
    (result,) = judge(place / "votes.sqlite")["results"]
    assert (result["wins"], result["losses"], result["ties"]) == (VOTES - 1, 0, 1)
    with closing(sqlite3.connect(place / "votes.sqlite")) as connection:
        kept = connection.execute("SELECT left_model, choice FROM votes ORDER BY rowid").fetchall()
    assert len(kept) == VOTES
    assert [choice for _, choice in kept].count("tie") == 1
    assert {model for model, _ in kept} == set(SPEAKERS), "both models were on the left at times"
