"""What the checks of labelled data look at, the same for every form of example."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from lexloom.labelled.examples import (
    Choices,
    Conversation,
    Example,
    Labelled,
    Pair,
    Preference,
    Question,
    Related,
    Tagged,
)
from lexloom.text.duplicates import content_hash

ANSWERABLE = "answerable"


@dataclass(frozen=True)
class View:
    """An example as a check sees it.

    `pieces` are the texts that a model reads together (one piece for each candidate of a choice); `marks` is what else
    tells two inputs apart; `labels` is what is counted, None without labels; `target` is what copies must agree on and
    `said` the same for people; `flaws` is what is wrong inside; `alone` are texts none of which
    may stand in another split.
    """

    where: str
    pieces: tuple[tuple[str, ...], ...]
    labels: tuple[str, ...] | None
    target: Hashable
    said: str
    marks: Hashable = None
    number: float | None = None
    flaws: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """Every text of the example once."""
        return tuple(dict.fromkeys(text for piece in self.pieces for text in piece))

    @cached_property
    def key(self) -> Hashable:
        """What copies share: their texts, but for white space and Unicode composition, and their marks."""
        return (tuple(map(content_hash, self.texts)), self.marks)


def view(example: Example) -> View:
    """The view of an example of any form."""
    return VIEWS[type(example)](example)


def _labelled(example: Labelled) -> View:
    target = example.target
    if isinstance(target, float):
        return View(example.where, (example.texts,), (), target, f"{target:g}", number=target)
    labels = (target,) if isinstance(target, str) else target
    agreed = frozenset(labels) if labels is not None else None
    return View(example.where, (example.texts,), labels, agreed, _said(labels))


def _tagged(example: Tagged) -> View:
    entities = example.entities
    labels = tuple(entity.type for entity in entities) if entities is not None else None
    said = _said([f"{example.text[entity.start : entity.end]} {entity.type}" for entity in entities or ()])
    return View(example.where, ((example.text,),), labels, entities, said, flaws=tuple(_tagged_flaws(example)))


def _tagged_flaws(example: Tagged) -> Iterator[str]:
    starts, ends = {start for start, _ in example.spans}, {end for _, end in example.spans}
    reached = 0
    for entity in sorted(example.entities or (), key=lambda entity: entity.start):
        text = example.text[max(0, entity.start) : entity.end]
        if not 0 <= entity.start < entity.end <= len(example.text):
            yield "entity outside of its text"
        elif text != text.strip():
            yield "entity with white space at its edge"
        elif entity.start not in starts or entity.end not in ends:
            yield "entity that doesn't begin and end with words"
        if entity.start < reached:
            yield "entity that overlaps another"
        reached = max(reached, entity.end)


def _related(example: Related) -> View:
    labels = (example.target,) if example.target is not None else None
    stretches = (example.first, example.second)
    flaws = ["stretch outside of its text" for start, end in stretches if not 0 <= start < end <= len(example.text)]
    if max(start for start, _ in stretches) < min(end for _, end in stretches):
        flaws.append("the two stretches overlap")
    return View(example.where, ((example.text,),), labels, example.target, _said(labels), stretches, flaws=tuple(flaws))


def _question(example: Question) -> View:
    answers = example.answers
    labels = None if answers is None else (ANSWERABLE if answers else "unanswerable",)
    flaws = tuple(
        "answer not at its place in the passage"
        for answer in answers or ()
        if answer.start is None or answer.start < 0 or not example.passage.startswith(answer.text, answer.start)
    )
    # People answer the same question in different words; only whether it has an answer must agree.
    return View(example.where, ((example.question, example.passage),), labels, labels, _said(labels), flaws=flaws)


def _choices(example: Choices) -> View:
    pieces = tuple((*example.texts, candidate) for candidate in example.candidates)
    known = example.target is not None and 0 <= example.target < len(example.candidates)
    flaws = () if known or example.target is None else ("the right one is none of the candidates",)
    labels = (f"candidate {example.target}",) if example.target is not None else None
    target = example.candidates[example.target] if known and example.target is not None else None
    return View(example.where, pieces, labels, target, repr(target), flaws=flaws)


def _conversation(example: Conversation) -> View:
    # Many answers to one request are right, so a copy is one that is answered alike
    texts = tuple(message.content for message in example.messages)
    answers = example.answers
    said = repr(answers[-1][:40]) if answers else "none"
    return View(example.where, (texts,), () if answers else None, answers or None, said)


def _preference(example: Preference) -> View:
    asked = tuple(message.content for message in example.messages)
    if example.chosen is None or example.rejected is None:
        return View(example.where, (asked,), None, None, "none")
    pair = (example.chosen, example.rejected)
    flaws = ("chosen and rejected are alike",) if example.chosen == example.rejected else ()
    # Sorted, so that the same pair the other way round is a copy with another target
    pieces = tuple((*asked, answer) for answer in sorted(pair))
    return View(example.where, pieces, (), example.chosen, repr(example.chosen[:40]), flaws=flaws)


def _pair(example: Pair) -> View:
    # Many translations of one text are right, so a copy is one that is translated alike
    pieces = tuple((text,) for text in (example.source, *example.targets))
    targets = example.targets
    said = repr(targets[0][:40]) if targets else "none"
    alone = (example.source, *targets)
    return View(example.where, pieces, () if targets else None, targets or None, said, alone=alone)


def _said(labels: Sequence[str] | None, most: int = 4) -> str:
    more = ", …" if labels and len(labels) > most else ""
    return (", ".join(repr(label[:40]) for label in (labels or ())[:most]) or "none") + more


VIEWS: dict[type, Callable[..., View]] = {
    Labelled: _labelled,
    Tagged: _tagged,
    Related: _related,
    Question: _question,
    Choices: _choices,
    Conversation: _conversation,
    Preference: _preference,
    Pair: _pair,
}
