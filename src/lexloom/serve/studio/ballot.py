"""Blind judgement: pairs of answers without names. Which model is on which side is known here alone until a vote."""

import asyncio
import secrets
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from lexloom.base.errors import UserError
from lexloom.serve.votes import Choice, Vote, Votes, results_of

MOST_WAITING = 1_024
"""Pairs that wait for a vote; the oldest are forgotten first."""
NAME_BYTES = 16

Write = Callable[[str], Awaitable[str]]
"""The name of a model → its whole answer."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two answers to one prompt, and which models wrote them, left and right."""

    owner: str
    prompt: str
    models: tuple[str, str]
    texts: tuple[str, str]
    voted: bool = False


class Ballot:
    """Makes pairs, and turns what people say of them into votes."""

    def __init__(self, votes: Votes) -> None:
        self._votes = votes
        self._pairs: OrderedDict[str, Pair] = OrderedDict()
        self._mutex = threading.Lock()

    async def pair(self, first: str, second: str, prompt: str, write: Write, owner: str) -> dict[str, str]:
        """Let both models answer and put them on sides by lot; what is returned names neither.

        Both are awaited, so that not even the time tells which is the slower one. Raises UserError for one model twice.
        """
        if first == second:
            raise UserError("a judgement needs two different models", where="models")
        models = (first, second) if secrets.randbelow(2) else (second, first)
        left, right = await asyncio.gather(*map(write, models))
        name = secrets.token_urlsafe(NAME_BYTES)
        with self._mutex:
            self._pairs[name] = Pair(owner=owner, prompt=prompt, models=models, texts=(left, right))
            while len(self._pairs) > MOST_WAITING:
                self._pairs.popitem(last=False)
        return {"pair": name, "prompt": prompt, "left": left, "right": right}

    def vote(self, name: str, choice: Choice, owner: str) -> None:
        """Keep a vote. Raises UserError for a pair that isn't known, and for a second vote on one."""
        with self._mutex:
            pair = self._known(name, owner)
            if pair.voted:
                raise UserError("this pair was voted on", where="pair")
            (left_model, right_model), (left_text, right_text) = pair.models, pair.texts
            self._votes.add(
                Vote(
                    pair=name,
                    voter=owner,
                    prompt=pair.prompt,
                    left_model=left_model,
                    right_model=right_model,
                    left_text=left_text,
                    right_text=right_text,
                    choice=choice,
                )
            )
            self._pairs[name] = replace(pair, voted=True)

    def undo(self, name: str, owner: str) -> None:
        """Take a vote back, so that the pair can be voted on again."""
        with self._mutex:
            pair = self._known(name, owner)
            self._votes.remove(name)
            self._pairs[name] = replace(pair, voted=False)

    def results(self, owner: str) -> list[dict[str, Any]]:
        """What all votes say; see `export`."""
        return results_of(self.export(owner))

    def export(self, owner: str) -> list[dict[str, Any]]:
        """All votes. Whoever has seen them can't take one back any more, now that the names are known."""
        with self._mutex:
            for name in [name for name, pair in self._pairs.items() if pair.owner == owner and pair.voted]:
                del self._pairs[name]
            return self._votes.rows()

    def _known(self, name: str, owner: str) -> Pair:
        pair = self._pairs.get(name)
        if pair is None or pair.owner != owner:
            raise UserError("this pair isn't known here any more", where="pair", fix="Ask for a new one.")
        return pair
