"""The tables of the report and of the model card, from what the stages wrote."""

from typing import Any

from lexloom.report.numbers import figures, interval
from lexloom.report.read import Row, Run


def evaluation_table(run: Run) -> Row | None:
    return None


def plan_rows(run: Run) -> list[Row]:
    return []


def tokenizer_table(run: Run) -> Row | None:
    return None


def environment_rows(run: Run) -> list[Any]:
    return []
