"""The model card: `README.md` of a model folder, written from the run; every number in it was measured.

Front matter: https://huggingface.co/docs/hub/model-cards. What isn't known is left out.
"""

import json
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

from lexloom.base.console import duration, size
from lexloom.report.html import resource
from lexloom.report.numbers import count, figures
from lexloom.report.read import MODEL, Row, Run, last
from lexloom.report.sections import evaluation_table, provenance_rows, tokenizer_table

WRITES, FILLS = "text-generation", "fill-mask"
TAGS = {WRITES: "causal-lm", FILLS: "masked-lm"}
"""What model hubs call models by what they are for."""
UNITS = {"masked": "masked token", "masked+next": "masked token, judgements of pairs included"}
"""What a loss in nats is per, where it isn't the token."""
MOST_LEDGER_ROWS = 30


def model_card(
    run: Run,
    *,
    family: str,
    parameters: int,
    mask: str | None = None,
    languages: Sequence[str] = (),
    license_name: str | None = None,
) -> str:
    """The card of the model that a run has made (its `model/` folder need not be there yet).

    `mask` is the token that an encoder fills, None for a model that writes. `languages` are ISO 639 codes,
    `license_name` an SPDX identifier in lower case; both are stated only if given.
    """
    return markdown_template("card.md.jinja").render(
        front_matter=front_matter(languages, license_name, WRITES if mask is None else FILLS),
        mask=mask,
        unit=UNITS.get(run.recipe.get("objective", ""), "token"),
        family=family,
        parameters=size(parameters, ""),
        exact_parameters=count(parameters),
        folder=MODEL,
        training=_training(run),
        evaluation=evaluation_table(run),
        best=run.best_validation,
        ledger=[_ledger_row(row) for row in run.ledger[:MOST_LEDGER_ROWS]],
        more_ledger=max(0, len(run.ledger) - MOST_LEDGER_ROWS),
        tokenizer=tokenizer_table(run),
        fingerprints=provenance_rows(run),
        settings={name: json.dumps(value, ensure_ascii=False) for name, value in run.recipe.get("train", {}).items()},
    )


def markdown_template(name: str) -> Template:
    """A card's template of this package; `| cell` makes values safe for its tables."""
    environment = Environment(autoescape=False, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["cell"] = cell
    return environment.from_string(resource(name))


def front_matter(languages: Sequence[str], license_name: str | None, pipeline: str) -> str:
    """The YAML between the dashes; every value is written as JSON, which YAML contains."""
    values: dict[str, Any] = {
        "language": list(languages),
        "license": license_name,
        "library_name": "lexloom",
        "pipeline_tag": pipeline,
        "tags": ["lexloom", TAGS[pipeline], pipeline],
    }
    return "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items() if value)


def cell(value: object) -> str:
    """Text that can't break out of a cell of a Markdown table, nor become HTML."""
    text = " ".join(str(value).split()).replace("\\", "\\\\").replace("|", "\\|").replace("`", "\\`")
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _training(run: Run) -> Row:
    steps = run.metrics.steps["step"]
    tokens = last(run.metrics.steps["tokens"])
    return {
        "steps": count(steps[-1]) if steps.size else "0",
        "tokens": count(tokens) or None,
        "time": duration(run.seconds) if run.seconds > 0 else None,
        "loss": figures(last(run.metrics.steps["loss"])),
        "skipped": len(run.metrics.skipped),
    }


def _ledger_row(row: Row) -> tuple[str, str, str, str]:
    return row["stage"], row["outcome"], count(row["documents"]), count(row["characters"])
