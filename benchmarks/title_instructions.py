"""Abstracts and titles of CSL as instructions, for recipes/chat-titles.toml.

python benchmarks/title_instructions.py DATA/sum-csl-title-zh titles

Writes titles/train.jsonl and validation.jsonl (every twentieth example of dev.tsv.gz), and titles/test.jsonl with
titles/references.jsonl: abstract and title of the same examples, whole, to judge by. What is asked about are the first
LENGTH characters of an abstract: SmolLM2 takes two tokens for one of them, and abstracts say early what they are about.
"""

import argparse
import gzip
import json
from collections.abc import Iterable
from pathlib import Path

ASKED = "为下面的摘要写一个标题。"
LENGTH = 120
EVERY = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    known, test = read(options.data / "dev.tsv.gz"), read(options.data / "test.tsv.gz")
    held = known[::EVERY]
    write(options.out / "train.jsonl", (instruction(*pair) for pair in known if pair not in held))
    write(options.out / "validation.jsonl", (instruction(*pair) for pair in held))
    write(options.out / "test.jsonl", (instruction(*pair) for pair in test))
    write(options.out / "references.jsonl", ({"source": abstract, "target": title} for abstract, title in test))


def read(path: Path) -> list[tuple[str, str]]:
    """(abstract, title) of every line that has both."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    return [(row[1], row[2]) for row in rows if len(row) == 3 and row[1].strip() and row[2].strip()]


def instruction(abstract: str, title: str) -> dict[str, str]:
    return {"instruction": ASKED, "input": abstract[:LENGTH], "output": title}


def write(path: Path, rows: Iterable[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
