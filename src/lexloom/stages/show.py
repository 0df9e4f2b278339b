"""`lexloom show FOLDER`: what a folder holds, whether it is whole, and what to do with it."""

import math
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lexloom.base import files
from lexloom.base.console import aligned, size
from lexloom.base.errors import DamagedError, FolderError
from lexloom.report.numbers import count, figures
from lexloom.report.read import METRICS, MODEL, RECIPE, number, optional_json, read_metrics
from lexloom.report.weights import tensor_shapes

CHECKPOINTS = "checkpoints"
STATE = "state.json"
CONFIG = "config.json"
FACTS = "lexloom.json"
QUALITY = "tokenizer_quality.json"
LEDGER = "ledger.json"
TRAIN, VALIDATION = "train", "validation"
COUNTED = ("documents", "tokens", "words", "utf8_bytes", "vocab_size")

# The first pattern found in a tensor's name says which part of the model it belongs to.
PARTS = {
    "norms": r"norm|\bln_",
    "positions": r"wpe|position|relative_attention_bias",
    "attention": r"attn|[aA]ttention",
    "feed-forward": r"mlp|ffn|feed_forward|intermediate|output\.dense|DenseReluDense|\.fc\d",
    "embeddings": r"wte|embed|tokens|shared",
    "head": r"head|score|final_logits_bias|classifier|pooler|predictions|qa_outputs|seq_relationship",
    "other": "",
}

Facts = dict[str, Any]


def show(folder: Path) -> Facts:
    """Explain a folder and verify every hash in it.

    Returns {folder, kind, verified, …, next}; `kind` is prepared, run, checkpoint, model or "hugging face".
    Raises FolderError if it is none of these, DamagedError naming the first file that was changed or is missing.
    """
    if not folder.is_dir():
        raise FolderError("is not a folder", where=str(folder))
    kind = _kind(folder)
    if kind is None:
        raise FolderError(
            "is not a folder that Lexloom knows",
            where=str(folder),
            fix="Name a prepared, run, checkpoint or model folder.",
        )
    explain = EXPLAIN[kind]
    return {"folder": str(folder), "kind": kind} | explain(folder) | {"next": _next(kind, folder)}


def describe(facts: Facts) -> str:
    """The facts for people: plain values first, then one small table for each list, then what to do next."""
    plain = [(_label(key), _shown(value)) for key, value in facts.items() if _on_a_line(key, value)]
    parts = [f"{facts['folder']}: {KINDS[facts['kind']]}", aligned(plain)]
    for key, value in facts.items():
        if isinstance(value, dict) and value:
            parts.append(f"{_label(key)}\n{aligned([(_label(name), _shown(inner)) for name, inner in value.items()])}")
        elif isinstance(value, list) and not _plain(value) and key not in HIDDEN:
            parts.append(f"{_label(key)}\n{_table(value)}")
    commands = "\n".join(f"  {command}" for command in facts["next"])
    return "\n\n".join([*parts, f"next\n{commands}"])


def _on_a_line(key: str, value: Any) -> bool:
    return key not in HIDDEN and value != [] and _plain(value)


KINDS = {
    "prepared": "a prepared folder: text as tokens, ready to train on",
    "run": "a run folder: one training, from its recipe to its model",
    "checkpoint": "a checkpoint: a training at rest, to be resumed",
    "model": "a model folder: weights, tokenizer and where they come from",
    "hugging face": "a model folder that others wrote, in Hugging Face layout",
}
HIDDEN = ("folder", "kind", "next")


def _kind(folder: Path) -> str | None:
    def has(name: str) -> bool:
        return (folder / name).is_file()

    if has(METRICS) or (has(RECIPE) and not has(files.MANIFEST)):
        return "run"
    if has(STATE):
        return "checkpoint"
    if has(f"{TRAIN}/index.json"):
        return "prepared"
    if has(CONFIG):
        return "model" if has(FACTS) else "hugging face"
    return None


def _explain_prepared(folder: Path) -> Facts:
    quality = optional_json(folder / QUALITY, {})
    scripts = quality.pop("scripts", {})
    return (
        _verified(folder)
        | {"splits": [_split(folder / name, name) for name in (TRAIN, VALIDATION) if (folder / name).is_dir()]}
        | {"tokenizer": quality, "scripts": [{"script": name} | script for name, script in scripts.items()]}
        | {"ledger": optional_json(folder / LEDGER, [])}
    )


def _split(folder: Path, name: str) -> Facts:
    index = files.read_json(folder / "index.json")
    return {"split": name, "shards": len(index["shards"])} | {key: index[key] for key in COUNTED if key in index}


def _explain_run(folder: Path) -> Facts:
    model = folder / MODEL
    checkpoints = sorted((folder / CHECKPOINTS).glob("step-*")) if (folder / CHECKPOINTS).is_dir() else []
    return (
        (_progress(folder) if (folder / METRICS).is_file() else {"state": "not begun"})
        | {"half_made": _half_made(folder)}
        | {"ledger": optional_json(folder / LEDGER, [])}
        | {"checkpoints": [{"checkpoint": path.name} | _verified(path) for path in checkpoints]}
        | (
            {"model": _explain_model(model)["verified"]}
            if model.is_dir()
            else {"model": "none yet: the run isn't over"}
        )
    )


def _progress(folder: Path) -> Facts:
    metrics = read_metrics(folder / METRICS)
    steps = metrics.steps
    known = [row for row in metrics.validations if math.isfinite(number(row.get("loss")))]
    best = min(known, key=lambda row: float(row["loss"]), default=None)
    facts: Facts = {"steps": int(steps["step"][-1]) if steps["step"].size else 0}
    facts["skipped_steps"] = len(metrics.skipped)
    if steps["step"].size:
        facts |= {name: float(steps[name][-1]) for name in ("loss", "tokens") if math.isfinite(steps[name][-1])}
    if best is not None:
        facts["best_validation"] = f"{best['loss']:.4f} nats per token at step {best['step']}"
        if math.isfinite(number(best.get("bits_per_byte"))):
            facts["best_validation"] += f", {best['bits_per_byte']:.4f} bits per byte"
    return facts


def _half_made(folder: Path) -> int:
    """Folders that a killed process left half made; the next run on this folder sweeps them away."""
    places = (folder, folder / CHECKPOINTS)
    return sum(len([*place.glob(f"{files.TEMPORARY}*"), *place.glob(f"{files.TRASH}*")]) for place in places)


def _explain_checkpoint(folder: Path) -> Facts:
    state = files.read_json(folder / STATE)
    return _verified(folder) | {"state": _simple(state)}


def _explain_model(folder: Path) -> Facts:
    facts = files.read_json(folder / FACTS)
    about = {
        "family": facts.get("family"),
        "task": (facts.get("task") or {}).get("name"),
        "labels": facts.get("labels"),
        "golden_inputs": len((facts.get("golden") or {}).get("ids", [])),
        "tokenizer_sha256": facts.get("tokenizer_sha256"),
    }
    return (
        _verified(folder)
        | {key: value for key, value in about.items() if value is not None}
        | _parameters(folder)
        | {"config": _simple(files.read_json(folder / CONFIG))}
        | {"versions": facts.get("versions") or {}, "provenance": _simple(facts.get("provenance") or {})}
    )


def _explain_foreign(folder: Path) -> Facts:
    config = files.read_json(folder / CONFIG)
    verified = {"verified": "no manifest: nothing to compare the files with"}
    return verified | {"model_type": config.get("model_type")} | _parameters(folder) | {"config": _simple(config)}


EXPLAIN: dict[str, Callable[[Path], Facts]] = {
    "prepared": _explain_prepared,
    "run": _explain_run,
    "checkpoint": _explain_checkpoint,
    "model": _explain_model,
    "hugging face": _explain_foreign,
}


def _verified(folder: Path) -> Facts:
    if not (folder / files.MANIFEST).is_file():
        raise DamagedError(
            "is missing, so the folder was never finished or has lost it", where=str(folder / files.MANIFEST)
        )
    listed = files.verify_folder(folder)["files"]
    total_bytes = sum(entry["bytes"] for entry in listed.values())
    return {"verified": f"{len(listed)} files, {size(total_bytes)}, every hash as written"}


def _parameters(folder: Path) -> Facts:
    """The number of parameters, in all and by part; tied weights once."""
    parts: dict[str, int] = {}
    for name, shape in tensor_shapes(folder).items():
        part = next(part for part, pattern in PARTS.items() if re.search(pattern, name))
        parts[part] = parts.get(part, 0) + math.prod(shape)
    return {"parameters": sum(parts.values()), "parameters_by_part": parts}


def _simple(values: Facts) -> Facts:
    """The plain values of a JSON object; inner objects as dotted names."""
    flat: Facts = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= {f"{key}.{inner}": shown for inner, shown in _simple(value).items()}
        elif value is not None:
            flat[key] = value
    return flat


def _next(kind: str, folder: Path) -> list[str]:
    """Commands that can be typed as they are, but for words in capitals."""
    place, run = shlex.quote(str(folder)), folder.absolute().parent.parent if kind == "checkpoint" else folder
    model = shlex.quote(str(folder / MODEL if kind == "run" else folder))
    if kind == "prepared":
        return [f"lexloom plan RECIPE --data {place}", f"lexloom pretrain RECIPE --data {place} --out RUN"]
    if kind == "checkpoint" or (kind == "run" and not (folder / MODEL).is_dir()):
        recipe, out = shlex.quote(str(run / RECIPE)), shlex.quote(str(run))
        return [f"lexloom pretrain {recipe} --data PREPARED --out {out}", f"lexloom report {out}"]
    commands = [command.format(model=model) for command in _uses(folder / MODEL if kind == "run" else folder)]
    return [*commands, f"lexloom report {place}"] if kind == "run" else commands


def _uses(model: Path) -> tuple[str, ...]:
    """What a model folder is good for, by the task it was tuned for, or else by the name of its class."""
    task = (optional_json(model / FACTS, {}).get("task") or {}).get("name")
    if task is not None:
        return USES_BY_TASK.get(task, PREDICT)
    classes = optional_json(model / CONFIG, {}).get("architectures") or [""]
    return next(commands for ending, commands in USES.items() if str(classes[0]).endswith(ending))


PREDICT = ("lexloom predict {model} NEW.csv --out ANSWERS.csv", "lexloom explain {model} TEXT")
FILL = ("lexloom fill {model} 'Paris is the [MASK] of France.'", "lexloom evaluate {model} --data PREPARED")
WRITE = ("lexloom generate {model} 'Once upon a time'", "lexloom evaluate {model} --data PREPARED")
TUNE = "lexloom finetune RECIPE model.folder={model} --out RUN"
EMBED = "lexloom embed {model} TEXTS.csv --out VECTORS.npy"
TRANSDUCE = (TUNE, "lexloom predict {model} TEXTS.txt --out ANSWERS.txt")
TALK = ("lexloom chat {model}", "lexloom serve {model}")
NEIGHBOURS = ("lexloom neighbours {model} WORD", "lexloom evaluate {model} --data SIMILARITIES.txt")
USES_BY_TASK = {
    "chat": TALK,
    "preference": TALK,
    "similarity": (EMBED, "lexloom predict {model} PAIRS.csv --out ANSWERS.csv"),
    "text2text": ("lexloom predict {model} TEXTS.txt --out ANSWERS.txt", "lexloom serve {model}"),
}
USES = {
    "Classification": PREDICT,
    "QuestionAnswering": PREDICT,
    "MultipleChoice": PREDICT,
    "MaskedLM": FILL,
    "PreTraining": FILL,
    "BidirectionalLM": (TUNE, EMBED),
    "LM": WRITE,
    "LMHeadModel": WRITE,
    "ConditionalGeneration": TRANSDUCE,
    "MTModel": TRANSDUCE,
    "Seq2Seq": TRANSDUCE,
    "Word2VecModel": NEIGHBOURS,
    "GloVeModel": NEIGHBOURS,
    "": (EMBED, TUNE),
}
"""By the ending of the class's name, the first that fits."""


def _table(rows: list[Facts]) -> str:
    """Rows of equal keys under their names; the ledger's examples are too long for a terminal."""
    columns = list(dict.fromkeys(key for row in rows for key in row if key != "examples"))
    numeric = [at for at, key in enumerate(columns) if all(isinstance(row.get(key, 0), int | float) for row in rows)]
    cells = [[_shown(row.get(column, "")) for column in columns] for row in rows]
    return aligned([[_label(column) for column in columns], *cells], right=numeric)


def _plain(value: Any) -> bool:
    """Whether it is shown on one line; so is a list of plain values."""
    return all(map(_plain, value)) if isinstance(value, list) else not isinstance(value, dict)


def _label(key: str) -> str:
    return key.replace("_", " ")


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, int):
        return count(value)
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return figures(value) if isinstance(value, float) else str(value)
