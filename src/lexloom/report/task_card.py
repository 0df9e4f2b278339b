"""The model card of a fine-tuned model: `README.md` of its folder; every number in it was measured.

Front matter: https://huggingface.co/docs/hub/model-cards. What isn't known is left out.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lexloom.report.card import MOST_LEDGER_ROWS, cell, markdown_template
from lexloom.report.numbers import count
from lexloom.report.read import MODEL, Row
from lexloom.report.task_sections import SPLITS, stated

PIPELINES = {
    "classify": "text-classification",
    "regress": "text-classification",
    "relation": "text-classification",
    "tag": "token-classification",
    "span": "question-answering",
    "similarity": "sentence-similarity",
    "choice": "multiple-choice",
    "chat": "text-generation",
    "preference": "text-generation",
    "text2text": "text2text-generation",
}
"""Our tasks → the names that model hubs have for them."""
DOES = {
    "classify": ("It gives a text, or a pair of texts, a label.", "本模型为一段文本（或一对文本）给出标签。"),
    "regress": ("It gives a text, or a pair of texts, a number.", "本模型为一段文本（或一对文本）打分。"),
    "relation": (
        "It tells the relation between two stretches of a text; they are marked with $ and #.",
        "本模型判断文本中两处的关系；两处分别以 $ 与 # 标出。",
    ),
    "tag": ("It finds entities in a text, as B- and I- tags on its words.", "本模型以 B-、I- 标签找出文本中的实体。"),
    "span": ("It finds the answer to a question in a passage.", "本模型在篇章中找出问题的答案。"),
    "similarity": (
        "It turns a text into a vector; the cosine of two vectors says how alike the texts are.",
        "本模型把文本变为向量；两向量的余弦表示文本的相似程度。",
    ),
    "choice": ("It picks the best of several candidates for a text.", "本模型为文本从多个候选中选出最佳者。"),
    "chat": ("It answers in a conversation.", "本模型在对话中作答。"),
    "preference": (
        "It answers in a conversation, in the way that people preferred.",
        "本模型在对话中以人们更偏好的方式作答。",
    ),
    "text2text": ("It reads a text and writes another.", "本模型读一段文本，写出另一段文本。"),
}
CALLS = {
    "classify": 'classify(["…", "…"])',
    "regress": 'regress(["…", "…"])',
    "relation": 'relations("the <e1>fire</e1> caused <e2>damage</e2>")',
    "tag": 'tag(["…", "…"])',
    "span": 'answer("question", "passage")',
    "similarity": 'similarity("…", "…")',
    "choice": 'choose("text", ["one", "another"])',
    "chat": 'chat([{"role": "user", "content": "…"}])',
    "preference": 'chat([{"role": "user", "content": "…"}])',
    "text2text": 'write(["…", "…"])',
}
"""How Python asks for each."""
COMMANDS = {
    "chat": ("lexloom chat {folder}", "lexloom predict {folder} instructions.json"),
    "preference": ("lexloom chat {folder}",),
    "text2text": (
        "lexloom predict {folder} letter.txt --out answer.txt",
        'lexloom explain {folder} "…"          # which words it looked at',
    ),
}
"""How the command line asks for each that isn't asked for as `ASKED`."""
ASKED = ("lexloom predict {folder} new.csv", 'lexloom explain {folder} "…"          # which words decided')
TRANSFORMERS = ("classify", "tag", "span")
"""Tasks whose folder a pipeline of transformers takes texts for as they are."""
MOST_LABELS = 60


def task_card(
    task: Mapping[str, Any], results: Mapping[str, Any], provenance: Mapping[str, Any], ledger: Sequence[Row] = ()
) -> str:
    """The card: what the model does, how well, with intervals, and what it was made from.

    `task` is as in lexloom.json, `results` as in results.json, `ledger` as in ledger.json.
    """
    name = task["name"]
    return markdown_template("task_card.md.jinja").render(
        front_matter=_front_matter(task),
        name=name,
        pipeline=PIPELINES[name],
        does=DOES[name],
        folder=MODEL,
        call=CALLS[name],
        commands=[command.format(folder=MODEL) for command in COMMANDS.get(name, ASKED)],
        loads_in_transformers=name in TRANSFORMERS,
        labels=[f"`{cell(label)}`" for label in task["labels"][:MOST_LABELS]],
        more_labels=max(0, len(task["labels"]) - MOST_LABELS),
        max_tokens=count(task["max_tokens"]),
        began=_beginning(provenance),
        examples=count(provenance["train_examples"]),
        steps=count(provenance["steps"]),
        rows=list(_figures(results)),
        files=_data_files(provenance),
        ledger=[
            (row["stage"], row["outcome"], count(row["documents"]), count(row["characters"]))
            for row in ledger[:MOST_LEDGER_ROWS]
        ],
        settings={key: json.dumps(value, ensure_ascii=False) for key, value in _settings(provenance).items()},
    )


def _front_matter(task: Mapping[str, Any]) -> str:
    """The YAML between the dashes; every value is written as JSON, which YAML contains."""
    name, settings = task["name"], task.get("settings") or {}
    languages = [settings.get(key) for key in ("language", "source_language", "target_language")]
    sentences = ["sentence-transformers"] if name == "similarity" else []
    values = {
        "language": list(dict.fromkeys(language for language in languages if language)),
        "library_name": "lexloom",
        "pipeline_tag": PIPELINES[name],
        "tags": ["lexloom", name, *sentences],
    }
    return "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items() if value)


def _beginning(provenance: Mapping[str, Any]) -> tuple[str, str]:
    """What the training began with, in both languages; the folder's name says nothing about where it lay."""
    began = provenance.get("began_with") or {}
    folder = Path(began.get("folder") or "").name
    if not folder:
        return (", from random weights", "，从随机权重开始") if began.get("from_nothing") else ("", "")
    if began.get("from_nothing"):
        return f", from random weights in the shape of `{cell(folder)}`", f"，按 `{cell(folder)}` 的形状从随机权重开始"
    return f", beginning with the weights of `{cell(folder)}`", f"，从 `{cell(folder)}` 的权重开始"


def _figures(results: Mapping[str, Any]) -> Iterator[Row]:
    for split, found in results["splits"].items():
        for metric, figure in found["figures"].items():
            yield {
                "split": " ".join(SPLITS.get(split, (split, ""))),
                "metric": metric,
                "examples": count(found["examples"]),
                **stated(figure),
            }


def _data_files(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The names of the files of each split."""
    data = (provenance.get("recipe") or {}).get("data") or {}
    named = [(split, [Path(name).name for name in data.get(split) or ()]) for split in ("train", "validation", "test")]
    return [(split, ", ".join(names)) for split, names in named if names]


def _settings(provenance: Mapping[str, Any]) -> Row:
    settings = (provenance.get("recipe") or {}).get("train") or {}
    return {key: value for key, value in settings.items() if value is not None}
