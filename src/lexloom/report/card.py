"""The model card: `README.md` of a model folder, written from the run; every number in it was measured.

Front matter: https://huggingface.co/docs/hub/model-cards. What isn't known is left out.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

from lexloom.base.console import duration, size
from lexloom.report.html import resource
from lexloom.report.numbers import count, figures
from lexloom.report.read import MODEL, Row, Run, last
from lexloom.report.sections import Twin, evaluation_table, provenance_rows, tokenizer_table


@dataclass(frozen=True)
class Use:
    """What a pre-trained model is for, in the card's words."""

    pipeline: str
    tag: str
    """What model hubs call it."""
    made: Twin
    auto_class: str
    """Of transformers."""
    python: str
    command: str
    """With places for the folder and for what is to be filled in."""
    limits: tuple[str, ...]
    limit_zh: str


VECTORS = "vectors"
USES = {
    "decoder": Use(
        pipeline="text-generation",
        tag="causal-lm",
        made=("A causal language model", "因果语言模型"),
        auto_class="AutoModelForCausalLM",
        python='print(model.generate("Once upon a time", max_tokens=60))',
        command='lexloom generate {folder} "Once upon a time"',
        limits=(
            "It knows only the texts counted above, repeats their views and errors, and states falsehoods as fluently "
            "as facts.",
            "It has not been tuned to follow instructions, nor been examined for harmful output.",
        ),
        limit_zh="未经指令微调，也未做安全评测",
    ),
    "encoder": Use(
        pipeline="fill-mask",
        tag="masked-lm",
        made=("A masked language model", "掩码语言模型"),
        auto_class="AutoModelForMaskedLM",
        python='print(model.fill("Once upon a {blank}"))',
        command='lexloom fill {folder} "Once upon a {blank}"',
        limits=(
            "It knows only the texts counted above, and repeats their views and errors.",
            "It fills masks and is there to be fine-tuned; it doesn't write, and its perplexity can't be compared with "
            "that of models that do.",
        ),
        limit_zh="供微调之用，不能生成文本",
    ),
    "encoder-decoder": Use(
        pipeline="text2text-generation",
        tag="seq2seq-lm",
        made=("An encoder-decoder language model", "编码器-解码器语言模型"),
        auto_class="AutoModelForSeq2SeqLM",
        python='print(model.write("Once upon a time"))',
        command="lexloom finetune TASK.toml model.folder={folder} --out RUN",
        limits=(
            "It knows only the texts counted above, and repeats their views and errors.",
            "It completes texts and is there to be fine-tuned, for translation, summaries and the like.",
        ),
        limit_zh="供翻译、摘要等任务微调之用",
    ),
    "bidirectional": Use(
        pipeline="feature-extraction",
        tag="elmo",
        made=("A two-way language model over words", "双向词语言模型"),
        auto_class="AutoModel",
        python='print(model.embed("Once upon a time"))',
        command="lexloom finetune TASK.toml model.folder={folder} --out RUN",
        limits=(
            "It knows only the texts counted above, and repeats their views and errors.",
            "Its states are features for taggers and classifiers; it doesn't write.",
        ),
        limit_zh="其状态供标注与分类之用，不能生成文本",
    ),
    VECTORS: Use(
        pipeline="feature-extraction",
        tag="word-embeddings",
        made=("A table of word vectors", "词向量表"),
        auto_class="AutoModel",
        python='print(model.neighbours("time"))',
        command="lexloom neighbours {folder} time",
        limits=(
            "It knows only the texts counted above, and repeats their views and errors.",
            "A word has one vector, whatever it means where it stands; a word that the corpus lacked has none.",
        ),
        limit_zh="每词仅一个向量，不分语境，未见之词没有向量",
    ),
}
"""By the kind of family, for tables of vectors, and by the objective where a model of it is used otherwise."""
UNITS = {
    "masked": "masked token",
    "masked+next": "masked token, judgements of pairs included",
    "denoise": "target token",
    "prefix": "target token",
    "bidirectional": "word",
}
"""What a loss in nats is per, where it isn't the token."""
MOST_LEDGER_ROWS = 30


def model_card(
    run: Run,
    *,
    family: str,
    parameters: int,
    kind: str = "decoder",
    blank: str = "",
    published: bool = True,
    languages: Sequence[str] = (),
    license_name: str | None = None,
) -> str:
    """The card of the model that a run has made (its `model/` folder need not be there yet).

    `kind` is that of the family, `blank` the token that the model fills in; `published` families are known to
    transformers. `languages` are ISO 639 codes,
    `license_name` an SPDX identifier in lower case; both are stated only if given.
    """
    use = USES.get(str(run.recipe.get("objective")), USES[kind])
    return markdown_template("card.md.jinja").render(
        front_matter=front_matter(languages, license_name, use.pipeline, use.tag),
        use=use,
        python=use.python.format(blank=blank),
        published=published,
        command=use.command.format(folder=MODEL, blank=blank),
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


def front_matter(languages: Sequence[str], license_name: str | None, pipeline: str, tag: str) -> str:
    """The YAML between the dashes; every value is written as JSON, which YAML contains."""
    values: dict[str, Any] = {
        "language": list(languages),
        "license": license_name,
        "library_name": "lexloom",
        "pipeline_tag": pipeline,
        "tags": ["lexloom", tag, pipeline],
    }
    return "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items() if value)


def cell(value: object) -> str:
    """Text that can't break out of a cell of a Markdown table, nor become HTML."""
    text = " ".join(str(value).split()).replace("\\", "\\\\").replace("|", "\\|").replace("`", "\\`")
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _training(run: Run) -> Row:
    steps = run.metrics.steps["step"]
    return {
        "fitted": bool(run.metrics.fits),
        "steps": count(steps[-1]) if steps.size else "0",
        "tokens": count(run.tokens) or None,
        "time": duration(run.seconds) if run.seconds > 0 else None,
        "loss": figures(last(run.metrics.steps["loss"])),
        "skipped": len(run.metrics.skipped),
    }


def _ledger_row(row: Row) -> tuple[str, str, str, str]:
    return row["stage"], row["outcome"], count(row["documents"]), count(row["characters"])
