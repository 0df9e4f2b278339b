"""Masked pre-training side by side, one contender per process, alternating rounds: tokens per second of whole steps.

python benchmarks/mlm.py                     both shapes, all contenders, the table
python benchmarks/mlm.py --rounds 5 --shapes 128

A step masks its batch, passes it forward and backward, clips and takes AdamW's step, in float32, with dropout 0.1
everywhere (attention included) in both, 4 layers of width 256 and the 21,128 words of bert-base-chinese. The peer is
transformers' BertForMaskedLM in a loop by hand, with the data collator that its own examples use.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PEERS = ("transformers",)
OURS = ("lexloom",)
LR = 3e-4
BETAS = (0.9, 0.95)
WEIGHT_DECAY = 0.1
GRAD_CLIP = 1.0
VOCAB_SIZE = 21_128
LAYERS, WIDTH, HEADS, FFN_WIDTH = 4, 256, 4, 1024
DROPOUT = 0.1
RATE = 0.15
WINDOWS = 1000


@dataclass(frozen=True)
class Shape:
    context: int
    rows: int
    measure_s: float = 12.0


SHAPES = {"128": Shape(context=128, rows=32), "256": Shape(context=256, rows=16)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contender", choices=CONTENDERS, help="measure this one only, in this process")
    options = parser.parse_args()
    for name in options.shapes:
        if options.contender is not None:
            print(json.dumps(measure(options.contender, SHAPES[name])), flush=True)
        else:
            compare(name, options.rounds)


def compare(shape: str, rounds: int) -> None:
    """Print every measurement, then the medians and the ratio of the same round."""
    speeds: dict[str, list[float]] = {}
    for _ in range(rounds):
        for contender in (*PEERS, *OURS):
            command = [sys.executable, __file__, "--contender", contender, "--shapes", shape]
            finished = subprocess.run(command, check=True, capture_output=True, text=True)
            found = json.loads(finished.stdout.splitlines()[-1])
            speeds.setdefault(contender, []).append(found["tokens_per_s"])
            print(json.dumps({"shape": shape, "contender": contender, **found}), flush=True)
    for contender, found in speeds.items():
        ratios = [speed / peer for speed, peer in zip(found, speeds[PEERS[0]], strict=True)]
        ratio = f"{statistics.median(ratios):.2f} × {PEERS[0]} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{shape:6} {contender:13} {statistics.median(found):8.0f} tokens/s   {ratio}", flush=True)


def measure(contender: str, shape: Shape) -> dict[str, float]:
    """The median speed of the steps that fit into `measure_s`, after two to warm up; tokens count special ones too."""
    step = CONTENDERS[contender](shape)
    for _ in range(2):
        step()
    seconds: list[float] = []
    while not seconds or sum(seconds) < shape.measure_s:
        started = time.perf_counter()
        loss = step()
        seconds.append(time.perf_counter() - started)
    speed = shape.rows * shape.context / statistics.median(seconds)
    return {"tokens_per_s": speed, "steps": len(seconds), "loss": loss}


# ---- the contenders: each gives a function that takes one step and returns its loss ----


def lexloom(shape: Shape) -> Callable[[], float]:
    from lexloom.data.masking import MaskingSettings
    from lexloom.models import bert, new_model
    from lexloom.objectives import OBJECTIVES
    from lexloom.train import engines
    from lexloom.train.course import plan_course
    from lexloom.train.loop import train
    from lexloom.train.optim import Optimizer
    from lexloom.train.settings import TrainSettings

    objective = OBJECTIVES["masked"](MaskingSettings(rate=RATE), _tokenizer())
    settings = engines.resolve(
        TrainSettings(
            steps=1_000_000,
            context=shape.context,
            batch_tokens=shape.rows * shape.context,
            micro_batch=shape.rows,
            optimizer="adamw",
            lr=LR,
            betas=BETAS,
            weight_decay=WEIGHT_DECAY,
            grad_clip=GRAD_CLIP,
            schedule="constant",
        )
    )
    engines.use(settings)
    config = bert.Config(
        vocab_size=VOCAB_SIZE, width=WIDTH, layers=LAYERS, heads=HEADS, ffn_width=FFN_WIDTH, context=shape.context,
        dropout=DROPOUT, attention_dropout=DROPOUT, head="masked",
    )  # fmt: skip
    model = new_model("bert", config, seed=0)
    course = plan_course(objective, _RandomWindows(_random_ids(objective.window_tokens(shape.context))), settings)
    reports = train(model, course, Optimizer(model, settings))
    return lambda: next(reports).loss


class _RandomWindows:
    """Stands for a token file, so that both contenders train on the same kind of ids."""

    def __init__(self, ids: Any) -> None:
        self.ids = ids

    def __len__(self) -> int:
        return len(self.ids)

    def tokens(self, index: int) -> int:
        return len(self.ids[index])

    def share(self, count: int) -> "_RandomWindows":
        return _RandomWindows(self.ids[:count])

    def batch(self, indices: Any) -> Any:
        from lexloom.data.batches import TokenBatch

        rows = self.ids[list(indices)]
        return TokenBatch(rows, rows, None)


def _tokenizer() -> Any:
    from lexloom.text.tokenizer_kinds import SPECIAL_TOKENS, bert_wordpiece
    from lexloom.text.tokenizers import Tokenizer, config_for

    special = dict.fromkeys(SPECIAL_TOKENS["wordpiece"].values())
    pieces = [*special, *(f"word{number}" for number in range(VOCAB_SIZE - len(special)))]
    inner = bert_wordpiece({piece: number for number, piece in enumerate(pieces)}, lowercase=False)
    return Tokenizer(inner.to_str().encode(), config_for(SPECIAL_TOKENS["wordpiece"]))


def _random_ids(size: int) -> Any:
    """Ids that are not special, (WINDOWS, size)."""
    import numpy as np

    return np.random.default_rng(0).integers(5, VOCAB_SIZE, (WINDOWS, size))


def transformers(shape: Shape) -> Callable[[], float]:
    import torch
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=VOCAB_SIZE, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        intermediate_size=FFN_WIDTH, max_position_embeddings=shape.context, hidden_dropout_prob=DROPOUT,
        attention_probs_dropout_prob=DROPOUT,
    )  # fmt: skip
    model = BertForMaskedLM(config).train()
    decayed = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    plain = [parameter for parameter in model.parameters() if parameter.dim() < 2]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LR, betas=BETAS, fused=True)
    ids = torch.from_numpy(_random_ids(shape.context))
    at = 0

    def step() -> float:
        nonlocal at
        rows = ids[at % 900 : at % 900 + shape.rows]
        at += shape.rows
        loss = model(**_masked(rows)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), GRAD_CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss)

    return step


def _masked(ids_BL: Any) -> dict[str, Any]:
    """As transformers' DataCollatorForLanguageModeling: 80 % [MASK], 10 % random, 10 % kept."""
    import torch

    chosen = torch.rand(ids_BL.shape) < RATE
    lots = torch.rand(ids_BL.shape)
    hidden = torch.where(chosen & (lots < 0.8), 4, ids_BL)
    hidden = torch.where(chosen & (lots >= 0.9), torch.randint(5, VOCAB_SIZE, ids_BL.shape), hidden)
    return {
        "input_ids": hidden,
        "attention_mask": torch.ones_like(ids_BL),
        "labels": torch.where(chosen, ids_BL, -100),
    }


CONTENDERS: dict[str, Callable[[Shape], Callable[[], float]]] = {"transformers": transformers, "lexloom": lexloom}

if __name__ == "__main__":
    main()
