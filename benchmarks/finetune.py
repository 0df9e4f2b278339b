"""Fine-tuning speed on real lengths, side by side, one contender per process, alternating rounds: examples per second.

python benchmarks/finetune.py recipes/sst2.toml model.folder=MINILM
python benchmarks/finetune.py recipes/imdb.toml model.folder=MINILM --rounds 2 --seconds 40
python benchmarks/finetune.py recipes/sst2.toml model.folder=MINILM --contender transformers-longest --whole

The recipe is one for `lexloom finetune` that classifies single texts; everything after it wins over it. All
contenders take the same examples in batches of the same size, with the model's own dropout, with AdamW and clipping:
transformers' Trainer padding each batch to its longest text, the same padding to the limit, and Lexloom, which
doesn't pad. All compute in float32, or where their names say so with products in bfloat16. Texts are tokenised before
the clock starts, for all. The last form trains transformers' Trainer as long as the recipe says, with its learning rate
and warm-up, and prints the accuracy on the test set: what `lexloom finetune` prints for the same recipe.
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

HALF = "-bfloat16"
CONTENDERS = ("transformers-longest", f"transformers-longest{HALF}", "transformers-limit", "lexloom", f"lexloom{HALF}")
WARM_UP_STEPS = 2
MANY_STEPS = 1_000_000
MOST_TOKENS = 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*", help="KEY=VALUE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15.0, help="measured time of one round of one contender")
    parser.add_argument("--contender", choices=CONTENDERS, help="measure this one only, in this process")
    parser.add_argument("--whole", action="store_true", help="let transformers train to the recipe's end, and judge it")
    options = parser.parse_intermixed_args()
    if options.contender is None:
        compare(options)
    else:
        measure = lexloom if options.contender.startswith("lexloom") else transformers
        print(json.dumps(measure(options)), flush=True)


def compare(options: argparse.Namespace) -> None:
    """Print every measurement, then the medians and Lexloom's ratios to the peer of the same round."""
    speeds: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        for contender in CONTENDERS:
            command = [sys.executable, __file__, str(options.recipe), *options.overrides]
            command += ["--contender", contender, "--seconds", str(options.seconds)]
            finished = subprocess.run(command, check=True, capture_output=True, text=True)
            found = json.loads(finished.stdout.splitlines()[-1])
            speeds.setdefault(contender, []).append(found["examples_per_s"])
            print(json.dumps({"contender": contender, **found}), flush=True)
    for contender, found in speeds.items():
        line = f"{contender:29} {statistics.median(found):8.1f} examples/s"
        for ours in ("lexloom", f"lexloom{HALF}"):
            ratios = [one / other for one, other in zip(speeds[ours], found, strict=True)]
            line += f"   {ours} {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(line)


def lexloom(options: argparse.Namespace) -> dict[str, float]:
    """Whole steps of the training loop."""
    from lexloom.stages.adapting import gather
    from lexloom.train.course import plan_course
    from lexloom.train.loop import train

    recipe, data = recipe_and_data(options)
    if options.contender.endswith(HALF):
        recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"engine": "bfloat16"})})
    with tempfile.TemporaryDirectory() as run:
        parts = gather(recipe, data, run=Path(run))
    model, optimizer = parts.build()
    course = plan_course(parts.objective, parts.units, parts.train.model_copy(update={"steps": MANY_STEPS}))
    reports = train(model, course, optimizer)
    return clocked(lambda: next(reports), parts.train.batch_size, options.seconds)


def transformers(options: argparse.Namespace) -> dict[str, float]:
    """Whole steps of transformers' Trainer; the clock starts and stops between two of them."""
    import torch
    import transformers as hf

    recipe, data = recipe_and_data(options)
    limit = MOST_TOKENS if recipe.train.max_tokens is None else recipe.train.max_tokens
    tokenizer = hf.AutoTokenizer.from_pretrained(recipe.model.folder)
    padding = "longest" if "longest" in options.contender else "max_length"
    collate = hf.DataCollatorWithPadding(tokenizer, padding=padding, max_length=limit)
    labels = sorted({example.target for example in data.train})

    def rows_of(examples: list[Any]) -> list[dict[str, Any]]:
        encoded = tokenizer([example.texts[0] for example in examples], truncation=True, max_length=limit)
        return [
            {"input_ids": ids, "labels": labels.index(example.target)}
            for ids, example in zip(encoded["input_ids"], examples, strict=True)
        ]

    model = hf.AutoModelForSequenceClassification.from_pretrained(recipe.model.folder, num_labels=len(labels))
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    clock = _clock(hf.TrainerCallback, math.inf if options.whole else options.seconds)
    if options.whole:
        budget = {"num_train_epochs": recipe.train.epochs or recipe.train.default_epochs}
    else:
        budget = {"max_steps": MANY_STEPS}
    test: Any = rows_of(data.test)
    with tempfile.TemporaryDirectory() as place:
        arguments = hf.TrainingArguments(
            output_dir=place, per_device_train_batch_size=recipe.train.batch_size, **budget,
            learning_rate=recipe.train.lr, warmup_steps=recipe.train.warmup_share, max_grad_norm=1.0,
            weight_decay=recipe.train.weight_decay, use_cpu=True, bf16=options.contender.endswith(HALF),
            logging_strategy="no", save_strategy="no", report_to="none", disable_tqdm=True, seed=recipe.train.seed,
        )  # fmt: skip
        trainer = hf.Trainer(
            model, arguments, data_collator=collate, train_dataset=rows_of(data.train), callbacks=[clock]
        )
        trainer.train()
        judged: Any = trainer.predict(test) if options.whole else None
    right = {} if judged is None else {"accuracy": float((judged.predictions.argmax(1) == judged.label_ids).mean())}
    return {
        **right,
        "examples_per_s": recipe.train.batch_size * (len(clock.ticks) - 1) / (clock.ticks[-1] - clock.ticks[0]),
        "steps": len(clock.ticks) - 1,
    }


def _clock(base: type, seconds: float) -> Any:
    class Clock(base):  # type: ignore[misc]
        def __init__(self) -> None:
            self.ticks: list[float] = []

        def on_step_end(self, arguments: Any, state: Any, control: Any, **rest: Any) -> None:
            if state.global_step >= WARM_UP_STEPS:
                self.ticks.append(time.perf_counter())
                control.should_training_stop = self.ticks[-1] - self.ticks[0] > seconds

    return Clock()


def recipe_and_data(options: argparse.Namespace) -> Any:
    """The recipe and its examples; nothing here touches how the process computes."""
    from lexloom.base.recipe import load_recipe
    from lexloom.stages.adapting import read_data
    from lexloom.stages.finetune_recipe import FinetuneRecipe

    recipe = load_recipe(FinetuneRecipe, options.recipe, options.overrides)
    return recipe, read_data(recipe)


def clocked(step: Callable[[], object], batch_size: int, seconds: float) -> dict[str, float]:
    for _ in range(WARM_UP_STEPS):
        step()
    started, steps = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        step()
        steps += 1
    return {"examples_per_s": batch_size * steps / (time.perf_counter() - started), "steps": steps}


if __name__ == "__main__":
    main()
