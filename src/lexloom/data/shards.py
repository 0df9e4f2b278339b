"""Token shards: a part of a corpus as numbered tokens on the disk, mapped into memory and never loaded whole.

A prepared folder holds `train/` and `validation/`, each with

    shard-00000.bin …   the ids of all documents one after another, uint16 or uint32, little-endian;
                        every document ends in one separator (the tokenizer's eos, or sep)
    documents.bin       per document three int64: end (tokens up to and with its separator), UTF-8 bytes, words
    index.json          counts, hashes, the tokenizer's hash; written after the rest
"""

import hashlib
import json
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lexloom.base import files
from lexloom.base.errors import DamagedError, DataError, FolderError
from lexloom.text.quality import count_words
from lexloom.text.samples import in_batches
from lexloom.text.tokenizers import Tokenizer

INDEX = "index.json"
DOCUMENTS = "documents.bin"
FORMAT = 1
UINT16_IDS = 1 << 16
SHARD_TOKENS = 1 << 27
COLUMNS = 3
DTYPES: dict[str, np.dtype[Any]] = {"uint16": np.dtype("<u2"), "uint32": np.dtype("<u4")}

Tokens = NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True, slots=True)
class EncodedDocument:
    """The ids of a document, its separator included, and its size before encoding (for bits per byte and per word)."""

    ids: list[int]
    utf8_bytes: int
    words: int


def encode_documents(texts: Iterable[str], tokenizer: Tokenizer) -> Iterator[EncodedDocument]:
    """Encode texts in order, each ended by the tokenizer's separator (eos, or sep).

    The work is done by the tokenizers library's own threads, batch by batch (RAYON_NUM_THREADS or
    TOKENIZERS_PARALLELISM=false change how many); each text is encoded by itself, so the ids don't depend on them.
    Raises FolderError if the tokenizer has neither.
    """
    if tokenizer.separator_id is None:
        raise FolderError(
            "the tokenizer names neither eos nor sep, one of which must end every document",
            where="tokenizer_config.json",
        )
    separator = [tokenizer.separator_id]
    for batch in in_batches(texts):
        for text, ids in zip(batch, tokenizer.encode_batch(batch), strict=True):
            yield EncodedDocument(ids + separator, len(text.encode()), count_words(text))


def write_split(
    folder: files.NewFolder,
    split: str,
    encoded: Iterable[EncodedDocument],
    *,
    vocab_size: int,
    tokenizer_sha256: str,
    shard_tokens: int = SHARD_TOKENS,
) -> dict[str, Any]:
    """Write one part (`train`, `validation`) and return its index.

    Raises DataError for an id outside of the vocabulary; nothing wraps round.
    """
    dtype = "uint16" if vocab_size <= UINT16_IDS else "uint32"
    table = array("q")
    arrays = _narrow(encoded, DTYPES[dtype], vocab_size, table, where=split)
    shards = _write_shards(folder, split, arrays, shard_tokens)
    with folder.open(f"{split}/{DOCUMENTS}") as file:
        file.write(np.frombuffer(table, dtype=np.int64).astype("<i8").tobytes())
    rows = np.frombuffer(table, dtype=np.int64).reshape(-1, COLUMNS)
    index = {
        "format": FORMAT,
        "dtype": dtype,
        "vocab_size": vocab_size,
        "tokenizer_sha256": tokenizer_sha256,
        "tokens": sum(entry["items"] for entry in shards),
        "documents": len(rows),
        "utf8_bytes": int(rows[:, 1].sum()),
        "words": int(rows[:, 2].sum()),
        "shards": shards,
        "document_table": {"name": DOCUMENTS, "items": len(table), "sha256": folder.sha256(f"{split}/{DOCUMENTS}")},
    }
    folder.write_json(f"{split}/{INDEX}", index)
    return index


class TokenShards:
    """A written part, see `open_split`.

    `total_tokens`, `vocab_size`; `documents`: int64 (documents, 3) with the columns end_token, utf8_bytes, words;
    `fingerprint`: a hash of all tokens and of the tokenizer, for comparing data sets.
    """

    def __init__(self, folder: Path, index: dict[str, Any], parts: list[Tokens], documents: NDArray[np.int64]) -> None:
        self.folder = folder
        self.index = index
        self.documents = documents
        self.total_tokens: int = index["tokens"]
        self.vocab_size: int = index["vocab_size"]
        self.fingerprint = hashlib.sha256(json.dumps(index, sort_keys=True).encode()).hexdigest()
        self._parts = parts
        self._none: Tokens = np.empty(0, dtype=DTYPES[index["dtype"]])
        self._ends = np.cumsum([len(part) for part in parts], dtype=np.int64)

    def tokens(self, start: int, stop: int) -> Tokens:
        """The ids from `start` to before `stop`, uint16 or uint32: a view where one shard holds all."""
        assert 0 <= start <= stop <= self.total_tokens, f"tokens {start}…{stop} of {self.total_tokens}"
        first = int(np.searchsorted(self._ends, start, side="right"))
        pieces = []
        for part, end in zip(self._parts[first:], self._ends[first:].tolist(), strict=True):
            begin = end - len(part)
            pieces.append(part[max(start - begin, 0) : stop - begin])
            if stop <= end:
                break
        return pieces[0] if len(pieces) == 1 else np.concatenate([self._none, *pieces])


def open_split(prepared: Path, split: str, *, tokenizer_sha256: str | None = None, verify: bool = True) -> TokenShards:
    """Map a part of a prepared folder.

    Raises FolderError if it is absent or was made with another tokenizer, DamagedError if a file is cut, changed
    (SHA-256) or holds an id outside of the vocabulary. `verify=False` skips what needs reading every token.
    """
    folder = prepared / split
    index = _read_index(folder)
    if tokenizer_sha256 not in (None, index["tokenizer_sha256"]):
        raise FolderError(
            "was made with another tokenizer", where=str(folder), fix="Prepare the corpus again with this tokenizer."
        )
    dtype = DTYPES[index["dtype"]]
    parts = [_map(folder, entry, dtype, verify=verify) for entry in index["shards"]]
    table = _map(folder, index["document_table"], np.dtype("<i8"), verify=verify)
    if verify:
        _check_ids(folder, index, parts)
    return TokenShards(folder, index, parts, table.reshape(-1, COLUMNS))


def _narrow(
    encoded: Iterable[EncodedDocument], dtype: np.dtype[Any], vocab_size: int, table: "array[int]", *, where: str
) -> Iterator[Tokens]:
    """Check and narrow the ids of each document, and add its row to `table`."""
    end = 0
    for number, document in enumerate(encoded):
        ids = np.asarray(document.ids, dtype=np.int64)
        outside = ids[(ids < 0) | (ids >= vocab_size)]
        if len(outside):
            raise DataError(
                f"has the id {outside[0]}, outside of the vocabulary of {vocab_size}",
                where=f"{where} document {number}",
            )
        end += len(ids)
        table.extend((end, document.utf8_bytes, document.words))
        yield ids.astype(dtype)


def _write_shards(
    folder: files.NewFolder, split: str, arrays: Iterator[Tokens], shard_tokens: int
) -> list[dict[str, Any]]:
    """Cut the stream of arrays into files of `shard_tokens`, the last one shorter."""
    shards: list[dict[str, Any]] = []
    left = _next_filled(arrays)
    while left is not None:
        name, room = f"shard-{len(shards):05d}.bin", shard_tokens
        with folder.open(f"{split}/{name}") as file:
            while left is not None and room:
                file.write(left[:room].tobytes())
                room, left = room - len(left[:room]), left[room:] if len(left) > room else _next_filled(arrays)
        sha256 = folder.sha256(f"{split}/{name}")
        shards.append({"name": name, "items": shard_tokens - room, "sha256": sha256})
    return shards


def _next_filled(arrays: Iterator[Tokens]) -> Tokens | None:
    return next((ids for ids in arrays if len(ids)), None)


def _read_index(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise FolderError(
            f"has no part named {folder.name!r}", where=str(folder.parent), fix="Make it with `lexloom prepare`."
        )
    index = files.read_json(folder / INDEX)
    if not isinstance(index, dict) or index.get("format") != FORMAT or index.get("dtype") not in DTYPES:
        raise DamagedError("is not an index of token shards", where=str(folder / INDEX))
    return index


def _map(folder: Path, entry: dict[str, Any], dtype: np.dtype[Any], *, verify: bool) -> NDArray[Any]:
    """Map a file after comparing its size, and if asked its hash, with the index."""
    path = files.inside(folder, entry["name"])
    size = path.stat().st_size if path.is_file() else 0
    if size != entry["items"] * dtype.itemsize:
        raise DamagedError(
            f"was cut or grew: it has {size:,} bytes instead of {entry['items'] * dtype.itemsize:,}", where=str(path)
        )
    if verify and files.sha256_of(path) != entry["sha256"]:
        raise DamagedError("was changed after it was written (its SHA-256 differs)", where=str(path))
    return np.memmap(path, dtype=dtype, mode="r") if size else np.empty(0, dtype=dtype)


def _check_ids(folder: Path, index: dict[str, Any], parts: list[Tokens]) -> None:
    for entry, part in zip(index["shards"], parts, strict=True):
        largest = int(part.max(initial=0))
        if largest >= index["vocab_size"]:
            raise DamagedError(
                f"holds the id {largest}, outside of the vocabulary of {index['vocab_size']}",
                where=str(folder / entry["name"]),
            )
