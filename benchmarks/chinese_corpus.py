"""Gather the running text of published Chinese data sets into one plain text, a document a line, for
recipes/chinese-bert.toml.

python benchmarks/chinese_corpus.py DATA corpus.txt       DATA holds the folders named below

No label is read, and no file that the recipes measure on: of labelled sets only the training part, of others the parts
that nothing is measured on. Tang poems are left out: classical verse in traditional characters is another language.
"""

import argparse
import csv
import gzip
import io
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    with open(options.out, "w", encoding="utf-8") as file:
        for name, texts in SOURCES.items():
            lines = [" ".join(text.split()) for text in texts(opened(options.data / name)) if text.strip()]
            file.writelines(f"{line}\n" for line in lines)
            print(f"{name:50} {len(lines):7,} documents {sum(map(len, lines)):10,} characters")


def opened(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(path), encoding="utf-8", newline="")
    return open(path, encoding="utf-8", newline="")


def lines(file: IO[str]) -> Iterator[str]:
    yield from file


def column(*names: str) -> Callable[[IO[str]], Iterator[str]]:
    """Columns of a csv, each a document."""

    def texts(file: IO[str]) -> Iterator[str]:
        for row in csv.DictReader(file):
            yield from (row[name] for name in names)

    return texts


def tabbed(place: int) -> Callable[[IO[str]], Iterator[str]]:
    return lambda file: (line.rstrip("\r\n").split("\t")[place] for line in file)


def dialogue(file: IO[str]) -> Iterator[str]:
    return (line.replace("__eou__", " ") for line in file)


def characters(file: IO[str]) -> Iterator[str]:
    """A character a line, sentences parted by blank lines."""
    return ("".join(row.split("\t")[0] for row in block.splitlines()) for block in file.read().split("\n\n"))


SOURCES: dict[str, Callable[[IO[str]], Iterator[str]]] = {
    "lm-cluecorpussmall-zh/CLUECorpusSmall_sampled.txt.gz": lines,
    "cls-waimai10k-zh/waimai_10k.csv": column("review"),
    "cls-chnsenticorp-zh/train.tsv.gz": lambda file: itertools.islice(tabbed(1)(file), 1, None),
    "cls-thucnews-headlines-zh/dev.txt.gz": tabbed(0),
    "sum-csl-title-zh/dev.tsv.gz": tabbed(1),
    "sim-afqmc-zh/train.csv.gz": column("sentence1", "sentence2"),
    "ner-msra-zh/dh_msra_minus_test.txt.gz": characters,
    "ner-cluener-zh/train.json.gz": lambda file: (json.loads(line)["text"] for line in file),
    "mrc-c3-zh/dev.json.gz": lambda file: (" ".join(entry[0]) for entry in json.load(file)),
    "dialog-xdailydialog/zh_train1k.txt.gz": dialogue,
}

if __name__ == "__main__":
    main()
