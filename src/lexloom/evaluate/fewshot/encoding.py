"""Prompts as token ids: where a context ends and what is scored begins, and what doesn't fit into the model's context.

The boundary is lm-evaluation-harness's: both are encoded as one text, and white space at the end of the context goes
over to what is scored, so that " cat" is one token after "Answer:". Where a token would lie across the boundary (it may
in Chinese, which has no spaces) they are encoded apart.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from lexloom.base.errors import DataError, FolderError
from lexloom.base.ledger import Ledger
from lexloom.evaluate.fewshot.likelihood import Continuation
from lexloom.evaluate.fewshot.prompts import Reading, joined
from lexloom.generate.prompts import first_ids
from lexloom.generate.reply import opening_ids, tokenizer_of
from lexloom.models.folder import ModelFolder

STAGE = "prompt"
DROPPED = "example left out, the context is full"
CUT = "question cut on its left, the context is full"
ACROSS = "answer encoded apart, a token would lie across its beginning"

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Asked:
    """One question's readings, and what stands before it."""

    where: str
    instruction: str
    examples: tuple[str, ...]
    readings: tuple[Reading, ...]


class Encoder:
    """Encodes what is asked for one model. Raises FolderError if it can't read text."""

    def __init__(self, folder: ModelFolder, separator: str) -> None:
        self._tokenizer = tokenizer_of(folder)
        self._separator = separator
        self._opening = opening_ids(folder)
        self._first = self._opening or first_ids(self._tokenizer)
        self._context: int = folder.model.config.context
        if not self._first:
            raise FolderError("this model's tokenizer has no bos or eos token after which a text could be scored")

    def continuations(self, asked: Sequence[Asked], ledger: Ledger) -> list[list[Continuation]]:
        """For each question a continuation for each reading; what doesn't fit is left out and counted.

        Examples are left out one by one, the first one first; then the question is cut on its left. Raises DataError
        for an answer without a token, or one that is longer than the model's context.
        """

        def over(found: Sequence[Continuation]) -> int:
            return max(len(one.read) for one in found) - self._context

        found = self._fitting(asked, self._scored, over, ledger)
        for at, one in enumerate(asked):
            if over(found[at]) > 0:
                ledger.count(STAGE, CUT, where=one.where)
                found[at] = [self._cut(continuation, one.where) for continuation in found[at]]
        return found

    def prompts(self, asked: Sequence[Asked], reply_tokens: int, ledger: Ledger) -> list[list[int]]:
        """For each question the ids of its prompt (before its first reading), with room for a reply; counts the same.

        Raises DataError if the context has no room for such a reply.
        """
        room = self._context - reply_tokens
        if room < 1:
            what = f"answers of {reply_tokens:,} tokens leave no room in a context of {self._context:,}"
            raise DataError(what, where="prompt.max_tokens", fix="Make it smaller.")
        found = self._fitting(asked, self._unanswered, lambda ids: len(ids) - room, ledger)
        for at, one in enumerate(asked):
            if len(found[at]) > room:
                ledger.count(STAGE, CUT, where=one.where)
                found[at] = found[at][-room:]
        return found

    def _fitting(
        self,
        asked: Sequence[Asked],
        encode: Callable[[Sequence[Asked], Ledger], list[E]],
        over: Callable[[E], int],
        ledger: Ledger,
    ) -> list[E]:
        """Each question encoded with as many of its examples as fit, the last ones."""
        found = encode(asked, ledger)
        left = [at for at, one in enumerate(asked) if one.examples and over(found[at]) > 0]
        dropped = 0
        while left:
            dropped += 1
            some = [replace(asked[at], examples=asked[at].examples[dropped:]) for at in left]
            for at, one, again in zip(left, some, encode(some, Ledger()), strict=True):
                ledger.count(STAGE, DROPPED, where=one.where)
                found[at] = again
            left = [at for at in left if len(asked[at].examples) > dropped and over(found[at]) > 0]
        return found

    def _unanswered(self, some: Sequence[Asked], ledger: Ledger) -> list[list[int]]:
        texts = [self._prompt(one, one.readings[0]).rstrip() for one in some]
        return [[*self._opening, *ids] or self._first for ids in self._tokenizer.encode_batch(texts)]

    def _scored(self, some: Sequence[Asked], ledger: Ledger) -> list[list[Continuation]]:
        pairs = [
            (one.where, *_moved(self._prompt(one, reading), reading.scored)) for one in some for reading in one.readings
        ]
        contexts = list(dict.fromkeys(context for _, context, _ in pairs))
        ids_of = dict(zip(contexts, self._tokenizer.encode_batch(contexts), strict=True))
        wholes = self._tokenizer.encode_batch([context + scored for _, context, scored in pairs])
        found = iter(
            [
                self._split(where, ids_of[context], whole, scored, ledger)
                for (where, context, scored), whole in zip(pairs, wholes, strict=True)
            ]
        )
        return [[next(found) for _ in one.readings] for one in some]

    def _prompt(self, one: Asked, reading: Reading) -> str:
        return joined(one.instruction, one.examples, reading.context, self._separator)

    def _split(self, where: str, context: list[int], whole: list[int], scored: str, ledger: Ledger) -> Continuation:
        ids = whole[len(context) :]
        if whole[: len(context)] != context or not ids:
            ids = self._tokenizer.encode(scored)
            ledger.count(STAGE, ACROSS, where=where)
        if not ids:
            raise DataError("an answer is empty", where=where, fix="Give every candidate a text.")
        return Continuation(tuple([*self._opening, *context] or self._first), tuple(ids))

    def _cut(self, one: Continuation, where: str) -> Continuation:
        room = self._context - len(one.ids) + 1
        if room < 1:
            what = f"an answer has {len(one.ids):,} tokens, more than the model's context of {self._context:,}"
            raise DataError(what, where=where, fix="Shorten it, or use a model with a longer context.")
        return Continuation(one.context[-room:], one.ids)


def _moved(context: str, scored: str) -> tuple[str, str]:
    """White space at the end of the context goes over to what is scored."""
    end = len(context.rstrip())
    return context[:end], context[end:] + scored
