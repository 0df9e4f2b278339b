"""Tokens per second of a model under 1, 8 and 16 clients of the engine: JSON lines, the last ones with the ratios.

python benchmarks/serve_engine.py                   a random GPT of 6 layers, width 384
python benchmarks/serve_engine.py --model FOLDER    any decoder's folder, for example SmolLM2 from its GGUF

Each client asks again as soon as it is answered, with a prompt of its own. `first_token_s` is the median time from a
question to its first token, `cpu_s_per_step` the processor time of a pass with so many rows.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from contextlib import aclosing
from pathlib import Path

import torch
from decode import write_random_model

from lexloom.generate.settings import SamplingSettings
from lexloom.models.folder import load_model
from lexloom.nn.inference import lay_out_for_few_rows
from lexloom.nn.linear import pack_for_inference
from lexloom.serve.engine import Engine
from lexloom.serve.jobs import Job
from lexloom.serve.worker import Worker
from lexloom.text.tokenizers import TokenizerSettings, train_tokenizer

PROMPT_TOKENS = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 16])
    parser.add_argument("--questions", type=int, default=2, help="of each client")
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, help="torch's threads; its own choice if not given")
    options = parser.parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as scratch:
        folder = load_model(options.model or write_random_model(Path(scratch) / "model"), verify=False)
    lay_out_for_few_rows(folder.model)
    pack_for_inference(folder.model)
    tokenizer = folder.tokenizer or train_tokenizer(iter(["a b c"]), TokenizerSettings(vocab_size=300))
    found = []
    for clients in options.clients:
        engine = Engine(folder.model, tokenizer, Worker(), prefix_bytes=0)
        found.append(asyncio.run(measure(engine, clients, options.questions, options.new_tokens)))
        engine.close()
        print(json.dumps(found[-1]), flush=True)
    for one in found[1:]:
        ratios = {key: one[key] / found[0][key] for key in ("tokens_per_s", "first_token_s")}
        print(json.dumps({"clients": one["clients"], "against": found[0]["clients"], **ratios}))


async def measure(engine: Engine, clients: int, questions: int, new_tokens: int) -> dict[str, float]:
    await ask(engine, 0, 0, 2)
    firsts: list[float] = []
    started, cpu_started = time.perf_counter(), time.process_time()

    async def client(number: int) -> None:
        for question in range(questions):
            firsts.append(await ask(engine, number, question, new_tokens))

    await asyncio.gather(*(client(number) for number in range(clients)))
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    return {
        "clients": clients,
        "tokens_per_s": clients * questions * new_tokens / seconds,
        "first_token_s": statistics.median(firsts),
        "cpu_s_per_step": cpu_seconds / (questions * new_tokens),
    }


async def ask(engine: Engine, client: int, question: int, new_tokens: int) -> float:
    """Ask and read everything; the seconds until the first token."""
    prompt = tuple((7 * client + 13 * question + 3 * place) % 100 + 1 for place in range(PROMPT_TOKENS))
    settings = SamplingSettings.model_validate({"temperature": 0, "max_tokens": new_tokens})
    asked = time.perf_counter()
    first = None
    made = 0
    async with aclosing(engine.generate(Job(prompt, settings))) as pieces:
        async for piece in pieces:
            first = time.perf_counter() - asked if first is None else first
            made += len(piece.tokens)
    assert first is not None, "nothing came"
    assert made == new_tokens, f"{made} tokens"
    return first


if __name__ == "__main__":
    main()
