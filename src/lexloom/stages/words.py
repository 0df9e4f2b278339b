"""Word vectors in use: `lexloom neighbours`, and `lexloom evaluate` on pairs of words and on analogies."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lexloom.base import files
from lexloom.base.console import aligned
from lexloom.base.errors import FolderError, UserError
from lexloom.evaluate.words import TOTAL, WordTable, compare_pairs, judge_analogies, judge_pairs
from lexloom.labelled.word_lists import WordPairs, read_word_list
from lexloom.models.folder import ModelFolder, load_model
from lexloom.nn.static import StaticVectors
from lexloom.stages.evaluate import RESULTS, Results

QUESTION_WORDS = 3


@dataclass(frozen=True)
class Near:
    """What was asked, and the nearest words with their cosines."""

    asked: str
    words: list[dict[str, Any]]


def word_table(contents: ModelFolder, where: Path) -> WordTable:
    """The table of a model of word vectors. Raises FolderError for other models."""
    if not isinstance(contents.model, StaticVectors) or contents.tokenizer is None:
        fix = "Learn one (family word2vec or glove), or import a file of vectors."
        raise FolderError("holds no table of word vectors", where=str(where), fix=fix)
    return WordTable(contents.tokenizer, contents.model.tokens.weight.detach().numpy())


def neighbours(folder: Path, words: Sequence[str], *, top: int = 10, analogy: bool = False) -> list[Near]:
    """The nearest words of each word; with `analogy`, what is to the third word as the second is to the first.

    Raises UserError for a word without a vector, or an analogy that isn't of three words.
    """
    table = word_table(load_model(folder), folder)
    if not analogy:
        return [Near(word, [asdict(one) for one in table.neighbours(word, top=top)]) for word in words]
    if len(words) != QUESTION_WORDS:
        raise UserError(f"an analogy is asked with three words, not {len(words)}", fix="For example: man king woman.")
    a, b, c = words
    return [Near(f"{a} : {b} = {c} : ?", [asdict(one) for one in table.analogy(a, b, c, top=top)])]


def describe_neighbours(found: list[Near]) -> str:
    """The nearest words for people."""
    return "\n\n".join(f"{near.asked}\n{_listed(near)}" for near in found)


def _listed(near: Near) -> str:
    return aligned([(one["word"], f"{one['cosine']:.3f}") for one in near.words], right=(1,))


def evaluate_words(folders: Sequence[Path], data: Sequence[str], *, out: Path | None = None) -> Results:
    """Judge tables of vectors by files of word pairs or analogies.

    Returns {data, words: [{file, models: [{folder, …}], comparisons}]}; with `out` also in out/results.json. Every
    model after the first is compared with the first over the pairs that both know.
    """
    tables = [(str(folder), word_table(load_model(folder), folder)) for folder in folders]
    results = {"data": list(data), "words": [_judged(tables, Path(name)) for name in data]}
    if out is not None:
        files.write_json(out / RESULTS, results)
    return results


def describe_words(results: Results) -> str:
    """The figures for people."""
    return "\n\n".join(_described(each) for each in results["words"])


def _judged(tables: Sequence[tuple[str, WordTable]], path: Path) -> Results:
    data = read_word_list(path)
    if not isinstance(data, WordPairs):
        models = [
            {"folder": name, "sections": {key: asdict(each) for key, each in judge_analogies(table, data).items()}}
            for name, table in tables
        ]
        return {"file": str(path), "models": models, "comparisons": []}
    first, *others = tables
    comparisons = [
        {"first": first[0], "second": name, **difference.to_json()}
        for name, table in others
        if (difference := compare_pairs(first[1], table, data)) is not None
    ]
    models = [{"folder": name, **asdict(judge_pairs(table, data))} for name, table in tables]
    return {"file": str(path), "models": models, "comparisons": comparisons}


def _described(judged: Results) -> str:
    models = judged["models"]
    if "sections" in models[0]:
        return "\n\n".join(_describe_analogies(judged["file"], model) for model in models)
    rows = [("model", "Spearman", "pairs known")]
    rows += [
        (model["folder"], _percent(model["spearman"]), f"{model['known']:,} of {model['pairs']:,}") for model in models
    ]
    notes = [
        f"{each['second']} − {each['first']}: {100 * each['value']:+.1f} ({100 * each['low']:+.1f} to "
        f"{100 * each['high']:+.1f}, p = {each['p']:.2g}) on the pairs that both know"
        for each in judged["comparisons"]
    ]
    return "\n".join([judged["file"], aligned(rows), *notes])


def _describe_analogies(file: str, model: Results) -> str:
    rows = [("section", "accuracy", "questions known")]
    rows += [
        (
            name or TOTAL,
            _percent(each["accuracy"]) if each["known"] else "–",
            f"{each['known']:,} of {each['questions']:,}",
        )
        for name, each in model["sections"].items()
    ]
    return f"{file}, {model['folder']}\n{aligned(rows)}"


def _percent(estimate: dict[str, float | None]) -> str:
    value, low, high = (estimate[key] for key in ("value", "low", "high"))
    assert value is not None, "every figure has a value"
    interval = "" if low is None or high is None else f" ({100 * low:.1f} to {100 * high:.1f})"
    return f"{100 * value:.1f}{interval}"
