"""Time to quality on tiny Shakespeare, character by character: nanoGPT's CPU setting against Lexloom's recipe.

python benchmarks/quality.py --text input.txt              both, alternating; needs the text of karpathy/char-rnn
python benchmarks/quality.py --text input.txt --seeds 1 2 3

Both train on the first 90 % of the characters and are measured on every character of the last 10 % (but its first,
which has nothing before it), in windows of the training context. Clocks count training only: making the model and all
steps, in a fresh process, after imports. nanoGPT's setting: 4 layers, width 128, context 64, batch 12, 2,000 steps, as
its README gives it for a CPU.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lexloom.base.recipe import load_recipe

TRAIN_SHARE = 0.9
RECIPE = Path(__file__).parents[1] / "recipes" / "shakespeare-characters.toml"
DEFAULT_TEXT = Path(os.environ.get("LEXLOOM_SHARED_DATA", "../shared/data")) / "lm-tinyshakespeare" / "input.txt"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, default=DEFAULT_TEXT)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--contender", choices=["nanogpt", "lexloom"], help="measure this one only, in this process")
    parser.add_argument("overrides", nargs="*", help="changes to the recipe: train.steps=200")
    options = parser.parse_args()
    if not options.text.is_file():
        sys.exit(f"{options.text}: no such file; give --text the tiny Shakespeare of karpathy/char-rnn")
    if options.contender is None:
        compare(options.text, options.seeds)
        return
    text = options.text.read_text(encoding="utf-8")
    run = nanogpt if options.contender == "nanogpt" else lexloom
    print(json.dumps(run(text, options.seeds[0], options.overrides)), flush=True)


def compare(text: Path, seeds: list[int]) -> None:
    """One round for each seed; the ratio is taken within a round."""
    ratios = []
    for seed in seeds:
        found = {}
        for contender in ("nanogpt", "lexloom"):
            command = [sys.executable, __file__, "--text", str(text), "--contender", contender, "--seeds", str(seed)]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            found[contender] = json.loads(output.splitlines()[-1])
            print(json.dumps({"contender": contender, "seed": seed, **found[contender]}), flush=True)
        ratios.append(found["lexloom"]["train_s"] / found["nanogpt"]["train_s"])
    print(f"Lexloom's time over nanoGPT's: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")


def lexloom(text: str, seed: int, overrides: list[str]) -> dict[str, float]:
    """The stages as the command line runs them."""
    from lexloom.base.files import read_json
    from lexloom.stages.prepare import prepare
    from lexloom.stages.pretrain import pretrain
    from lexloom.stages.recipe import Recipe

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        split = int(TRAIN_SHARE * len(text))
        for name, part in (("train.txt", text[:split]), ("validation.txt", text[split:])):
            (folder / name).write_text(part, encoding="utf-8")
        places = {"prepare.data.sources": "train.txt", "prepare.split.validation_sources": "validation.txt"}
        sources = [f'{key}=["{folder / name}"]' for key, name in places.items()]
        recipe = load_recipe(Recipe, RECIPE, [*sources, f"train.seed={seed}", *overrides], {})
        prepare(recipe.prepare, folder / "prepared")
        pretrain(recipe, folder / "prepared", folder / "run")
        lines = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
        loss = next(line["loss"] for line in reversed(lines) if line["kind"] == "validation")
        train_s = sum(line["seconds"] for line in lines if line["kind"] == "step")
        plan = read_json(folder / "run" / "plan.json")
        return {"train_s": train_s, "validation_loss": loss, "parameters": plan["parameters"]}


def nanogpt(text: str, seed: int, overrides: list[str]) -> dict[str, float]:
    """A plain loop with nanoGPT's model and settings."""
    import torch
    from torch import nn
    from torch.nn import functional

    layers, heads, width, context, rows, steps, warmup = 4, 4, 128, 64, 12, 2000, 100
    peak_lr, least_lr = 1e-3, 1e-4
    torch.manual_seed(seed)
    alphabet = {character: place for place, character in enumerate(sorted(set(text)))}
    ids = torch.tensor([alphabet[character] for character in text])
    train, validation = ids[: int(TRAIN_SHARE * len(ids))], ids[int(TRAIN_SHARE * len(ids)) :]

    class Norm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(width))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return functional.layer_norm(x, (width,), self.weight)

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm_1, self.norm_2 = Norm(), Norm()
            self.qkv, self.output = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
            self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            shape = (*x.shape[:2], heads, width // heads)
            q, k, v = (part.view(shape).transpose(1, 2) for part in self.qkv(self.norm_1(x)).chunk(3, -1))
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.output(y.transpose(1, 2).contiguous().view(x.shape))
            out: torch.Tensor = x + self.down(functional.gelu(self.up(self.norm_2(x))))
            return out

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.positions = nn.Embedding(len(alphabet), width), nn.Embedding(context, width)
            self.blocks, self.norm = nn.Sequential(*(Block() for _ in range(layers))), Norm()
            for name, parameter in self.named_parameters():
                if parameter.dim() > 1:
                    residual = name.endswith(("output.weight", "down.weight"))
                    nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * layers) if residual else 0.02)

        def loss(self, ids: torch.Tensor, targets: torch.Tensor, reduction: str = "mean") -> torch.Tensor:
            x = self.blocks(self.tokens(ids) + self.positions(torch.arange(ids.shape[1])))
            scores = self.norm(x) @ self.tokens.weight.t()
            return functional.cross_entropy(scores.flatten(0, 1), targets.flatten(), reduction=reduction)

    started = time.perf_counter()
    model = Model()
    groups = [
        {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=peak_lr, betas=(0.9, 0.99), fused=True)
    for step in range(steps):
        decayed = (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2
        lr = peak_lr * (step + 1) / (warmup + 1) if step < warmup else least_lr + decayed * (peak_lr - least_lr)
        for group in optimizer.param_groups:
            group["lr"] = lr
        starts = torch.randint(len(train) - context, (rows,))
        batch = torch.stack([train[start : start + context + 1] for start in starts])
        torch.autograd.backward(model.loss(batch[:, :-1], batch[:, 1:]))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    train_s = time.perf_counter() - started
    with torch.no_grad():
        total = 0.0
        for start in range(0, len(validation) - 1, context):
            window = validation[start : start + context + 1]
            total += float(model.loss(window[None, :-1], window[None, 1:], "sum"))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {"train_s": train_s, "validation_loss": total / (len(validation) - 1), "parameters": parameters}


if __name__ == "__main__":
    main()
