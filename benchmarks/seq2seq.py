"""Training of a translator side by side, one contender per process, alternating rounds: tokens per second.

python benchmarks/seq2seq.py recipes/multi30k.toml
python benchmarks/seq2seq.py recipes/multi30k.toml --rounds 2 --seconds 40 train.batch_size=64

The recipe is one for `lexloom finetune` that trains a `transformer` from nothing; everything after it wins over it.
The peer is transformers' MarianMTModel of the same shape in its Trainer, on the same ids in batches of as many pairs,
padded to the longest of each batch by its own collator, lengths not grouped, as by default. Both in float32, with the
recipe's dropout, label smoothing, AdamW and clipping. Tokens are those of sources and targets with their ends, without
padding; texts are tokenised before the clock starts.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CONTENDERS = ("transformers", "lexloom")
WARM_UP_STEPS = 2
MANY_STEPS = 1_000_000
PAIRS, CONFIG, TOKENIZER = "pairs.json", "config.json", "tokenizer.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*", help="KEY=VALUE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0, help="measured time of one round of one contender")
    parser.add_argument("--contender", choices=CONTENDERS, help="measure this one only, in this process")
    parser.add_argument("--shared", type=Path, help="where the pairs are that the first process has encoded")
    options = parser.parse_intermixed_args()
    if options.contender is None:
        with tempfile.TemporaryDirectory() as place:
            options.shared = Path(place)
            share(options)
            compare(options)
    else:
        measure = lexloom if options.contender == "lexloom" else transformers
        print(json.dumps(measure(options)), flush=True)


def share(options: argparse.Namespace) -> None:
    """Write the encoded pairs, the model's shape and the tokenizer for the peer."""
    from lexloom.models import transformer

    parts = parts_of(options)
    pairs = [(example.pieces[0].ids, example.target) for example in parts.units.encoded]
    model, _ = parts.build()
    (options.shared / PAIRS).write_text(json.dumps(pairs))
    (options.shared / CONFIG).write_text(json.dumps(transformer.to_hugging_face(model.config)))
    (options.shared / TOKENIZER).write_bytes(parts.setting.tokenizer.to_bytes())


def compare(options: argparse.Namespace) -> None:
    """Print every measurement, then the medians and Lexloom's ratio to the peer of the same round."""
    speeds: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        for contender in CONTENDERS:
            command = [sys.executable, __file__, str(options.recipe), *options.overrides]
            command += ["--contender", contender, "--seconds", str(options.seconds), "--shared", str(options.shared)]
            finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found = json.loads(finished.stdout.splitlines()[-1])
            speeds.setdefault(contender, []).append(found["tokens_per_s"])
            print(json.dumps({"contender": contender, **found}), flush=True)
    for contender, found in speeds.items():
        ratios = [ours / theirs for ours, theirs in zip(speeds["lexloom"], found, strict=True)]
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{contender:13} {statistics.median(found):8.0f} tokens/s   lexloom is {ratio} times as fast")


def lexloom(options: argparse.Namespace) -> dict[str, float]:
    """Whole steps of the training loop."""
    from lexloom.train.course import plan_course
    from lexloom.train.loop import train

    parts = parts_of(options)
    model, optimizer = parts.build()
    course = plan_course(parts.objective, parts.units, parts.train.model_copy(update={"steps": MANY_STEPS}))
    reports = train(model, course, optimizer)
    ticks: list[float] = []
    for report in reports:
        if report.progress.step >= WARM_UP_STEPS:
            ticks.append(time.perf_counter())
            if ticks[-1] - ticks[0] > options.seconds:
                break
    return speed(options, ticks, parts.train.batch_size)


def transformers(options: argparse.Namespace) -> dict[str, float]:
    """Whole steps of transformers' Trainer; the clock starts and stops between two of them."""
    import torch
    import transformers as hf

    recipe = recipe_of(options)
    values = json.loads((options.shared / CONFIG).read_text())
    config = hf.MarianConfig(**values)
    tokenizer = hf.PreTrainedTokenizerFast(tokenizer_file=str(options.shared / TOKENIZER))
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(values["pad_token_id"])
    torch.manual_seed(0)
    model = hf.MarianMTModel(config)
    pairs = json.loads((options.shared / PAIRS).read_text())
    rows = [{"input_ids": source, "attention_mask": [1] * len(source), "labels": target} for source, target in pairs]
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    clock = _clock(hf.TrainerCallback, options.seconds)
    train = recipe.train
    with tempfile.TemporaryDirectory() as place:
        arguments = hf.TrainingArguments(
            output_dir=place, per_device_train_batch_size=train.batch_size, max_steps=MANY_STEPS, seed=train.seed,
            learning_rate=train.lr, adam_beta1=train.betas[0], adam_beta2=train.betas[1],
            weight_decay=train.weight_decay, max_grad_norm=train.grad_clip or 0.0,
            label_smoothing_factor=train.label_smoothing, use_cpu=True, logging_strategy="no", save_strategy="no",
            report_to="none", disable_tqdm=True,
        )  # fmt: skip
        collate = hf.DataCollatorForSeq2Seq(tokenizer, model=model, padding="longest")
        hf.Trainer(model, arguments, data_collator=collate, train_dataset=rows, callbacks=[clock]).train()
    return speed(options, clock.ticks, train.batch_size)


def _clock(base: type, seconds: float) -> Any:
    class Clock(base):  # type: ignore[misc]
        def __init__(self) -> None:
            self.ticks: list[float] = []

        def on_step_end(self, arguments: Any, state: Any, control: Any, **rest: Any) -> None:
            if state.global_step >= WARM_UP_STEPS:
                self.ticks.append(time.perf_counter())
                control.should_training_stop = self.ticks[-1] - self.ticks[0] > seconds

    return Clock()


def speed(options: argparse.Namespace, ticks: list[float], batch_size: int) -> dict[str, float]:
    pairs = json.loads((options.shared / PAIRS).read_text())
    mean_tokens = sum(len(source) + len(target) for source, target in pairs) / len(pairs)
    steps = len(ticks) - 1
    return {"tokens_per_s": batch_size * mean_tokens * steps / (ticks[-1] - ticks[0]), "steps": steps}


def recipe_of(options: argparse.Namespace) -> Any:
    """The recipe; nothing here touches how the process computes."""
    from lexloom.base.recipe import load_recipe
    from lexloom.stages.finetune_recipe import FinetuneRecipe

    return load_recipe(FinetuneRecipe, options.recipe, [*options.overrides, "train.optimizer=adamw"])


def parts_of(options: argparse.Namespace) -> Any:
    from lexloom.stages.adapting import gather, read_data

    recipe = recipe_of(options)
    with tempfile.TemporaryDirectory() as place:
        return gather(recipe, read_data(recipe), Path(place))


if __name__ == "__main__":
    main()
