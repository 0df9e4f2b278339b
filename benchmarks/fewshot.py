"""Few-shot answers beside lm-evaluation-harness: the same prompts, the same items right, and the time of each.

python benchmarks/fewshot.py smollm2                          60 items of each set
python benchmarks/fewshot.py smollm2 --items 0 --sets copa    a whole set
python benchmarks/fewshot.py smollm2 --alone                  without the reference

The reference is lm_eval's HFLM (pip install lm_eval) where it is installed, else its rule over transformers' model: the
continuation's tokens are those of the whole text beyond those of the context; accuracy by the sum of log-probabilities
and by their mean over bytes; LAMBADA is right where each token of the word is the likeliest. Items on which both differ
are told apart from ties: a margin below TIE between the two best answers.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lexloom.base.ledger import Ledger
from lexloom.evaluate.fewshot.encoding import Encoder
from lexloom.evaluate.fewshot.likelihood import likelihoods
from lexloom.evaluate.fewshot.predict import Questions
from lexloom.evaluate.fewshot.prompts import PromptSettings, Template
from lexloom.evaluate.fewshot.queries import ASKING
from lexloom.models.folder import ModelFolder, load_model
from lexloom.nn.linear import pack_for_inference
from lexloom.tasks import TASKS
from lexloom.tasks.contract import Setting

DATA = Path(os.environ.get("LEXLOOM_SHARED_DATA", "../shared/data"))
ITEMS = 60
TIE = 1e-3
"""Nats by which equal answers may differ between two orders of summing."""

Pair = tuple[str, str]
Scored = tuple[float, bool]
Scorer = Callable[[Questions], list[list[Scored]]]


@dataclass(frozen=True)
class Set:
    """A file of questions, and how they are put."""

    file: str
    task: str
    template: str
    settings: dict[str, str]


SETS = {
    "arc-easy": Set("eval-zeroshot/arc_easy.jsonl.gz", "choice", "{text}\nAnswer: {answer}", {}),
    "piqa": Set("eval-zeroshot/piqa.jsonl.gz", "choice", "{text}Answer: {answer}", {}),
    "winogrande": Set("eval-zeroshot/winogrande.jsonl.gz", "choice", "{answer} {text}", {}),
    "copa": Set("eval-zeroshot/copa.jsonl", "choice", "{text} {answer}", {}),
    "lambada": Set(
        "lm-lambada/lambada_openai.jsonl.gz",
        "text2text",
        "{text} {answer}",
        {"source": "context", "target": "continuation"},
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--items", type=int, default=ITEMS, help="of each set, evenly spread; 0: all")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--batch", type=int, default=8, help="rows in the reference's batches")
    parser.add_argument("--alone", action="store_true", help="leave the reference out")
    options = parser.parse_args()
    folder = load_model(options.folder)
    ours = lexloom_scorer(folder)
    peer = None if options.alone else reference(options.folder, options.batch)
    for title in options.sets:
        questions = questions_of(SETS[title], folder, options.data, options.items)
        figures, own = measured("lexloom", ours, questions)
        result = {"set": title, "items": len(questions.queries), **figures}
        if peer is not None:
            result |= compared(own, *peer, questions)
        print(json.dumps(result), flush=True)


def questions_of(one: Set, folder: ModelFolder, data: Path, items: int) -> Questions:
    """Evenly spread items of a set, without examples."""
    task = TASKS[one.task]
    settings = task.settings(**one.settings)
    examples = task.read([str(data / one.file)], settings, Ledger())
    if items:
        examples = examples[:: max(1, len(examples) // items)][:items]
    assert folder.tokenizer is not None, "a decoder's folder has a tokenizer"
    context = folder.model.config.context
    setting = Setting(tokenizer=folder.tokenizer, settings=settings, labels=(), max_tokens=context)
    queries = [ASKING[one.task].query(example, setting, {}) for example in examples]
    return Questions(queries, (), [()] * len(queries), Template(one.template), PromptSettings())


def compared(own: list[list[Scored]], name: str, theirs: Scorer, questions: Questions) -> dict[str, object]:
    """Figures and time of the reference, and on which items both differ."""
    figures, others = measured(name, theirs, questions)
    differ = [
        at
        for at, (one, other) in enumerate(zip(own, others, strict=True))
        if right_of(questions, at, one) != right_of(questions, at, other)
    ]
    ties = [at for at in differ if margin(own[at]) < TIE]
    apart = max(
        abs(a[0] - b[0]) for one, other in zip(own, others, strict=True) for a, b in zip(one, other, strict=True)
    )
    return {**figures, "differ": len(differ), "of them ties": len(ties), "largest difference": apart}


def measured(name: str, score: Scorer, questions: Questions) -> tuple[dict[str, object], list[list[Scored]]]:
    """Accuracy and seconds of one side."""
    start = time.perf_counter()
    found = score(questions)
    seconds = time.perf_counter() - start
    by_total, by_byte = np.mean([right_of(questions, at, one) for at, one in enumerate(found)], axis=0)
    return {f"{name} accuracy": by_total, f"{name} per byte": by_byte, f"{name} s": seconds}, found


def right_of(questions: Questions, at: int, found: list[Scored]) -> tuple[bool, bool]:
    """Whether an item is right by the sum, and by the mean over bytes; a single answer has to be said greedily."""
    query = questions.queries[at]
    if len(found) == 1:
        return found[0][1], found[0][1]
    sizes = [len(reading.scored.encode()) for reading in questions.template.readings(query)]
    sums = np.array([each[0] for each in found])
    return int(sums.argmax()) == query.target, int((sums / sizes).argmax()) == query.target


def margin(found: list[Scored]) -> float:
    """How far the two best answers are apart, in nats; nothing for a single answer."""
    best = sorted(each[0] for each in found)
    return best[-1] - best[-2] if len(best) > 1 else float("inf")


def texts(questions: Questions) -> list[list[Pair]]:
    """What is scored, as texts: (context, continuation) for each answer of each question."""
    return [
        [(reading.context, reading.scored) for reading in questions.asked(at).readings]
        for at in range(len(questions.queries))
    ]


def lexloom_scorer(folder: ModelFolder) -> Scorer:
    pack_for_inference(folder.model)
    encoder = Encoder(folder, "\n\n")

    def score(questions: Questions) -> list[list[Scored]]:
        asked = [questions.asked(at) for at in range(len(questions.queries))]
        found = likelihoods(folder.model, encoder.continuations(asked, Ledger()))
        return [[(one.log_probability, one.greedy) for one in some] for some in found]

    return score


def reference(path: Path, batch: int) -> tuple[str, Scorer]:
    try:
        return "lm_eval", lm_eval_scorer(path, batch)
    except ImportError:
        print("lm_eval isn't installed: its rule over transformers instead", file=sys.stderr)
        return "transformers", transformers_scorer(path)


def lm_eval_scorer(path: Path, batch: int) -> Scorer:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    model = HFLM(pretrained=str(path), device="cpu", dtype="float32", batch_size=batch)

    def score(questions: Questions) -> list[list[Scored]]:
        pairs = texts(questions)
        requests = [Instance("loglikelihood", {}, pair, 0) for some in pairs for pair in some]
        found = iter(model.loglikelihood(requests, disable_tqdm=True))
        return [[next(found) for _ in some] for some in pairs]

    return score


def transformers_scorer(path: Path) -> Scorer:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(path)

    def encoded(text: str) -> list[int]:
        ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    @torch.inference_mode()
    def one(pair: Pair) -> Scored:
        end = len(pair[0].rstrip())
        context, whole = encoded(pair[0][:end]), encoded("".join(pair))
        wanted = torch.tensor(whole[len(context) :])
        ids = torch.tensor([[*context, *wanted]])
        scores = model(ids[:, :-1]).logits[0, -len(wanted) :].log_softmax(-1)
        return float(scores.gather(1, wanted[:, None]).sum()), bool((scores.argmax(-1) == wanted).all())

    return lambda questions: [[one(pair) for pair in some] for some in texts(questions)]


if __name__ == "__main__":
    main()
