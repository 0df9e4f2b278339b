"""Prompts as token ids: where a context ends and what is scored begins, and what doesn't fit into the model's context.

The boundary is lm-evaluation-harness's: both are encoded as one text, and white space at the end of the context goes
over to what is scored, so that " cat" is one token after "Answer:". Where a token would lie across the boundary (it may
in Chinese, which has no spaces) they are encoded apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lexloom.base.errors import DataError, FolderError
from lexloom.base.ledger import Ledger
from lexloom.evaluate.fewshot.likelihood import Continuation
from lexloom.evaluate.fewshot.prompts import Reading, joined
from lexloom.generate.prompts import first_ids
from lexloom.generate.reply import opening_ids, tokenizer_of
from lexloom.models.folder import ModelFolder
from lexloom.text.tokenizers import Tokenizer

STAGE = "prompt"
DROPPED = "example left out, the context is full"
CUT = "question cut on its left, the context is full"
ACROSS = "answer encoded apart, a token would lie across its beginning"


@dataclass(frozen=True, slots=True)
class Asked:
    """One question's readings, and what stands before it."""

    where: str
    instruction: str
    examples: tuple[str, ...]
    readings: tuple[Reading, ...]


class Encoder:
    """Encodes what is asked for one model."""

    def __init__(self, folder: ModelFolder, separator: str) -> None:
        self._tokenizer: Tokenizer = tokenizer_of(folder)
        self._opening = opening_ids(folder)
        self._first = self._opening or first_ids(self._tokenizer)
        self._separator = separator
        self._context: int = folder.model.config.context

    def continuations(self, asked: Sequence[Asked], ledger: Ledger) -> list[list[Continuation]]:
        """For each question a continuation for each reading; what doesn't fit is left out and counted.

        Examples are left out one by one, the first one first; then the question is cut on its left. Raises DataError
        for an answer that is longer than the model's context, or empty.
        """
        found: list[list[Continuation]] = [[] for _ in asked]
        left = list(range(len(asked)))
        dropped = 0
        while left:
            some = [replace(asked[at], examples=asked[at].examples[dropped:]) for at in left]
            again = []
            for at, one, continuations in zip(left, some, self._encoded(some, ledger), strict=True):
                if one.examples and any(len(each.read) > self._context for each in continuations):
                    ledger.count(STAGE, DROPPED, where=one.where)
                    again.append(at)
                else:
                    found[at] = self._fitted(continuations, one.where, ledger)
            left, dropped = again, dropped + 1
        return found

    def _encoded(self, some: Sequence[Asked], ledger: Ledger) -> list[list[Continuation]]:
        pairs = [
            (
                one.where,
                *_moved(joined(one.instruction, one.examples, reading.context, self._separator), reading.scored),
            )
            for one in some
            for reading in one.readings
        ]
        contexts = list(dict.fromkeys(context for _, context, _ in pairs))
        ids_of = dict(zip(contexts, self._tokenizer.encode_batch(contexts), strict=True))
        wholes = self._tokenizer.encode_batch([context + scored for _, context, scored in pairs])
        each = iter(
            [
                self._split(where, ids_of[context], whole, scored, ledger)
                for (where, context, scored), whole in zip(pairs, wholes, strict=True)
            ]
        )
        return [[next(each) for _ in one.readings] for one in some]

    def _split(self, where: str, context: list[int], whole: list[int], scored: str, ledger: Ledger) -> Continuation:
        ids = whole[len(context) :]
        if whole[: len(context)] != context or not ids:
            ids = self._tokenizer.encode(scored)
            ledger.count(STAGE, ACROSS, where=where)
        before = [*self._opening, *context] or self._first
        if not before:
            raise FolderError("this model's tokenizer has no bos or eos token after which a text could be scored")
        if not ids:
            raise DataError("an answer is empty", where=where, fix="Give every candidate a text.")
        return Continuation(tuple(before), tuple(ids))

    def _fitted(self, continuations: list[Continuation], where: str, ledger: Ledger) -> list[Continuation]:
        over = max(len(one.read) for one in continuations) - self._context
        if over <= 0:
            return continuations
        ledger.count(STAGE, CUT, where=where)
        return [self._cut(one, where) for one in continuations]

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
