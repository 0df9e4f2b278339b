"""Models that read, from Python.

Axes: N texts, D width.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np

from lexloom.api.answering import one_or_many, predictions, warn_of_cuts
from lexloom.base.errors import FolderError, UserError
from lexloom.base.ledger import Ledger
from lexloom.evaluate.embedding import PLAIN, Vectors, embed
from lexloom.evaluate.words import Neighbour, WordTable
from lexloom.models.folder import ModelFolder
from lexloom.models.sentences import Pooling
from lexloom.stages.words import word_table
from lexloom.tasks import Prediction
from lexloom.tasks.folder import TaskModel, task_model
from lexloom.tasks.masks import Candidate, fill
from lexloom.text.tokenizers import Tokenizer

Text = str | tuple[str, ...]
"""A text, or a pair of them."""


class Encoder:
    """A model that understands text; get one from `lexloom.load`.

    What it can do depends on what it was fine-tuned for: a method of another task raises a UserError that says so.
    Every method takes one input and gives one result, or a list and gives a list. Texts longer than the model reads
    are cut, with a warning; `settings={"long_texts": "windows"}` in `predict` reads all of them.
    """

    def __init__(self, contents: ModelFolder, path: Path) -> None:
        self.path = path
        self._contents = contents

    @property
    def tokenizer(self) -> Tokenizer:
        """Text to ids and back."""
        if self._contents.tokenizer is None:
            raise FolderError("has no tokenizer.json", where=str(self.path))
        return self._contents.tokenizer

    @property
    def config(self) -> Any:
        """The frozen Config of the model's family: `vocab_size`, `context`, `width`, `layers`, `head` and so on."""
        return self._contents.model.config

    @property
    def family(self) -> str:
        """The architecture, such as `bert`."""
        return self._contents.family

    @property
    def module(self) -> Any:
        """The torch module."""
        return self._contents.model

    @property
    def task(self) -> str:
        """What it was fine-tuned for: classify, tag, span and so on; raises FolderError if for nothing."""
        return self._task.name

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of its task, in the order of the head's columns."""
        return self._task.setting.labels

    # ---- tasks ----

    @overload
    def classify(self, texts: Text) -> Prediction: ...
    @overload
    def classify(self, texts: list[Text]) -> list[Prediction]: ...
    def classify(self, texts: Any) -> Any:
        """Texts or pairs → {label, probability, probabilities}, or {labels, probabilities} for several labels."""
        return self._answer("classify", texts)

    @overload
    def regress(self, texts: Text) -> Prediction: ...
    @overload
    def regress(self, texts: list[Text]) -> list[Prediction]: ...
    def regress(self, texts: Any) -> Any:
        """Texts or pairs → {score}."""
        return self._answer("regress", texts)

    @overload
    def tag(self, texts: str) -> Prediction: ...
    @overload
    def tag(self, texts: list[str]) -> list[Prediction]: ...
    def tag(self, texts: Any) -> Any:
        """Texts → {entities: [{start, end, type, text, probability}], tags}; offsets are characters of the text."""
        return self._answer("tag", texts)

    @overload
    def relations(self, texts: str) -> Prediction: ...
    @overload
    def relations(self, texts: list[str]) -> list[Prediction]: ...
    def relations(self, texts: Any) -> Any:
        """Texts that mark two stretches, `<e1>audits</e1> … <e2>waste</e2>` → {label, probability, probabilities}."""
        return self._answer("relation", texts)

    def answer(self, question: str, passage: str) -> Prediction:
        """A question about a passage → {answer, start, end, probability}; the answer is "" where there is none."""
        prediction: Prediction = self._answer("span", (question, passage))
        return prediction

    def choose(self, text: str, candidates: Sequence[str]) -> Prediction:
        """The candidate that fits a text best → {choice, text, probability, probabilities}."""
        prediction: Prediction = self._answer("choice", (text, *candidates))
        return prediction

    def predict(self, inputs: Any, *, settings: dict[str, Any] | None = None) -> Any:
        """What the model's own task says, whichever it is: one input and one result, or a list and a list.

        An input is a text, a pair, question and passage, or a text and its candidates; tuples hold what belongs
        together. `settings` are settings of the task to use instead of the model's, such as long_texts="windows".
        """
        model = self._task if settings is None else task_model(self._contents, self.path, settings)
        return one_or_many(inputs, lambda many: predictions(model, many))

    # ---- vectors and masks ----

    @overload
    def embed(self, texts: str, *, pooling: str | None = None, normalise: bool | None = None) -> Vectors: ...
    @overload
    def embed(self, texts: list[str], *, pooling: str | None = None, normalise: bool | None = None) -> Vectors: ...
    def embed(self, texts: Any, *, pooling: str | None = None, normalise: bool | None = None) -> Vectors:
        """A text → a vector (D); a list of texts → (N, D), float32.

        `pooling` (mean, cls) and `normalise` are as the folder has them if not given: a plain encoder's are means.
        """
        stored = PLAIN if self._contents.pooling is None else self._contents.pooling
        chosen = Pooling(
            mode=stored.mode if pooling is None else pooling,
            normalise=stored.normalise if normalise is None else normalise,
            max_tokens=stored.max_tokens,
        )
        many = [texts] if isinstance(texts, str) else texts
        ledger = Ledger()
        vectors_ND = embed(self.module, self.tokenizer, many, chosen, ledger=ledger)
        warn_of_cuts(ledger)
        if not isinstance(texts, str):
            return vectors_ND
        one: Vectors = vectors_ND[0]
        return one

    def similarity(self, first: str, second: str) -> float:
        """The cosine of two texts' vectors, as `embed` gives them."""
        one_D, two_D = self.embed([first, second]).astype(np.float64)
        size = float(np.linalg.norm(one_D) * np.linalg.norm(two_D))
        return float(one_D @ two_D) / size if size > 0 else 0.0

    def neighbours(self, word: str, *, top: int = 10) -> list[Neighbour]:
        """The `top` words whose vectors are nearest to a word's, for models of word vectors."""
        return self._words.neighbours(word, top=top)

    def analogy(self, a: str, b: str, c: str, *, top: int = 10) -> list[Neighbour]:
        """What is to c as b is to a, for models of word vectors: `analogy("man", "king", "woman")`."""
        return self._words.analogy(a, b, c, top=top)

    def fill(self, text: str, *, top: int = 5) -> list[list[Candidate]]:
        """For each mask in the text, the `top` most probable tokens; a mask is the tokenizer's own, `[MASK]`."""
        return fill(self.module, self.tokenizer, text, top=top)

    def __repr__(self) -> str:
        return f"Encoder({str(self.path)!r}, family={self.family!r}, head={self.config.head!r})"

    @cached_property
    def _words(self) -> WordTable:
        return word_table(self._contents, self.path)

    @cached_property
    def _task(self) -> TaskModel:
        return task_model(self._contents, self.path)

    def _answer(self, task: str, inputs: Any) -> Any:
        if self.task != task:
            raise UserError(f"this model does {self.task}, not {task}", where=str(self.path), fix=METHODS[self.task])
        return self.predict(inputs)


METHODS = {
    "classify": "Call classify(texts).",
    "regress": "Call regress(texts).",
    "tag": "Call tag(texts).",
    "relation": "Call relations(texts).",
    "span": "Call answer(question, passage).",
    "similarity": "Call similarity(first, second) or embed(texts).",
    "choice": "Call choose(text, candidates).",
}
"""What to do with a model of each task."""
