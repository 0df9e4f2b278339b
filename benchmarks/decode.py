"""Decoding speed against transformers, one engine per process, alternating: JSON lines, the last ones with the ratios.

python benchmarks/decode.py                    a random GPT of 6 layers, width 384
python benchmarks/decode.py --model FOLDER     any model folder, for example SmolLM2 from its GGUF
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

ENGINES = ("lexloom", "transformers")
PROMPT_TOKENS = 32
NEW_TOKENS = 128
ROUNDS = 3
REPEATS = 3

Generate = Callable[[list[list[int]]], int]
"""From prompts to the number of tokens made."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--threads", type=int, help="torch's threads; its own choice if not given")
    parser.add_argument("--engine", choices=ENGINES, help="measure this one only, in this process")
    options = parser.parse_args()
    if options.engine is not None:
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        for batch in options.batches:
            print(json.dumps(measure(options.engine, options.model, batch)), flush=True)
        return
    with tempfile.TemporaryDirectory() as scratch:
        compare(options.model or write_random_model(Path(scratch) / "model"), options.batches, options.threads)


def compare(model: Path, batches: list[int], threads: int | None) -> None:
    speeds: dict[tuple[str, int], list[float]] = {}
    for _ in range(ROUNDS):
        for engine in ENGINES:
            command = [sys.executable, __file__, "--engine", engine, "--model", str(model)]
            command += [] if threads is None else ["--threads", str(threads)]
            command += ["--batches", *map(str, batches)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            for line in output.splitlines():
                found = json.loads(line)
                speeds.setdefault((engine, found["batch"]), []).append(found["tokens_per_s"])
                print(line, flush=True)
    for batch in batches:
        ours, theirs = (statistics.median(speeds[engine, batch]) for engine in ENGINES)
        print(json.dumps({"batch": batch, **dict(zip(ENGINES, (ours, theirs), strict=True)), "ratio": ours / theirs}))


def measure(engine: str, model: Path, batch: int) -> dict[str, str | int | float]:
    """New tokens per second over all rows, the best of a few runs."""
    generate = {"lexloom": lexloom_engine, "transformers": transformers_engine}[engine](model)
    prompts = [[(7 * row + 3 * place) % 100 + 1 for place in range(PROMPT_TOKENS)] for row in range(batch)]
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        made = generate(prompts)
        seconds.append(time.perf_counter() - started)
        assert made == batch * NEW_TOKENS, f"{made} tokens"
    return {"engine": engine, "batch": batch, "tokens_per_s": batch * NEW_TOKENS / min(seconds)}


def lexloom_engine(folder: Path) -> Generate:
    from lexloom.generate.engine import generate_ids
    from lexloom.generate.settings import SamplingSettings
    from lexloom.models.folder import load_model
    from lexloom.nn.inference import lay_out_for_few_rows

    model = load_model(folder, verify=False).model
    lay_out_for_few_rows(model)
    settings = SamplingSettings.model_validate({"temperature": 0, "max_tokens": NEW_TOKENS})
    return lambda prompts: sum(1 for _ in generate_ids(model, prompts, settings))


def transformers_engine(folder: Path) -> Generate:
    from transformers import AutoModelForCausalLM, GenerationConfig

    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    settings = GenerationConfig(max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, do_sample=False, pad_token_id=0)
    model.generation_config = settings

    def generate(prompts: list[list[int]]) -> int:
        ids = torch.tensor(prompts)
        made = model.generate(ids, attention_mask=torch.ones_like(ids))
        return int(made[:, PROMPT_TOKENS:].numel())

    return generate


def write_random_model(path: Path) -> Path:
    from lexloom.models import FAMILIES, new_model
    from lexloom.models.folder import save_model

    config = FAMILIES["gpt"].config(vocab_size=50257, width=384, layers=6, heads=6, context=256)
    save_model(path, new_model("gpt", config, seed=0).eval(), None, provenance={}, generation=None, card="A benchmark.")
    return path


if __name__ == "__main__":
    main()
