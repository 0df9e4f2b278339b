import asyncio
import json

import pytest

from lexloom.base.errors import UserError
from lexloom.serve.studio import ballot as module
from lexloom.serve.studio.ballot import Ballot
from lexloom.serve.votes import Votes

ONE, TWO = "first-model", "second-model"
TEXTS = {ONE: "明月", TWO: "the moon"}
OWNER = "key-1"


@pytest.fixture
def ballot(tmp_path):
    return Ballot(Votes(tmp_path / "votes.sqlite"))


def pair_of(ballot: Ballot, owner: str = OWNER) -> dict[str, str]:
    async def write(model: str) -> str:
        return TEXTS[model]

    return asyncio.run(ballot.pair(ONE, TWO, "a prompt", write, owner))


def test_a_pair_names_no_model(ballot):
    told = json.dumps(pair_of(ballot), ensure_ascii=False)
    assert ONE not in told
    assert TWO not in told


def test_sides_are_drawn_by_lot_for_each_pair(ballot):
    lefts = [pair_of(ballot)["left"] for _ in range(200)]
    assert 60 <= lefts.count(TEXTS[ONE]) <= 140  # beyond six standard deviations is no lot


def test_a_vote_is_kept_for_the_model_that_was_on_that_side(ballot):
    for _ in range(20):
        pair = pair_of(ballot)
        ballot.vote(pair["pair"], "left" if pair["left"] == TEXTS[TWO] else "right", OWNER)
    (result,) = ballot.results(OWNER)
    assert (result["first"], result["wins"], result["losses"]) == (ONE, 0, 20)


def test_a_vote_can_be_taken_back_and_given_again(ballot):
    pair = pair_of(ballot)
    ballot.vote(pair["pair"], "left", OWNER)
    with pytest.raises(UserError, match="was voted on"):
        ballot.vote(pair["pair"], "right", OWNER)
    ballot.undo(pair["pair"], OWNER)
    ballot.vote(pair["pair"], "tie", OWNER)
    (row,) = ballot.export(OWNER)
    assert row["choice"] == "tie"


@pytest.mark.parametrize("look", ["results", "export"])
def test_whoever_has_seen_names_can_not_take_a_vote_back(ballot, look):
    pair, waiting = pair_of(ballot), pair_of(ballot)
    ballot.vote(pair["pair"], "left", OWNER)
    getattr(ballot, look)(OWNER)
    with pytest.raises(UserError, match="isn't known here any more"):
        ballot.undo(pair["pair"], OWNER)
    ballot.vote(waiting["pair"], "left", OWNER)  # a pair that was waiting still can be voted on


def test_pairs_belong_to_the_key_that_asked_for_them(ballot):
    pair = pair_of(ballot)
    with pytest.raises(UserError, match="isn't known"):
        ballot.vote(pair["pair"], "left", "key-2")
    with pytest.raises(UserError, match="isn't known"):
        ballot.undo(pair["pair"], "key-2")


def test_the_oldest_pairs_are_forgotten_first(ballot, monkeypatch):
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    first, second, third = (pair_of(ballot)["pair"] for _ in range(3))
    with pytest.raises(UserError, match="isn't known"):
        ballot.vote(first, "left", OWNER)
    ballot.vote(second, "left", OWNER)
    ballot.vote(third, "left", OWNER)


def test_a_model_is_not_judged_against_itself(ballot):
    async def write(model: str) -> str:
        raise AssertionError("nothing is to be written")

    with pytest.raises(UserError, match="two different models"):
        asyncio.run(ballot.pair(ONE, ONE, "a prompt", write, OWNER))
