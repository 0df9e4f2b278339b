"""Cut a JSON list of instructions in three by their own content: to train on, to measure on, and to hold out.

python benchmarks/split_instructions.py instruction-data.json.gz FOLDER
    writes FOLDER/train.json, FOLDER/validation.json and FOLDER/held-out.json
"""

import gzip
import json
import sys
from pathlib import Path

from lexloom.text.duplicates import content_hash

SHARES = {"held-out": 0.15, "validation": 0.05, "train": 1.0}
"""Of all, of what is left, and the rest. The same instruction is never on two sides."""


def main(source: Path, folder: Path) -> None:
    content = source.read_bytes()
    rows = json.loads(gzip.decompress(content) if source.suffix == ".gz" else content)
    folder.mkdir(parents=True, exist_ok=True)
    for side, share in SHARES.items():
        chosen = [row for row in rows if _place(row, side) < share]
        rows = [row for row in rows if _place(row, side) >= share]
        file = folder / f"{side}.json"
        file.write_text(json.dumps(chosen, ensure_ascii=False, indent=1), encoding="utf-8")
        print(f"{file}: {len(chosen)} instructions")


def _place(row: dict[str, str], side: str) -> float:
    """Between 0 and 1, by the instruction, anew for every side."""
    return int.from_bytes(content_hash(side + row["instruction"] + row["input"])[:8], "big") / 2**64


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
