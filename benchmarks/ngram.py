"""The n-gram model beside KenLM: equal perplexities on three corpora, and time and memory of counting 100 MB of text.

python benchmarks/ngram.py perplexity DATA --kenlm BIN     BIN holds KenLM's lmplz and query; DATA the folders below
python benchmarks/ngram.py speed DATA --kenlm BIN          [--megabytes 100] [--order 5] [--memory-mb 2000]

Both get the same tokens: what stands between white space (Chinese verse: characters). `--vocab_pad` gives lmplz a
vocabulary of the same size, `--discount_fallback` the same discounts where counts of counts give none.
The text for speed is IMDb's reviews (65 MB), and as much of them again as is wanted with the words of every line in
reverse order, which has as many different n-grams as other text has. Processor time is that of all threads of a process
together; memory is the most that it held (for ours that includes pages of files, which the system may take back).
"""

import argparse
import gzip
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lexloom.data.batches import Windows
from lexloom.evaluate.scoring import score_documents
from lexloom.models.arpa import export_arpa
from lexloom.models.folder import ModelFolder
from lexloom.models.ngram import Config, Model, fit
from lexloom.text.tokenizers import Tokenizer

END = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("perplexity", "speed", "count"))
    parser.add_argument("data", type=Path)
    parser.add_argument("--kenlm", type=Path, default=Path())
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--order", type=int, default=5)
    parser.add_argument("--memory-mb", type=int, default=2000)
    options = parser.parse_args()
    {"perplexity": perplexity, "speed": speed, "count": count}[options.what](options)


# ---- the same perplexity ----


def perplexity(options: argparse.Namespace) -> None:
    """Ours, KenLM's, and KenLM's of our ARPA file, for the held-out part of each corpus."""
    for name, lines in CORPORA.items():
        texts = [line for line in lines(options.data) if line]
        held_out, train = texts[::20], [text for number, text in enumerate(texts) if number % 20]
        corpus = Corpus(train)
        model = counted(corpus, options)
        documents = [corpus.encode(text) for text in held_out]
        scores = np.concatenate(list(score_documents(model, documents, start_id=END)))
        with tempfile.TemporaryDirectory() as folder:
            ours, theirs = Path(folder, "ours.arpa"), Path(folder, "theirs.arpa")
            contents = ModelFolder(model, corpus.tokenizer(), "ngram", facts={}, generation={})
            export_arpa(contents, ours)
            run_lmplz(options, "".join(f"{text}\n" for text in train), theirs, pad=len(corpus.names))
            spelled = "".join(f"{' '.join(corpus.spelled(text))}\n" for text in held_out)
            kenlm, crossed = (query(options, file, spelled) for file in (theirs, ours))
        found = math.exp(-scores.mean(dtype=np.float64))
        print(
            f"{name:18} {len(corpus.names):7,} types {corpus.total_tokens:10,} tokens   ours {found:9.4f}   "
            f"KenLM {kenlm:9.4f} ({found / kenlm - 1:+.4%})   our ARPA file in KenLM {crossed:9.4f}",
            flush=True,
        )


def shakespeare(data: Path) -> Iterator[str]:
    for line in (data / "lm-tinyshakespeare" / "input.txt").read_text(encoding="utf-8").splitlines():
        yield " ".join(line.split())


def wikitext(data: Path) -> Iterator[str]:
    for part in ("valid", "test"):
        with gzip.open(data / "lm-wikitext2" / f"{part}.txt.gz", "rt", encoding="utf-8") as file:
            for line in file:
                yield " ".join(line.replace("<unk>", "⟨unk⟩").split())


def tang(data: Path) -> Iterator[str]:
    """Poems as characters."""
    with gzip.open(data / "lm-tangshi-zh" / "tang.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            yield " ".join("".join(json.loads(line)["paragraphs"]))


CORPORA: dict[str, Callable[[Path], Iterator[str]]] = {
    "tiny Shakespeare": shakespeare,
    "WikiText-2 v+t": wikitext,
    "Tang poems": tang,
}


# ---- as fast ----


def speed(options: argparse.Namespace) -> None:
    """Processor seconds and memory of both, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder, "text.txt")
        text.write_text("".join(reviews(options.data, options.megabytes * 1_000_000)), encoding="utf-8")
        print(
            f"{text.stat().st_size / 1e6:.1f} MB, order {options.order}, {options.memory_mb} MB of memory", flush=True
        )
        arguments = ["--order", str(options.order), "--memory-mb", str(options.memory_mb)]
        measured("Lexloom", [sys.executable, __file__, "count", str(text), *arguments])
        measured("lmplz", [*lmplz(options), "--text", str(text), "--arpa", os.devnull])


def measured(name: str, command: Sequence[str]) -> None:
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, f"{command} failed"
    print(
        f"{name:8} {usage.ru_utime:6.1f} s in the program, {usage.ru_stime:5.1f} s in the system, "
        f"{time.monotonic() - started:6.1f} s on the clock, {usage.ru_maxrss / 1e3:6.0f} MB   {said.strip()}",
        flush=True,
    )


def count(options: argparse.Namespace) -> None:
    """What `speed` runs: a file of lines, encoded and counted."""
    with open(options.data, encoding="utf-8") as file:
        corpus = Corpus(file)
    encoded_s = time.process_time()
    model = counted(corpus, options)
    sizes = [len(grams.log_probabilities) for grams in model.tables]
    print(f"reading words took {encoded_s:.1f} s, counting {time.process_time() - encoded_s:.1f} s; n-grams: {sizes}")


def reviews(data: Path, size: int) -> Iterator[str]:
    """IMDb's reviews, a line each, and again backwards, until there is so much."""
    for step in (1, -1):
        for part in ("train", "test"):
            with gzip.open(data / "cls-imdb" / f"{part}.jsonl.gz", "rt", encoding="utf-8") as file:
                for line in file:
                    if size <= 0:
                        return
                    text = " ".join(json.loads(line)["text"].split()[::step]) + "\n"
                    size -= len(text.encode())
                    yield text


# ---- both tools ----


class Corpus:
    """Texts as a part of a prepared folder shows them; tokens are what stands between white space."""

    def __init__(self, texts: Any) -> None:
        self.names = {"</s>": END, "<unk>": 1}
        ids: list[Any] = []
        ends = []
        total = 0
        for text in texts:
            encoded = [self.names.setdefault(word, len(self.names)) for word in text.split()]
            total += len(encoded) + 1
            ids.append(np.array([*encoded, END], np.uint32))
            ends.append(total)
        self.ids = np.concatenate(ids)
        self.documents = np.repeat(np.array(ends, np.int64)[:, None], 3, axis=1)
        self.total_tokens = total

    def tokens(self, start: int, stop: int) -> Any:
        return self.ids[start:stop]

    def encode(self, text: str) -> list[int]:
        return [*(self.names.get(word, 1) for word in text.split()), END]

    def spelled(self, text: str) -> list[str]:
        return [word if word in self.names else "<unk>" for word in text.split()]

    def tokenizer(self) -> Tokenizer:
        import tokenizers
        from tokenizers import models

        inner = tokenizers.Tokenizer(models.WordLevel(self.names, "<unk>"))
        inner.add_special_tokens(["</s>", "<unk>"])
        return Tokenizer(inner.to_str().encode(), {"eos_token": "</s>", "unk_token": "<unk>"})


def counted(corpus: Corpus, options: argparse.Namespace) -> Model:
    torch.set_num_threads(1)
    config = Config(vocab_size=len(corpus.names), order=options.order)
    with tempfile.TemporaryDirectory() as scratch:
        windows = Windows(corpus, 256, boundaries=False)
        return fit(config, windows, lambda *_: None, scratch=Path(scratch), memory_mb=options.memory_mb).eval()


def lmplz(options: argparse.Namespace) -> list[str]:
    memory = ["-S", f"{options.memory_mb}M", "-T", tempfile.gettempdir()]
    return [str(options.kenlm / "lmplz"), "-o", str(options.order), "--discount_fallback", *memory]


def run_lmplz(options: argparse.Namespace, text: str, arpa: Path, *, pad: int) -> None:
    command = [*lmplz(options), "--vocab_pad", str(pad), "--arpa", str(arpa)]
    subprocess.run(command, input=text.encode(), check=True, stderr=subprocess.DEVNULL)


def query(options: argparse.Namespace, arpa: Path, text: str) -> float:
    """The perplexity that KenLM finds, unknown tokens and ends included."""
    command = [str(options.kenlm / "query"), "-v", "summary", str(arpa)]
    done = subprocess.run(command, input=text.encode(), check=True, capture_output=True)
    found = next(line for line in done.stdout.decode().splitlines() if line.startswith("Perplexity including OOVs"))
    return float(found.rpartition(":")[2])


if __name__ == "__main__":
    main()
