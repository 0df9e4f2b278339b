"""Predictions of a decoder that was not trained for the task: the answer that it finds likeliest after a prompt.

Source: Brown et al. 2020 (GPT-3), section 2.4.
Axes: A answers of a question.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from lexloom.base.ledger import Ledger
from lexloom.base.recipe import check
from lexloom.evaluate.fewshot.encoding import Asked, Encoder
from lexloom.evaluate.fewshot.likelihood import PORTION_TOKENS, Likelihood, likelihoods
from lexloom.evaluate.fewshot.prompts import PromptSettings, Query, Reading, Score, Template, joined
from lexloom.evaluate.fewshot.queries import Answered, Floats
from lexloom.generate.reply import end_ids, tokenizer_of
from lexloom.generate.settings import SamplingSettings
from lexloom.generate.text import collect, generate_text
from lexloom.models.folder import ModelFolder

QUESTIONS_AT_ONCE = 256
"""Questions whose prompts are encoded together; the bound of memory."""
WRITTEN_AT_ONCE = 16

Tick = Callable[[int], None]


@dataclass(frozen=True)
class Questions:
    """What is asked: the questions, the examples that may be shown, and which of them each question gets.

    `shown[question]` are numbers of `pool`, in the order of the prompt.
    """

    queries: Sequence[Query]
    pool: Sequence[Query]
    shown: Sequence[Sequence[int]]
    template: Template
    settings: PromptSettings

    def asked(self, number: int) -> Asked:
        """A question as it stands in its prompt."""
        examples = tuple(self.template.shown(self.pool[example]) for example in self.shown[number])
        query = self.queries[number]
        return Asked(query.where, self.settings.instruction, examples, tuple(self.template.readings(query)))

    def bare(self, number: int) -> Asked:
        """Its answers without a question before them."""
        query = self.queries[number]
        return Asked(query.where, "", (), tuple(self.template.unconditional(query)))

    def prompt(self, number: int) -> str:
        """A question's whole prompt, before its first answer (or with it, where the template goes on behind it)."""
        asked = self.asked(number)
        return joined(asked.instruction, asked.examples, asked.readings[0].context, self.settings.separator)


def answer_questions(
    folder: ModelFolder,
    questions: Questions,
    *,
    ledger: Ledger,
    tick: Tick | None = None,
    portion_tokens: int = PORTION_TOKENS,
    threads: int | None = None,
) -> Iterator[Answered]:
    """The answers' scores for each question, in order; they don't depend on the size of the portions.

    What doesn't fit into the model's context is counted. `tick` is told how many questions are done. Raises DataError
    for an answer longer than the context.
    """
    encoder = Encoder(folder, questions.settings.separator)
    measure = partial(likelihoods, folder.model, portion_tokens=portion_tokens, threads=threads)
    for start in range(0, len(questions.queries), QUESTIONS_AT_ONCE):
        numbers = range(start, min(start + QUESTIONS_AT_ONCE, len(questions.queries)))
        bare = [tuple(group) for group in encoder.continuations([questions.bare(at) for at in numbers], Ledger())]
        different = list(dict.fromkeys(bare))  # labels are the same for all questions
        without = dict(zip(different, measure(different), strict=True))
        asked = [questions.asked(at) for at in numbers]
        report = None if tick is None else lambda done, start=start: tick(start + done)
        given = measure(encoder.continuations(asked, ledger), tick=report)
        for one, found, group in zip(asked, given, bare, strict=True):
            yield Answered(_scores(found, without[group], one.readings), found)


def write_answers(
    folder: ModelFolder, questions: Questions, *, ledger: Ledger, tick: Tick | None = None
) -> Iterator[str]:
    """What the model writes after each question's prompt: its likeliest tokens up to the end of the line.

    What doesn't fit into the model's context, beside an answer of `max_tokens`, is counted.
    """
    room = questions.settings.max_tokens
    encoder = Encoder(folder, questions.settings.separator)
    settings = check(SamplingSettings, {"temperature": 0, "max_tokens": room, "stop": ("\n",)}, where="prompt")
    for start in range(0, len(questions.queries), WRITTEN_AT_ONCE):
        numbers = range(start, min(start + WRITTEN_AT_ONCE, len(questions.queries)))
        prompts = encoder.prompts([questions.asked(at) for at in numbers], room, ledger)
        pieces = generate_text(folder.model, tokenizer_of(folder), prompts, settings, eos_ids=end_ids(folder))
        yield from (reply.text.strip() for reply in collect(pieces, len(prompts)))
        if tick is not None:
            tick(numbers.stop)


def _scores(
    found: Sequence[Likelihood], without: Sequence[Likelihood], readings: Sequence[Reading]
) -> Mapping[Score, Floats]:
    total_A = np.array([one.log_probability for one in found])
    return {
        "total": total_A,
        "token": total_A / [one.tokens for one in found],
        "byte": total_A / [len(one.scored.encode()) for one in readings],
        "unconditional": total_A - [one.log_probability for one in without],
    }
