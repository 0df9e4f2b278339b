"""The end of pre-training an encoder: how well it finds hidden tokens of the validation part."""

from pathlib import Path
from typing import Any

from lexloom.base import files
from lexloom.base.console import aligned, progress
from lexloom.data.batches import Windows
from lexloom.data.shards import open_split
from lexloom.evaluate.leaks import leaked_documents
from lexloom.evaluate.masked import evaluate_masked as measure
from lexloom.stages.building import Parts
from lexloom.stages.evaluate import RESULTS, TRAIN, VALIDATION, Results, shown

MEASURES = {
    "masked_accuracy": "accuracy at masked tokens",
    "perplexity_per_masked_token": "perplexity per masked token",
    "nats_per_masked_token": "nats per masked token",
    "next_accuracy": "accuracy of next-sentence judgements",
}


def evaluate_masked(model: Any, parts: Parts, validation: Windows, prepared: Path, *, name: str, out: Path) -> Results:
    """Measure a model in memory and write `out`/results.json, of the same shape as `evaluate`'s."""
    settings = parts.recipe.train
    with progress("scoring hidden tokens", len(validation)) as tick:
        found = measure(
            model, parts.objective, validation, seed=settings.seed, batch_windows=settings.micro_batch, tick=tick
        )
    results = {
        "data": [str(prepared)],
        "leaked_documents": leaked_documents(*(open_split(prepared, part) for part in (TRAIN, VALIDATION))),
        "models": [{"folder": name, **found.to_json()}],
        "comparisons": [],
    }
    files.write_json(out / RESULTS, results)
    return results


def describe(results: Results) -> str:
    """The results for people."""
    (model,) = results["models"]
    rows = [(label, shown(model[key])) for key, label in MEASURES.items() if model[key] is not None]
    note = (
        f"{model['tokens']:,} masked tokens in {model['sequences']:,} sequences; 95 % intervals by bootstrap over "
        f"{model['resampled']}."
    )
    return "\n".join([aligned(rows), "", note])
