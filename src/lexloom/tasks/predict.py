"""Predictions for examples, in batches of about equal tokens, whatever the lengths."""

from collections.abc import Callable, Sequence
from typing import Any

from lexloom.base.ledger import Ledger
from lexloom.tasks.contract import Encoded, Prediction, Setting, Task
from lexloom.tasks.passes import PORTION_TOKENS

SORTED_EXAMPLES = 4096
"""Examples encoded and sorted by length at once; the bound of memory."""


def predict(
    model: Any,
    task: Task,
    examples: Sequence[Any],
    setting: Setting,
    *,
    ledger: Ledger,
    tick: Callable[[int], None] | None = None,
    batch_tokens: int = PORTION_TOKENS,
    threads: int | None = None,
    encoded: Sequence[Encoded] | None = None,
) -> list[Prediction]:
    """One prediction per example, in their order; none depends on what else is in its batch.

    `tick(done)` is called after each with the number of examples that are done. `threads` portions are computed at a
    time, as many as there are cores if None. `encoded` are the examples' encodings where they are at hand.
    """
    model.eval()
    predictions: list[Prediction] = []
    for start in range(0, len(examples), SORTED_EXAMPLES):
        some = examples[start : start + SORTED_EXAMPLES]
        known = task.encode(some, setting, ledger) if encoded is None else encoded[start : start + len(some)]
        order = sorted(range(len(some)), key=lambda index: max(len(piece.ids) for piece in known[index].pieces))
        answers = task.answer(model, [known[index] for index in order], setting, batch_tokens, threads)
        found: dict[int, Prediction] = {}
        for index, answer in zip(order, answers, strict=True):
            found[index] = task.decode(some[index], known[index], answer, setting)
            if tick is not None:
                tick(start + len(found))
        predictions += [found[index] for index in range(len(some))]
    return predictions
