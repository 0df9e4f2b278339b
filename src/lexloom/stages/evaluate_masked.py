"""How well models find what an objective hides of a validation part: at the end of pre-training, and for any folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lexloom.base import files
from lexloom.base.console import aligned, progress
from lexloom.base.errors import FolderError
from lexloom.base.recipe import check
from lexloom.data.batches import Windows
from lexloom.data.masking import MaskingSettings
from lexloom.data.shards import open_split
from lexloom.evaluate.counts import WindowsEvaluation
from lexloom.evaluate.foretold import evaluate_foretold
from lexloom.evaluate.intervals import difference
from lexloom.evaluate.leaks import leaked_documents
from lexloom.evaluate.masked import evaluate_masked as measure_masked
from lexloom.evaluate.pairs import evaluate_pairs
from lexloom.models import FAMILIES
from lexloom.models.folder import ModelFolder
from lexloom.objectives import OBJECTIVES
from lexloom.stages.building import Parts
from lexloom.stages.evaluate import RESULTS, TRAIN, VALIDATION, Results, shown, verdict
from lexloom.tasks.folder import load_reader

MOST_TOKENS = 512
BATCH_WINDOWS = 16
NATS = "nats per token"
MEASURES = {
    "masked_accuracy": "accuracy at masked tokens",
    "perplexity_per_masked_token": "perplexity per masked token",
    "nats_per_masked_token": "nats per masked token",
    "next_accuracy": "accuracy of next-sentence judgements",
    "target_accuracy": "accuracy at target tokens",
    "perplexity_per_target_token": "perplexity per target token",
    "nats_per_target_token": "nats per target token",
    "foretold_accuracy": "accuracy at words",
    "perplexity_per_foretold_word": "perplexity per word",
    "perplexity_from_before": "from the words before",
    "perplexity_from_behind": "from the words behind",
    "nats_per_foretold_word": "nats per word",
}
MEASURE: dict[str, Callable[..., WindowsEvaluation]] = {
    "masked": measure_masked,
    "pretraining": measure_masked,
    "bidirectional": evaluate_foretold,
    "encoder-decoder": evaluate_pairs,
}
"""By the encoder's head, or the kind of model."""
OBJECTIVE_OF_HEAD = {"masked": "masked", "pretraining": "masked+next", "bidirectional": "bidirectional"}
"""What an encoder was trained for; an encoder-decoder that doesn't say it is taken to restore spans, as T5 does."""


def evaluate_masked(model: Any, parts: Parts, validation: Windows, prepared: Path, *, name: str, out: Path) -> Results:
    """Measure a model in memory and write `out`/results.json, of the same shape as `evaluate`'s."""
    settings = parts.train
    measure = MEASURE[parts.objective.head or parts.objective.kind]
    with progress("scoring hidden tokens", len(validation)) as tick:
        found = measure(
            model, parts.objective, validation, seed=settings.seed, batch_windows=settings.micro_batch, tick=tick
        )
    return _results([{"folder": name, **found.to_json()}], prepared, out, [])


@dataclass(frozen=True)
class Terms:
    """What a model is asked to find, in windows of what size."""

    objective: str
    masking: MaskingSettings
    context: int
    boundaries: bool


Measured = tuple[str, Terms, WindowsEvaluation]


def evaluate_folders(folders: Sequence[Path], data: Sequence[str], *, out: Path | None = None) -> Results:
    """Measure models that find what is hidden on the validation part of a prepared folder, in their tokenizer's tokens.

    Windows and what is hidden are as in the first model's pre-training (of others' folders as recipes have them by
    default), so that every later one can be compared with it in nats per token; a model of another objective or with
    less room is measured on its own terms. Raises FolderError for data that isn't a prepared folder, or was prepared
    with another tokenizer.
    """
    prepared = Path(data[0])
    if len(data) != 1 or not (prepared / VALIDATION).is_dir():
        raise FolderError("models that find what is hidden are evaluated on a prepared folder", where=", ".join(data))
    measured: list[Measured] = []
    for folder in folders:
        measured.append(_measured(folder, prepared, first=measured[0][1] if measured else None))
    models = [{"folder": name, **found.to_json()} for name, _, found in measured]
    return _results(models, prepared, out, [_compare(measured[0], later) for later in measured[1:]])


def _measured(folder: Path, prepared: Path, *, first: Terms | None) -> Measured:
    contents = load_reader(folder)
    if contents.tokenizer is None:
        raise FolderError("has no tokenizer.json", where=str(folder))
    terms = _terms(contents, first, where=str(folder))
    objective = OBJECTIVES[terms.objective](terms.masking, contents.tokenizer)
    shards = open_split(prepared, VALIDATION, tokenizer_sha256=contents.tokenizer.sha256)
    windows = Windows(shards, objective.window_tokens(terms.context), boundaries=terms.boundaries)
    measure = MEASURE[objective.head or objective.kind]
    with progress(f"scoring hidden tokens with {folder}", len(windows)) as tick:
        found = measure(contents.model, objective, windows, seed=0, batch_windows=BATCH_WINDOWS, tick=tick)
    return str(folder), terms, found


def _terms(contents: ModelFolder, first: Terms | None, *, where: str) -> Terms:
    """Those of the first model, if this one can meet them, or else of its own pre-training."""
    name, room = _objective_of(contents), contents.model.config.context
    if first is not None and name == first.objective and first.context <= room:
        return first
    recipe = contents.facts.get("provenance", {}).get("recipe", {})
    masking = check(MaskingSettings, recipe.get("masking", {}), where=where)
    train = recipe.get("train", {})
    return Terms(name, masking, min(room, train.get("context", MOST_TOKENS)), train.get("boundaries", True))


def _compare(first: Measured, second: Measured) -> Results:
    (one, its_terms, base), (other, terms, later) = first, second
    pair = {"first": one, "second": other}
    if terms != its_terms:
        return {**pair, "verdict": f"{other} and {one} were asked for different things, so they can't be compared."}
    found = difference(base.nats, later.nats, base.tokens)
    return {**pair, **({} if found is None else found.to_json()), "verdict": verdict(one, other, found, NATS)}


def _objective_of(contents: ModelFolder) -> str:
    if FAMILIES[contents.family].kind == "encoder":
        return OBJECTIVE_OF_HEAD[contents.model.config.head]
    name = contents.facts.get("provenance", {}).get("objective")
    return name if name in OBJECTIVES else "denoise"


def _results(models: list[Results], prepared: Path, out: Path | None, comparisons: list[Results]) -> Results:
    results = {
        "data": [str(prepared)],
        "leaked_documents": leaked_documents(*(open_split(prepared, part) for part in (TRAIN, VALIDATION))),
        "models": models,
        "comparisons": comparisons,
    }
    if out is not None:
        files.write_json(out / RESULTS, results)
    return results


def describe(results: Results) -> str:
    """The results for people."""
    models = results["models"]
    names = [("", *(model["folder"] for model in models))] if len(models) > 1 else []
    rows = [
        (label, *(shown(model.get(key)) for model in models))
        for key, label in MEASURES.items()
        if any(model.get(key) is not None for model in models)
    ]
    sizes = [f"{model['tokens']:,} hidden tokens in {model['sequences']:,} sequences" for model in models]
    note = f"{'; '.join(dict.fromkeys(sizes))}; 95 % intervals by bootstrap over {models[0]['resampled']}."
    verdicts = [comparison["verdict"] for comparison in results["comparisons"]]
    return "\n".join([aligned([*names, *rows]), "", note, *verdicts])
