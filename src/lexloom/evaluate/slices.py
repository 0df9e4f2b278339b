"""Where a model fails: its figure on slices of the data, and its errors, those it was surest of first.

A slicing names parts of the data and gives the numbers of the examples in each; parts may overlap.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lexloom.evaluate.figures import figure
from lexloom.evaluate.intervals import Estimate
from lexloom.metrics.contract import Metric
from lexloom.text.quality import script_of

Slicing = dict[str, list[int]]
LENGTH_PARTS = 3
BOTH_SCRIPTS = 0.2  # from this share of its words on, the rarer script makes a text a mixed one
MUCH_UNKNOWN = 0.05


@dataclass(frozen=True)
class Slice:
    """A metric on one part of the examples."""

    name: str
    examples: int
    figure: Estimate


@dataclass(frozen=True)
class Mistake:
    """An example that was got wrong."""

    example: int
    """Its number, from 0."""
    prediction: Any
    reference: Any
    confidence: float | None


def sliced(
    metric: Metric, predictions: Sequence[Any], references: Sequence[Any], slicing: Slicing, *, seed: int = 0
) -> tuple[Slice, ...]:
    """The metric on every part of the data, in the order of the slicing."""
    return tuple(
        Slice(
            name,
            len(part),
            figure(metric, [predictions[i] for i in part], [references[i] for i in part], seed=seed),
        )
        for name, part in slicing.items()
    )


def mistakes(
    predictions: Sequence[Any],
    references: Sequence[Any],
    right: Sequence[bool] | None = None,
    confidences: Sequence[float] | None = None,
) -> list[Mistake]:
    """The examples that are not right, the most confident first (in their own order without confidences).

    Without `right`, an example is right if its prediction equals its reference.
    """
    if right is None:
        right = [found == wanted for found, wanted in zip(predictions, references, strict=True)]
    wrong = [number for number, is_right in enumerate(right) if not is_right]
    if confidences is None:
        return [Mistake(i, predictions[i], references[i], None) for i in wrong]
    wrong.sort(key=lambda number: -confidences[number])
    return [Mistake(i, predictions[i], references[i], float(confidences[i])) for i in wrong]


def by_length(lengths: Sequence[int], unit: str) -> Slicing:
    """Three parts of about equal size: `1 to 12 characters`, `13 to 40 characters`, `41 to 230 characters`.

    Examples of one length stay together, so there are fewer parts where lengths hardly vary.
    """
    ordered = sorted(lengths)
    bounds = sorted(
        {ordered[len(ordered) * part // LENGTH_PARTS] for part in range(1, LENGTH_PARTS)} if ordered else ()
    )
    parts: dict[int, list[int]] = {part: [] for part in range(LENGTH_PARTS)}
    for number, length in enumerate(lengths):
        parts[int(np.searchsorted(bounds, length, side="right"))].append(number)
    return {_range([lengths[i] for i in part], unit): part for part in parts.values() if part}


def by_label(references: Sequence[str | Iterable[str]]) -> Slicing:
    """A part for each true label, sorted; an example with several labels is in several parts."""
    labels = [{reference} if isinstance(reference, str) else set(reference) for reference in references]
    names = sorted(set().union(*labels))
    return {name: [number for number, own in enumerate(labels) if name in own] for name in names}


def by_script(texts: Sequence[str]) -> Slicing:
    """Texts in Han characters, in Latin letters, in both, and the rest."""
    return _parts([_script(text) for text in texts], ("Han", "Latin", "Han and Latin", "other scripts"))


def by_unknown(shares: Sequence[float]) -> Slicing:
    """Texts without unknown tokens, with few, and with many; `shares` are their shares of each text's tokens."""
    few, many = f"up to {MUCH_UNKNOWN:.0%} unknown", f"more than {MUCH_UNKNOWN:.0%} unknown"
    names = ["none unknown" if share == 0 else few if share <= MUCH_UNKNOWN else many for share in shares]
    return _parts(names, ("none unknown", few, many))


def _parts(names: Sequence[str], order: Sequence[str]) -> Slicing:
    members = {name: [number for number, own in enumerate(names) if own == name] for name in order}
    return {name: part for name, part in members.items() if part}


def _range(lengths: Sequence[int], unit: str) -> str:
    shortest, longest = min(lengths), max(lengths)
    return f"{shortest} {unit}" if shortest == longest else f"{shortest} to {longest} {unit}"


class _Scripts(dict[int, str]):
    """For each character the first letter of its script's name; every one is looked up once."""

    def __missing__(self, character: int) -> str:
        self[character] = script_of(chr(character))[0]
        return self[character]


HAN, LATIN = "H", "L"
_SCRIPTS = _Scripts()
_LATIN_RUN = re.compile(f"{LATIN}+")


def _script(text: str) -> str:
    """By words: a run of Latin letters weighs as much as one Han character."""
    scripts = text.translate(_SCRIPTS)
    han, latin = scripts.count(HAN), len(_LATIN_RUN.findall(scripts))
    if han + latin == 0:
        return "other scripts"
    if min(han, latin) >= BOTH_SCRIPTS * (han + latin):
        return "Han and Latin"
    return "Han" if han > latin else "Latin"
