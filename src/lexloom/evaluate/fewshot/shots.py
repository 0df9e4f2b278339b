"""Which examples stand before a question: drawn by chance for each question, or those nearest to it.

Examples that are also questions of the test are left out: their answers would stand in the prompt.
Axes: Q questions, P examples in the pool, D width.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lexloom.base.errors import UserError
from lexloom.base.ledger import Ledger
from lexloom.base.rng import generator
from lexloom.evaluate.fewshot.prompts import Query
from lexloom.text.duplicates import content_hash

STAGE = "examples"
IN_TEST = "also in the test data, left out"
UNLABELLED = "without an answer, left out"
TWICE = "standing twice, left out"

Vectors = npt.NDArray[np.float32]


def pool(examples: Sequence[Query], questions: Sequence[Query], ledger: Ledger) -> list[Query]:
    """The examples that may stand in prompts; the others are counted."""
    asked = {_key(question) for question in questions}
    seen = set[bytes]()
    kept = []
    for example in examples:
        key = _key(example)
        fault = UNLABELLED if example.target is None else IN_TEST if key in asked else TWICE if key in seen else None
        if fault is None:
            seen.add(key)
            kept.append(example)
        else:
            ledger.count(STAGE, fault, where=example.where)
    return kept


def check_enough(examples: Sequence[Query], shots: int) -> None:
    """Raise UserError if there are fewer examples than are to be shown."""
    if shots > len(examples):
        raise UserError(
            f"{shots} examples are to be shown, but there are only {len(examples)} to choose from",
            where="--examples",
            fix="Name a file with more of them, none of which is in the test data, or show fewer.",
        )


def drawn(questions: int, examples: int, shots: int, *, seed: int) -> list[list[int]]:
    """For each question the numbers of `shots` different examples, each question by a draw of its own.

    Fewer shots are the last of those that more would be: what is compared then differs by the added examples only.
    """
    return [
        generator("shots", seed, question).permutation(examples)[:shots][::-1].tolist() for question in range(questions)
    ]


def nearest(questions_QD: Vectors, examples_PD: Vectors, shots: int) -> list[list[int]]:
    """For each question the numbers of the examples with the largest cosine, the nearest last, next to the question.

    Source: Liu et al. 2022, arXiv:2101.06804.
    """
    cosines_QP = _unit(questions_QD) @ _unit(examples_PD).T
    order_QP = np.argsort(-cosines_QP, axis=1, kind="stable")
    chosen: list[list[int]] = order_QP[:, :shots][:, ::-1].tolist()
    return chosen


def _key(query: Query) -> bytes:
    return b"".join(content_hash(text) for text in query.texts)


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = vectors / np.maximum(lengths, 1e-12)
    return unit
