"""Training speed side by side, one contender per process, alternating rounds: tokens per second of whole steps.

python benchmarks/train.py                 both shapes, all contenders, the table
python benchmarks/train.py --rounds 5 --shapes small

A step is forward, backward, clipping and AdamW, in float32, without dropout, on the same batch for all. The peers run
as their own training scripts do: transformers' GPT2LMHeadModel, litgpt's GPT (with the GPT-NeoX layers nearest to
GPT-2) and a loop written after nanoGPT. `lexloom-bfloat16` is shown for processors that have it, and is no part of the
comparison, since the peers compute in float32.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

PEERS = ("transformers", "litgpt", "nanogpt")
OURS = ("lexloom", "lexloom-bfloat16")
PYTHON = {"litgpt": ".venv-litgpt/bin/python"}
LR = 3e-4
BETAS = (0.9, 0.95)
WEIGHT_DECAY = 0.1
GRAD_CLIP = 1.0


@dataclass(frozen=True)
class Shape:
    layers: int
    width: int
    heads: int
    context: int
    vocab_size: int
    rows: int
    measure_s: float


SHAPES = {
    "small": Shape(layers=6, width=384, heads=6, context=256, vocab_size=65, rows=12, measure_s=8.0),
    "gpt2": Shape(layers=12, width=768, heads=12, context=512, vocab_size=50257, rows=4, measure_s=20.0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contender", choices=(*PEERS, *OURS), help="measure this one only, in this process")
    options = parser.parse_args()
    for name in options.shapes:
        if options.contender is not None:
            print(json.dumps(measure(options.contender, SHAPES[name])), flush=True)
        else:
            compare(name, options.rounds)


def compare(shape: str, rounds: int) -> None:
    """Print every measurement, then the medians and each contender's ratio to the fastest peer of the same round."""
    speeds: dict[str, list[float]] = {}
    for _ in range(rounds):
        for contender in (*PEERS, *OURS):
            command = [PYTHON.get(contender, sys.executable), __file__, "--contender", contender, "--shapes", shape]
            finished = subprocess.run(command, check=True, capture_output=True, text=True)
            found = json.loads(finished.stdout.splitlines()[-1])
            speeds.setdefault(contender, []).append(found["tokens_per_s"])
            print(json.dumps({"shape": shape, "contender": contender, **found}), flush=True)
    fastest = [max(speeds[peer][at] for peer in PEERS) for at in range(rounds)]
    for contender, found in speeds.items():
        ratios = [speed / best for speed, best in zip(found, fastest, strict=True)]
        ratio = f"{statistics.median(ratios):.2f} × the fastest peer ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{shape:6} {contender:17} {statistics.median(found):8.0f} tokens/s   {ratio}", flush=True)


def measure(contender: str, shape: Shape) -> dict[str, float]:
    """The median speed of the steps that fit into `measure_s`, after two to warm up."""
    step = CONTENDERS[contender](shape)
    for _ in range(2):
        step()
    seconds: list[float] = []
    while not seconds or sum(seconds) < shape.measure_s:
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    return {"tokens_per_s": shape.rows * shape.context / statistics.median(seconds), "steps": len(seconds)}


# ---- the contenders: each gives a function that takes one step ----


def lexloom(shape: Shape, engine: Literal["auto", "bfloat16"] = "auto") -> Callable[[], None]:
    import numpy as np

    from lexloom.models import gpt, new_model
    from lexloom.objectives.causal import CAUSAL
    from lexloom.train import engines
    from lexloom.train.course import plan_course
    from lexloom.train.loop import train
    from lexloom.train.optim import Optimizer
    from lexloom.train.settings import TrainSettings

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
            engine=engine,
        )
    )
    engines.use(settings)
    config = gpt.Config(
        vocab_size=shape.vocab_size, width=shape.width, layers=shape.layers, heads=shape.heads, context=shape.context,
        dropout=0.0, attention_dropout=0.0, embedding_dropout=0.0,
    )  # fmt: skip
    model = new_model("gpt", config, seed=0)
    ids = np.random.default_rng(0).integers(0, shape.vocab_size, (1000, shape.context + 1))
    course = plan_course(CAUSAL, _RandomWindows(ids), settings)
    reports = train(model, course, Optimizer(model, settings))

    def step() -> None:
        next(reports)

    return step


class _RandomWindows:
    """Stands for a token file, so that all contenders train on the same kind of ids."""

    def __init__(self, ids: Any) -> None:
        self._ids = ids

    def __len__(self) -> int:
        return len(self._ids)

    def tokens(self, index: int) -> int:
        return len(self._ids[index]) - 1

    def share(self, count: int) -> "_RandomWindows":
        return _RandomWindows(self._ids[:count])

    def batch(self, indices: Any) -> Any:
        from lexloom.data.batches import TokenBatch

        rows = self._ids[list(indices)]
        return TokenBatch(rows[:, :-1].copy(), rows[:, 1:].copy(), None)


def _torch_loop(model: Any, loss_of: Callable[[Any, Any], Any], shape: Shape) -> Callable[[], None]:
    import torch

    decayed = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    plain = [parameter for parameter in model.parameters() if parameter.dim() < 2]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LR, betas=BETAS, fused=True)
    ids = torch.randint(0, shape.vocab_size, (1000, shape.context + 1), generator=torch.Generator().manual_seed(0))
    at = 0

    def step() -> None:
        nonlocal at
        rows = ids[at % 900 : at % 900 + shape.rows]
        at += shape.rows
        loss = loss_of(rows[:, :-1], rows[:, 1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), GRAD_CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()

    return step


def transformers(shape: Shape) -> Callable[[], None]:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=shape.vocab_size, n_positions=shape.context, n_embd=shape.width, n_layer=shape.layers,
        n_head=shape.heads, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, use_cache=False,
    )  # fmt: skip
    model = GPT2LMHeadModel(config).train()
    # Its labels are shifted inside, so the inputs are the labels
    return _torch_loop(model, lambda ids, targets: model(input_ids=ids, labels=ids).loss, shape)


def litgpt(shape: Shape) -> Callable[[], None]:
    from litgpt import GPT, Config
    from litgpt.utils import chunked_cross_entropy

    config = Config(
        block_size=shape.context, vocab_size=shape.vocab_size, padded_vocab_size=shape.vocab_size,
        n_layer=shape.layers, n_head=shape.heads, n_embd=shape.width, rotary_percentage=0.25, parallel_residual=False,
        bias=True, norm_class_name="LayerNorm", mlp_class_name="GptNeoxMLP", gelu_approximate="tanh",
    )  # fmt: skip
    model = GPT(config)
    model.lm_head.weight = model.transformer.wte.weight
    model.max_seq_length = shape.context
    return _torch_loop(model, lambda ids, targets: chunked_cross_entropy(model(ids), targets, chunk_size=0), shape)


def nanogpt(shape: Shape) -> Callable[[], None]:
    import torch
    from torch import nn
    from torch.nn import functional

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            width = shape.width
            self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x: Any) -> Any:
            batch, length, width = x.shape
            q, k, v = (
                t.view(batch, length, shape.heads, -1).transpose(1, 2) for t in self.qkv(self.norm_1(x)).chunk(3, -1)
            )
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.output(y.transpose(1, 2).contiguous().view(batch, length, width))
            return x + self.down(functional.gelu(self.up(self.norm_2(x)), approximate="tanh"))

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(shape.vocab_size, shape.width)
            self.positions = nn.Embedding(shape.context, shape.width)
            self.blocks = nn.Sequential(*(Block() for _ in range(shape.layers)))
            self.norm = nn.LayerNorm(shape.width)
            self.head = nn.Linear(shape.width, shape.vocab_size, bias=False)
            self.head.weight = self.tokens.weight

        def forward(self, ids: Any) -> Any:
            x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1]))
            return self.head(self.norm(self.blocks(x)))

    model = Model()
    nn.init.normal_(model.tokens.weight, std=0.02)
    return _torch_loop(
        model, lambda ids, targets: functional.cross_entropy(model(ids).flatten(0, 1), targets.flatten()), shape
    )


CONTENDERS: dict[str, Callable[[Shape], Callable[[], None]]] = {
    "transformers": transformers,
    "litgpt": litgpt,
    "nanogpt": nanogpt,
    "lexloom": lexloom,
    "lexloom-bfloat16": lambda shape: lexloom(shape, "bfloat16"),
}

if __name__ == "__main__":
    main()
