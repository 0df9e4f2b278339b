"""Cut a SQuAD-like file in two by article, so that no passage of the test half was seen in training.

python benchmarks/halves.py dev-v1.1.json.gz FOLDER       writes FOLDER/first.json and FOLDER/second.json
"""

import gzip
import json
import sys
from pathlib import Path


def main(source: Path, folder: Path) -> None:
    content = source.read_bytes()
    whole = json.loads(gzip.decompress(content) if source.suffix == ".gz" else content)
    folder.mkdir(parents=True, exist_ok=True)
    # Every second article: files are often sorted by theme
    for name, articles in {"first": whole["data"][::2], "second": whole["data"][1::2]}.items():
        half = {**whole, "data": articles}
        (folder / f"{name}.json").write_text(json.dumps(half, ensure_ascii=False), encoding="utf-8")
        questions = sum(len(passage["qas"]) for article in articles for passage in article["paragraphs"])
        print(f"{folder / name}.json: {len(articles)} articles, {questions} questions")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
