"""Kill a run with SIGKILL at seeded random moments, start it again until it is done, and compare it byte for byte.

    python tests/faults/kill.py --times 50

Half of the kills come at a random moment, half while a checkpoint is being written. Torch is imported once, with one
thread; every trial is a fork. After each kill, every checkpoint in sight must verify; at the end the weights, the
optimizer and every line of metrics.jsonl but its clock fields must be those of the uninterrupted run.
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}

import argparse
import json
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from lexloom.base import files
from lexloom.stages.finetune import finetune
from lexloom.stages.pretrain import pretrain
from lexloom.stages.recipe import Recipe
from lexloom.train.diary import CLOCK_FIELDS
from tests import chatting, finetuning
from tests.small import prepared_folder, recipe_of

KILLS_PER_RUN = 5
POLL_S = 0.0005


@dataclass(frozen=True)
class Trial:
    """A kind of run: what is written before it, and what it does, given the place of that and the run folder."""

    prepare: Callable[[Path], object]
    train: Callable[[Path, Path], object]


def pretraining(recipe: Recipe) -> Trial:
    return Trial(
        lambda place: prepared_folder(place, tokenizer="wordpiece", sentinels=8),
        lambda place, run: pretrain(recipe, place / "prepared", run),
    )


def fine_tuning(**train: Any) -> Trial:
    return Trial(
        finetuning.place_of,
        lambda place, run: finetune(finetuning.recipe_of(finetuning.sections_of(place), **train), run),
    )


def tuning(name: str, **train: Any) -> Trial:
    """Of a decoder, by chat or preferences."""
    return Trial(
        chatting.place_of,
        lambda place, run: finetune(chatting.recipe_of(chatting.sections_of(place), task={"name": name}, **train), run),
    )


TRIALS = {
    "gpt, adamw, dropout": pretraining(recipe_of("gpt", steps=60, evaluate_every=10, lr=3e-3)),
    "llama, muon, boundaries, best weights": pretraining(
        recipe_of("llama", steps=60, evaluate_every=10, optimizer="muon", boundaries=True, schedule="wsd", patience=2)
    ),
    "bert, whole words, pairs": pretraining(
        recipe_of("bert", objective="masked+next", masking={"whole_words": True}, steps=60, evaluate_every=10, lr=3e-3)
    ),
    "t5, spans": pretraining(recipe_of("t5", objective="denoise", steps=60, evaluate_every=10, lr=3e-3)),
    "fine-tuning, layer-wise rates, best weights": fine_tuning(epochs=10, patience=4, layer_decay=0.9),
    "fine-tuning, low rank": fine_tuning(epochs=8, lora={"rank": 2}, class_weights="balanced"),
    "chat, low rank": tuning("chat", epochs=10, patience=4, lora={"rank": 2}),
    "preferences": tuning("preference", epochs=8),
}


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--times", type=int, default=50, help="kills in all")
    arguments.add_argument("--seed", type=int, default=0, help="names the moments")
    options = arguments.parse_args()
    torch.set_num_threads(1)
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="lexloom-kill-") as name:
        done = 0
        for number, title in enumerate(TRIALS):
            share = options.times // len(TRIALS) + (number < options.times % len(TRIALS))
            done += kill_many(title, Path(name) / str(number), share, rng)
    print(f"{done} kills, every run ended in the same bytes (seed {options.seed})")
    return 0


def kill_many(title: str, place: Path, times: int, rng: random.Random) -> int:
    """Spend `times` kills on runs of one kind and compare each finished run with an uninterrupted one."""
    trial = TRIALS[title]
    finish(fork(lambda: trial.prepare(place)))
    started = time.monotonic()
    finish(fork(lambda: trial.train(place, place / "whole")))
    whole_s, expected = time.monotonic() - started, fingerprint(place / "whole")
    done, number = 0, 0
    while done < times:
        run, number = place / f"run-{number}", number + 1
        for _ in range(min(times - done, KILLS_PER_RUN)):
            child = fork(lambda run=run: trial.train(place, run))
            wait_for_moment(run, rng, whole_s)
            done += kill(child)
            check_folders(run)
        finish(fork(lambda run=run: trial.train(place, run)))
        compare(fingerprint(run), expected, f"{title}, {run.name}")
        leftovers = [path for pattern in (".tmp-*", ".trash-*") for path in run.rglob(pattern)]
        assert not leftovers, f"{title}: left behind {leftovers}"
        print(f"{title}: {done} of {times} kills, {number} runs", flush=True)
    return times


def fork(work: Callable[[], object]) -> int:
    """Do `work` in a child and return its process id; its messages go to nowhere, a traceback to our stderr."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        errors = os.dup(2)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        work()
        code = 0
    except BaseException:
        os.write(errors, traceback.format_exc().encode())
    finally:
        os._exit(code)


def finish(child: int) -> None:
    """Wait for a child that must end well."""
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, "a run that nobody killed failed"


def wait_for_moment(run: Path, rng: random.Random, whole_s: float) -> None:
    """Until a random moment, or until a random one of the next checkpoints is being written, and a little longer."""
    if rng.random() < 0.5:
        time.sleep(rng.uniform(0, whole_s))
        return
    saves, seen, deadline = rng.randint(1, 5), set(), time.monotonic() + 2 * whole_s
    while len(seen) < saves and time.monotonic() < deadline and not (run / "model").exists():
        seen |= {path.name for path in (run / "checkpoints").glob(".tmp-*")}
        time.sleep(POLL_S)
    time.sleep(rng.uniform(0, 0.01))


def kill(child: int) -> bool:
    """Kill a child; False if it had ended well before."""
    os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), "a run failed by itself"
    return code != 0


def check_folders(run: Path) -> None:
    """Whatever bears a final name is complete."""
    for folder in [*run.glob("checkpoints/step-*"), *run.glob("model")]:
        files.verify_folder(folder)


def fingerprint(run: Path) -> dict[str, Any]:
    """What must be equal: hashes of the weights and of the last checkpoints, and the diary without its clock."""
    tensors = [*sorted(run.glob("checkpoints/*/*.safetensors")), run / "model" / "model.safetensors"]
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    timeless = [{name: value for name, value in line.items() if name not in CLOCK_FIELDS} for line in lines]
    return {str(path.relative_to(run)): files.sha256_of(path) for path in tensors} | {"metrics": timeless}


def compare(found: dict[str, Any], expected: dict[str, Any], title: str) -> None:
    different = [name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)]
    assert not different, f"{title}: {', '.join(sorted(different))} differ from the uninterrupted run"


if __name__ == "__main__":
    sys.exit(main())
