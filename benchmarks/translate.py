"""Translation speed side by side, one engine per process, alternating rounds: sentences and new tokens per second.

python benchmarks/translate.py                      a random Transformer of 4 layers, width 128, and random sentences
python benchmarks/translate.py --model run/model    the 1,000 sentences of Multi30k's test2016
python benchmarks/translate.py --engines lexloom ctranslate2 ctranslate2-int8 --beams 1

The model is a folder in Marian's or T5's layout. Each engine searches with beam 4 from the same ids to ids, in float32
unless its name says otherwise: transformers' `generate` on batches of 32 sorted by length and padded, with torch's
own choice of threads; CTranslate2 (see ctranslate2.txt), which sorts by itself, as one-thread replicas on each core.
How many texts are the same as Lexloom's is printed before the table: equal scores and CTranslate2's own rule of when to
end make few of them differ.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROUNDS = 3
SENTENCES = 1000
BEAMS = 4
MAX_TOKENS = 64
BATCH = 32
RANDOM_TOKENS = (8, 24)
DATA = Path(__file__).parents[2] / "shared" / "data" / "mt-multi30k-ende" / "test_2016_flickr.en"

Ids = list[list[int]]
Translate = Callable[[Ids], Ids]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--data", type=Path, default=DATA, help="sentences, one a line")
    parser.add_argument("--prefix", default="", help="what stands before each sentence, such as T5's")
    parser.add_argument("--engines", nargs="+", choices=CONTENDERS, default=["lexloom", "transformers"])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--sentences", type=int, default=SENTENCES)
    parser.add_argument("--beams", type=int, default=BEAMS)
    parser.add_argument("--max-tokens", type=int, default=MAX_TOKENS)
    parser.add_argument("--scratch", type=Path, help="measure one engine only, in this process")
    options = parser.parse_args()
    if options.scratch is not None:
        print(json.dumps(measure(options.engines[0], options.scratch)), flush=True)
        return
    with tempfile.TemporaryDirectory() as place:
        scratch = Path(place)
        model = write_random_model(scratch / "model") if options.model is None else options.model.resolve()
        job = {"model": str(model), "beams": options.beams, "max_tokens": options.max_tokens}
        job |= sentences(model, options.data, options.prefix, options.sentences)
        (scratch / "job.json").write_text(json.dumps(job), encoding="utf-8")
        compare(options.engines, options.rounds, scratch)


def compare(engines: list[str], rounds: int, scratch: Path) -> None:
    """Print every measurement, then medians and the ratio to each peer within the same round."""
    speeds: dict[str, list[dict[str, float]]] = {engine: [] for engine in engines}
    for _ in range(rounds):
        for engine in engines:
            command = [sys.executable, __file__, "--engines", engine, "--scratch", str(scratch)]
            finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            speeds[engine].append(json.loads(finished.stdout.splitlines()[-1]))
            print(json.dumps({"engine": engine, **speeds[engine][-1]}), flush=True)
    check_texts(engines, scratch)
    for engine, found in speeds.items():
        ratios = [
            ours["sentences_per_s"] / theirs["sentences_per_s"]
            for ours, theirs in zip(speeds[engines[0]], found, strict=True)
        ]
        sentences_per_s, tokens_per_s = (
            statistics.median(one[name] for one in found) for name in ("sentences_per_s", "tokens_per_s")
        )
        print(
            f"{engine:18} {sentences_per_s:7.1f} sentences/s {tokens_per_s:8.0f} tokens/s   {engines[0]} is "
            f"{statistics.median(ratios):.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f})",
            flush=True,
        )


def check_texts(engines: list[str], scratch: Path) -> None:
    """Print how many of the first engine's texts each other one wrote as well."""
    first, *others = (json.loads((scratch / f"{engine}.json").read_text(encoding="utf-8")) for engine in engines)
    for engine, texts in zip(engines[1:], others, strict=True):
        same = sum(ours == theirs for ours, theirs in zip(first, texts, strict=True))
        print(f"{same} of {len(first)} texts of {engine} are those of {engines[0]}", flush=True)


def measure(engine: str, scratch: Path) -> dict[str, float]:
    """Sentences and new tokens per second, the end-of-text not counted; the faster of two times."""
    job = json.loads((scratch / "job.json").read_text(encoding="utf-8"))
    translate = CONTENDERS[engine](job, scratch)
    translate(job["sources"][:BATCH])
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        texts = translate(job["sources"])
        seconds.append(time.perf_counter() - started)
    (scratch / f"{engine}.json").write_text(json.dumps(texts), encoding="utf-8")
    return {"sentences_per_s": len(texts) / min(seconds), "tokens_per_s": sum(map(len, texts)) / min(seconds)}


def sentences(model: Path, data: Path, prefix: str, count: int) -> dict[str, Any]:
    """The sources as ids, and the id that ends a text."""
    from lexloom.generate.reply import end_ids
    from lexloom.models.folder import load_model

    folder = load_model(model, verify=False)
    if folder.tokenizer is None:
        rng = np.random.default_rng(0)
        lengths = rng.integers(*RANDOM_TOKENS, size=count)
        sources = [rng.integers(10, folder.model.config.vocab_size, size=length).tolist() for length in lengths]
        return {"sources": [[*ids, RANDOM_END] for ids in sources], "end": RANDOM_END}
    (end,) = end_ids(folder)
    lines = data.read_text(encoding="utf-8").splitlines()[:count]
    return {
        "sources": [[*ids, end] for ids in folder.tokenizer.encode_batch([prefix + line for line in lines])],
        "end": end,
    }


RANDOM_END = 3


def write_random_model(path: Path) -> Path:
    """Its end-of-text is made probable enough that texts end at about the length of captions."""
    from lexloom.models import FAMILIES, new_model
    from lexloom.models.folder import save_model

    config = FAMILIES["transformer"].config(vocab_size=10000, width=128, layers=4, heads=4, ffn_width=256, context=256)
    model = new_model("transformer", config, seed=0).eval()
    with torch.no_grad():
        model.head_bias_V[RANDOM_END] += 5.0
    save_model(path, model, None, provenance={}, generation=None, card="A benchmark.")
    return path


# ---- the contenders: each gives a function from the ids of sources to those of the best texts, without their end ----


def lexloom(job: dict[str, Any], scratch: Path) -> Translate:
    from lexloom.generate.settings import WritingSettings
    from lexloom.generate.writing import write
    from lexloom.models.folder import load_model
    from lexloom.nn.linear import pack_for_inference

    model = load_model(Path(job["model"]), verify=False).model.eval()
    pack_for_inference(model)
    settings = WritingSettings.model_validate({"beams": job["beams"], "max_tokens": job["max_tokens"]})
    return lambda sources: [found[0].written for found in write(model, sources, settings, eos_ids=[job["end"]])]


def transformers(job: dict[str, Any], scratch: Path) -> Translate:
    model = _transformers_model(job)

    def translate(sources: Ids) -> Ids:
        texts: Ids = [[]] * len(sources)
        order = sorted(range(len(sources)), key=lambda number: -len(sources[number]))
        for start in range(0, len(order), BATCH):
            some = order[start : start + BATCH]
            longest = len(sources[some[0]])
            rows = [sources[number] + [0] * (longest - len(sources[number])) for number in some]
            seen = [[1] * len(sources[number]) + [0] * (longest - len(sources[number])) for number in some]
            with torch.inference_mode():
                made = model.generate(
                    torch.tensor(rows), attention_mask=torch.tensor(seen), num_beams=job["beams"], do_sample=False,
                    max_new_tokens=job["max_tokens"], eos_token_id=job["end"], forced_eos_token_id=None,
                    length_penalty=1.0, early_stopping=False,
                )  # fmt: skip
            for number, ids in zip(some, made[:, 1:].tolist(), strict=True):
                texts[number] = ids[: ids.index(job["end"])] if job["end"] in ids else ids
        return texts

    return translate


def ctranslate2(job: dict[str, Any], scratch: Path, compute_type: str = "float32") -> Translate:
    import ctranslate2

    folder = scratch / "ctranslate2"
    if not folder.exists():
        _convert(job, folder)
    cores = len(os.sched_getaffinity(0))
    translator = ctranslate2.Translator(str(folder), compute_type=compute_type, inter_threads=cores, intra_threads=1)

    def translate(sources: Ids) -> Ids:
        found = translator.translate_batch(
            [[f"t{token}" for token in ids] for ids in sources], beam_size=job["beams"], max_batch_size=BATCH,
            max_decoding_length=job["max_tokens"], length_penalty=1.0, max_input_length=0,
        )  # fmt: skip
        return [[int(token[1:]) for token in one.hypotheses[0]] for one in found]

    return translate


def ctranslate2_int8(job: dict[str, Any], scratch: Path) -> Translate:
    return ctranslate2(job, scratch, "int8")


def _convert(job: dict[str, Any], folder: Path) -> None:
    """By CTranslate2's own loaders, with a vocabulary of numbers in the place of a tokenizer."""
    from ctranslate2.converters.transformers import BartLoader, T5Loader

    model = _transformers_model(job)
    config = model.config
    if config.model_type == "marian":
        # Not its loader for Marian, which takes the last word for a start that has no vector
        config.normalize_before, config.normalize_embedding = False, False
        spec = BartLoader().get_model_spec(model)
    else:
        spec = T5Loader().get_model_spec(model)
    tokens = [f"t{number}" for number in range(config.vocab_size)]
    spec.register_source_vocabulary(tokens)
    spec.register_target_vocabulary(tokens)
    spec.config.bos_token = spec.config.decoder_start_token = f"t{config.decoder_start_token_id}"
    spec.config.eos_token, spec.config.unk_token = f"t{job['end']}", "t1"
    spec.config.add_source_bos = spec.config.add_source_eos = False
    spec.validate()
    spec.optimize(quantization=None)
    folder.mkdir()
    spec.save(str(folder))


def _transformers_model(job: dict[str, Any]) -> Any:
    from transformers import AutoModelForSeq2SeqLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    return AutoModelForSeq2SeqLM.from_pretrained(job["model"]).eval()


CONTENDERS: dict[str, Callable[..., Translate]] = {
    "lexloom": lexloom,
    "transformers": transformers,
    "ctranslate2": ctranslate2,
    "ctranslate2-int8": ctranslate2_int8,
}

if __name__ == "__main__":
    main()
