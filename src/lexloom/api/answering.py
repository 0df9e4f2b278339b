"""What people hand over in Python, as examples of a task; what the task says to them."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from lexloom.base.errors import UserError
from lexloom.base.ledger import Ledger
from lexloom.tasks import Prediction
from lexloom.tasks.encoding import CUT, STAGE
from lexloom.tasks.folder import TaskModel
from lexloom.tasks.given import example_of


def one_or_many(inputs: Any, predict: Callable[[Sequence[Any]], list[Prediction]]) -> Any:
    """A list gives a list; a text, or a tuple of texts that belong together, gives one result."""
    if isinstance(inputs, str | tuple):
        return predict([inputs])[0]
    return predict(list(inputs))


def predictions(model: TaskModel, inputs: Sequence[Any]) -> list[Prediction]:
    """One prediction for each input; warns of texts that were cut. Raises UserError for what is no text."""
    examples = []
    for number, given in enumerate(inputs, start=1):
        parts = (given,) if isinstance(given, str) else tuple(given)
        if not parts or not all(isinstance(part, str) for part in parts):
            raise UserError(f"is {given!r:.80}, not a text", where=f"input {number}")
        examples.append(example_of(model.name, parts, f"input {number}"))
    ledger = Ledger()
    found = model.predict(examples, ledger=ledger)
    warn_of_cuts(ledger)
    return found


def warn_of_cuts(ledger: Ledger) -> None:
    """Warn of texts of which the model didn't read everything."""
    cut = ledger[STAGE, CUT]
    if cut.documents:
        warnings.warn(
            f"{cut.documents:,} texts are longer than the model reads; {cut.characters:,} characters were left out",
            stacklevel=4,
        )
