"""`lexloom evaluate MODEL... --data TEXT`: how well models predict a text, and whether they really differ."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lexloom.base import files
from lexloom.base.console import aligned, progress
from lexloom.base.errors import FolderError, UserError
from lexloom.base.ledger import Ledger
from lexloom.data.shards import EncodedDocument, TokenShards, encode_documents, open_split
from lexloom.evaluate.intervals import Difference
from lexloom.evaluate.leaks import leaked_documents
from lexloom.evaluate.perplexity import DocumentScores, compare
from lexloom.evaluate.perplexity import evaluate as summarise
from lexloom.evaluate.scoring import read_encoded, score_encoded
from lexloom.generate.reply import start_id, tokenizer_of
from lexloom.models.folder import ModelFolder, load_model
from lexloom.text.readers import DataSettings, read_documents
from lexloom.text.tokenizers import Tokenizer, load_tokenizer

RESULTS = "results.json"
TRAIN, VALIDATION = "train", "validation"

Results = dict[str, Any]


def evaluate(
    folders: Sequence[Path], data: Sequence[str], *, settings: DataSettings | None = None, out: Path | None = None
) -> Results:
    """Score models on the validation part of a prepared folder, or on text files.

    `data` is one prepared folder, or files, folders and patterns of text that `settings` says how to read. Returns
    {data, leaked_documents, models: [{folder, …Evaluation}], comparisons: [{first, second, …Difference}]}; every model
    after the first is compared with the first in bits per byte. With `out` it is also written to out/results.json.
    `leaked_documents` counts validation documents that also stand in the training part (None for text files).
    """
    models = ((str(folder), load_model(folder)) for folder in folders)
    return evaluate_models(models, data, settings=settings, out=out)


def evaluate_models(
    models: Iterable[tuple[str, ModelFolder]],
    data: Sequence[str],
    *,
    settings: DataSettings | None = None,
    out: Path | None = None,
) -> Results:
    """`evaluate` for models in memory, each with the name under which it stands in the results."""
    text = Text(data, DataSettings() if settings is None else settings)
    scores = [(name, score(name, model, text)) for name, model in models]
    results = {
        "data": list(data),
        "leaked_documents": text.leaked_documents(),
        "models": [{"folder": name, **summarise(one).to_json()} for name, one in scores],
        "comparisons": [_compare(*scores[0], *later) for later in scores[1:]],
    }
    if out is not None:
        files.write_json(out / RESULTS, results)
    return results


def describe(results: Results) -> str:
    """The results for people: a table with intervals, then what differs and what to know."""
    models = results["models"]
    header = ("model", "bits per byte", "perplexity per token", "per word", "nats per token")
    keys = ("bits_per_byte", "perplexity_per_token", "perplexity_per_word", "nats_per_token")
    rows = [header, *((model["folder"], *(shown(model[key]) for key in keys)) for model in models)]
    sizes = [f"{model['folder']}: {model['documents']:,} documents, {model['tokens']:,} tokens" for model in models]
    notes = [
        f"{models[0]['words']:,} words and {models[0]['utf8_bytes']:,} bytes; 95 % intervals by bootstrap over "
        f"{models[0]['resampled']}.",
        *sizes,
        *(comparison["verdict"] for comparison in results["comparisons"]),
    ]
    if results["leaked_documents"]:
        notes.append(
            f"Caution: {results['leaked_documents']:,} validation documents also stand in the training part, word for "
            f"word; the numbers are better than the model."
        )
    return "\n".join([aligned(rows), "", *notes])


class Text:
    """What the models are scored on, for each in tokens of its own tokenizer."""

    def __init__(self, data: Sequence[str], settings: DataSettings) -> None:
        self._sources = data
        self._settings = settings
        self._prepared = Path(data[0]) if len(data) == 1 and (Path(data[0]) / VALIDATION).is_dir() else None

    def encoded(self, tokenizer: Tokenizer) -> tuple[Iterator[EncodedDocument], int | None]:
        """The documents, and the number of their tokens where it is known beforehand."""
        if self._prepared is None:
            return encode_documents(self._texts(), tokenizer), None
        shards = open_split(self._prepared, VALIDATION)
        if shards.index["tokenizer_sha256"] == tokenizer.sha256:
            return read_encoded(shards), shards.total_tokens
        return encode_documents(_decoded(shards, load_tokenizer(self._prepared)), tokenizer), None

    def leaked_documents(self) -> int | None:
        """How many documents were also trained on, word for word; None where that can't be known."""
        if self._prepared is None or not (self._prepared / TRAIN).is_dir():
            return None
        return leaked_documents(open_split(self._prepared, TRAIN), open_split(self._prepared, VALIDATION))

    def _texts(self) -> Iterator[str]:
        for document in read_documents(self._sources, ledger=Ledger(), settings=self._settings):
            yield document.text


def _decoded(shards: TokenShards, tokenizer: Tokenizer) -> Iterator[str]:
    """The text of a prepared part, for a model with another tokenizer; refused unless it is the whole text."""
    for document in read_encoded(shards):
        text = tokenizer.decode(document.ids)
        if len(text.encode()) != document.utf8_bytes:
            raise FolderError(
                "was prepared with a tokenizer that doesn't keep all of the text, so other tokenizers can't read it",
                where=str(shards.folder),
                fix="Name the text files instead of the prepared folder.",
            )
        yield text


def score(name: str, contents: ModelFolder, text: Text) -> DocumentScores:
    """What a model makes of each document of the text; `name` is for the progress. Raises UserError for no text."""
    documents, tokens = text.encoded(tokenizer_of(contents))
    with progress(f"scoring with {name}", tokens) as tick:
        scores = score_encoded(contents.model, documents, start_id=start_id(contents), tick=tick)
    if not scores.nats:
        raise UserError("there are no documents to evaluate on", fix="Prepare with a larger validation share.")
    return scores


def _compare(first: str, first_scores: DocumentScores, second: str, second_scores: DocumentScores) -> Results:
    found = compare(first_scores, second_scores)
    figures = {} if found is None else found.to_json()
    return {"first": first, "second": second, **figures, "verdict": verdict(first, second, found, "bits per byte")}


def verdict(first: str, second: str, found: Difference | None, unit: str) -> str:
    """What a paired test of two models says, of a loss in `unit`; None was too little text."""
    if found is None:
        return f"There is too little text to tell {second} from {first}."
    better, worse = (second, first) if found.value < 0 else (first, second)
    said = (
        f"{better} is better than {worse} by {abs(found.value):.4f} {unit}" if found.real
        else f"{second} and {first} can't be told apart on this text: {found.value:+.4f} {unit}"
    )  # fmt: skip
    return f"{said} ({found.low:+.4f} to {found.high:+.4f}, p = {found.p:.2g})."


def shown(estimate: dict[str, float | None] | None) -> str:
    """A number with its interval."""
    if estimate is None:
        return "–"
    low, high = estimate["low"], estimate["high"]
    interval = "" if low is None or high is None else f" ({low:.4g}–{high:.4g})"
    return f"{estimate['value']:.4g}{interval}"
